"""What is Coze's own: three ways to run, outputs of no fixed form, what may hide behind a success, tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from executors.providers.base import (
    Endpoint,
    Order,
    Phase,
    ProviderBusy,
    ProviderRefusedKey,
    ProviderRejected,
    ProviderSilent,
    ProviderUnintelligible,
    ProviderUnreachable,
    Report,
)
from executors.providers.coze import CozeProvider
from executors.providers.server_events import read_events
from tests.executors.providers.contract import read_output
from tests.executors.providers.pictures import input_file, png
from tests.simulators.coze import TOKEN, CozeSimulator

WORKFLOW = "7400000000000000001"


@pytest.fixture
def coze() -> Iterator[CozeSimulator]:
    with CozeSimulator() as simulator:
        yield simulator


@pytest.fixture
def studio() -> Iterator[CozeSimulator]:
    with CozeSimulator(flavour="studio") as simulator:
        yield simulator


def provider_of(coze: CozeSimulator, *, secrets: dict[str, str] | None = None, **options: Any) -> CozeProvider:
    endpoint = Endpoint(
        kind="coze",
        base_url=coze.url,
        secrets={"token": TOKEN} if secrets is None else secrets,
        options={"flavour": coze.flavour, "timeout_s": 5, **options},
        read_timeout_s=2,
        allowed_networks=("127.0.0.0/8",),
    )
    return CozeProvider(endpoint)


def order(mode: str = "sync", *, params: dict[str, Any] | None = None, files: Any = (), **options: Any) -> Order:
    return Order(
        task_id="task-1",
        operation="poster",
        params=params or {"prompt": "red cup"},
        files=files,
        options={"coze_workflow_id": WORKFLOW, "coze_mode": mode, "outputs": {"images": 1}, **options},
        labels={"ability_id": "coze_poster", "user_id": "u1", "meta_traceId": "abc"},
    )


def run(coze: CozeSimulator, mode: str = "sync", **more: Any) -> Report:
    provider = provider_of(coze)
    report = provider.submit(order(mode, **more))
    if mode == "async":
        found = provider.poll([report.ref])[report.ref]
        report = provider.fit(found, order(mode, **more).options)
    return report


def sent(coze: CozeSimulator, path: str = "/v1/workflow/run") -> dict[str, Any]:
    return dict(json.loads(coze.requests_to("POST", path)[-1]["body"]))


# Three ways


@pytest.mark.parametrize("mode", ["async", "sync", "stream"])
@pytest.mark.parametrize("flavour", ["cloud", "studio"])
def test_every_way_of_running_ends_with_the_picture(request: pytest.FixtureRequest, mode: str, flavour: str) -> None:
    coze = request.getfixturevalue("coze" if flavour == "cloud" else "studio")
    report = run(coze, mode)
    assert report.phase is Phase.SUCCEEDED
    (output,) = report.outputs
    assert output.kind == "image"
    assert read_output(provider_of(coze), output).startswith(b"\x89PNG")


@pytest.mark.parametrize("mode", ["async", "sync", "stream"])
def test_the_debug_page_is_for_the_operator_only(coze: CozeSimulator, mode: str) -> None:
    report = run(coze, mode)
    assert "execute_id=" in report.raw["debug_url"]
    assert "debug_url" not in json.dumps(dict(report.metadata))


def test_the_debug_page_is_known_as_soon_as_the_run_was_taken(coze: CozeSimulator) -> None:
    assert "work_flow?execute_id=" in provider_of(coze).submit(order("async")).raw["debug_url"]


def test_says_whose_run_it_is(coze: CozeSimulator) -> None:
    run(coze)
    assert sent(coze)["ext"] == {
        "task_id": "task-1",
        "provider": "coze",
        "ability_id": "coze_poster",
        "user_id": "u1",
        "meta_traceId": "abc",
    }
    assert coze.requests_to("POST", "/v1/workflow/run")[0]["headers"]["X-Request-ID"] == "task-1"


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_R1_R7_a_lost_answer_is_never_sent_again(coze: CozeSimulator, mode: str) -> None:
    coze.add_fault("POST /v1/workflow/run", "cut_after")
    with pytest.raises(ProviderSilent) as caught:
        provider_of(coze).submit(order(mode))
    assert caught.value.was_taken is None
    assert len(coze.runs.by_id) == 1


def test_an_async_answer_without_an_id_is_not_guessed(coze: CozeSimulator) -> None:
    body = '{"code": 0, "msg": "Success", "data": "", "debug_url": "https://www.coze.cn/x"}'
    coze.add_fault("POST /v1/workflow/run", "status", status=200, body=body, content_type="application/json")
    with pytest.raises(ProviderUnintelligible) as caught:
        provider_of(coze).submit(order("async"))
    assert caught.value.code == "COZE_SUBMIT_MISSING_EXECUTE_ID"
    assert caught.value.was_taken is None


def test_a_run_that_the_history_does_not_show_yet_is_running(coze: CozeSimulator) -> None:
    coze.runs.add(WORKFLOW, history_delay_s=0.2)
    provider = provider_of(coze)
    ref = provider.submit(order("async")).ref
    assert provider.poll([ref])[ref].phase is Phase.RUNNING
    coze.runs.workflows[WORKFLOW].history_delay_s = 0
    assert provider.poll([ref])[ref].phase is Phase.SUCCEEDED


def test_one_run_that_cannot_be_asked_holds_up_nobody(coze: CozeSimulator) -> None:
    provider = provider_of(coze)
    refs = [provider.submit(order("async")).ref for _number in range(2)]
    broken = refs[0].split(":")
    coze.add_fault(f"GET /v1/workflows/{broken[0]}/run_histories/{broken[1]}", "garbage")
    phases = [provider.poll(refs)[ref].phase for ref in refs]
    assert phases == [Phase.RUNNING, Phase.SUCCEEDED]


# Streams


def test_hears_all_nodes_and_takes_what_the_end_node_says(coze: CozeSimulator) -> None:
    coze.runs.add(WORKFLOW, messages=[("Progress", "draw|ing …")], output={"text": "第一行\u2028第二行"})
    report = run(coze, "stream", outputs={"texts": 1})
    assert [output.text for output in report.outputs] == ["第一行\u2028第二行"]


def test_a_stream_cut_after_the_end_node_spoke_is_a_result(coze: CozeSimulator) -> None:
    coze.runs.add(WORKFLOW, stream_end="cut_after_end")
    assert run(coze, "stream").phase is Phase.SUCCEEDED


def test_a_stream_cut_in_the_middle_is_unknown_and_sent_once(coze: CozeSimulator) -> None:
    coze.runs.add(WORKFLOW, stream_end="cut_before_end", messages=[("Progress", "drawing")])
    with pytest.raises(ProviderSilent) as caught:
        run(coze, "stream")
    assert caught.value.was_taken is None
    assert len(coze.runs.by_id) == 1


def test_a_question_in_the_middle_of_a_run_is_a_failure_with_a_reason(coze: CozeSimulator) -> None:
    coze.runs.add(WORKFLOW, interrupts=True)
    report = run(coze, "stream")
    assert (report.phase, report.code) == (Phase.FAILED, "COZE_RUN_INTERRUPTED")


def test_reads_streams_as_the_standard_says() -> None:
    pieces = [b": ping\r\nevent: a\r", b'\ndata: {"t": "\xe2\x80', b'\xa8"}\ndata:two\nretry: 3\n\n\ndata: cut']
    (event,) = read_events(pieces)
    assert (event.event, event.data) == ("a", '{"t": "\u2028"}\ntwo')


# Failures


@pytest.mark.parametrize(
    ("mode", "code"), [("async", "COZE_FAILED"), ("sync", "COZE_EXECUTION_FAILED"), ("stream", "COZE_EXECUTION_FAILED")]
)
def test_R9_a_failed_run_is_a_failure_with_its_cause(coze: CozeSimulator, mode: str, code: str) -> None:
    coze.runs.add(WORKFLOW, error="the picture is too dark")
    report = run(coze, mode)
    assert (report.phase, report.code, report.message) == (Phase.FAILED, code, "the picture is too dark")
    assert not report.outputs


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"$error": {"message": "plugin timed out"}, "image": ""}, "plugin timed out"),
        ({"error_msg": "no quota", "data": None}, "no quota"),
        (
            {"taskId": "ERR|Q1001|COMFYUI_QUEUE_FULL(limit=10, current=10)"},
            "ERR|Q1001|COMFYUI_QUEUE_FULL(limit=10, current=10)",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["async", "sync", "stream"])
def test_R9_an_error_inside_a_success_is_a_failure(coze: CozeSimulator, mode: str, output: Any, message: str) -> None:
    coze.runs.add(WORKFLOW, output=output)
    report = run(coze, mode)
    assert (report.phase, report.code, report.message) == (Phase.FAILED, "COZE_WORKFLOW_ERROR", message)


def test_code_0_with_another_status_beside_it_is_a_failure(studio: CozeSimulator) -> None:
    studio.runs.add(WORKFLOW, base_resp=720701013)
    assert run(studio).phase is Phase.FAILED


def test_missing_parameters_are_rejected_with_coze_s_words(coze: CozeSimulator, studio: CozeSimulator) -> None:
    for server in (coze, studio):
        server.runs.add(WORKFLOW, needs=["image"])
        with pytest.raises(ProviderRejected, match="image"):
            run(server)
        assert not server.runs.by_id


def test_a_workflow_id_is_needed_and_nothing_is_sent_without(coze: CozeSimulator) -> None:
    with pytest.raises(ProviderRejected) as caught:
        provider_of(coze).submit(order(coze_workflow_id=""))
    assert caught.value.code == "COZE_WORKFLOW_ID_MISSING"
    assert not coze.journal


@pytest.mark.parametrize("flavour", ["cloud", "studio"])
def test_a_wrong_token_is_told_apart(request: pytest.FixtureRequest, flavour: str) -> None:
    coze = request.getfixturevalue("coze" if flavour == "cloud" else "studio")
    provider = provider_of(coze, secrets={"token": "pat_wrong"})
    with pytest.raises(ProviderRefusedKey):
        provider.submit(order())
    if flavour == "cloud":
        assert not provider.probe().is_up


@pytest.mark.parametrize(("code", "kind"), [(4009, ProviderBusy), (4028, ProviderRefusedKey), (5000, ProviderSilent)])
def test_codes_in_a_200_are_read(coze: CozeSimulator, code: int, kind: type[Exception]) -> None:
    body = json.dumps({"code": code, "msg": "no"})
    coze.add_fault("POST /v1/workflow/run", "status", status=200, body=body, content_type="application/json")
    with pytest.raises(kind):
        run(coze)


def test_a_proxy_s_page_has_the_contract_s_code(coze: CozeSimulator) -> None:
    coze.add_fault("POST /v1/workflow/run", "status", status=502)
    with pytest.raises(ProviderSilent) as caught:
        run(coze)
    assert caught.value.code == "COZE_HTTP_502"
    coze.add_fault("POST /v1/workflow/run", "garbage")
    with pytest.raises(ProviderUnintelligible) as garbled:
        run(coze)
    assert garbled.value.code == "COZE_RESPONSE_NOT_JSON"


# Outputs


@pytest.mark.parametrize("wrapping", [0, 1, 2])
def test_json_inside_json_is_opened(coze: CozeSimulator, wrapping: int) -> None:
    coze.runs.add(WORKFLOW, wrapping=wrapping)
    (output,) = run(coze, "async").outputs
    assert output.kind == "image"


def test_a_trimmed_output_is_fetched_whole(coze: CozeSimulator) -> None:
    coze.runs.add(WORKFLOW, is_trimmed=True)
    report = run(coze, "async")
    assert [output.kind for output in report.outputs] == ["image"]


def test_the_ability_says_which_field_is_which(coze: CozeSimulator) -> None:
    result = {
        "data": {
            "pics": [{"url": f"{coze.url}/files/a"}, {"url": f"{coze.url}/files/b"}],
            "preview": f"{coze.url}/p.png",
        },
        "film": f"{coze.url}/files/f",
        "title": "Cup",
        "note": "not asked for",
    }
    coze.runs.add(WORKFLOW, output=result)
    named = {"images": ["data.pics.*.url"], "videos": "film", "texts": ["title"]}
    for mode in ("async", "sync"):
        outputs = run(coze, mode, coze_outputs=named).outputs
        assert [(o.kind, o.text or o.source_url.rpartition("/")[2]) for o in outputs] == [
            ("image", "a"),
            ("image", "b"),
            ("video", "f"),
            ("text", "Cup"),
        ]


def test_without_a_map_links_are_outputs_and_links_in_sentences_are_not(coze: CozeSimulator) -> None:
    links = f"{coze.url}/files/a.png,{coze.url}/files/b.png\n{coze.url}/files/c.mp4"
    coze.runs.add(WORKFLOW, output={"output": links, "hint": f"see {coze.url}/help for more"})
    assert [output.kind for output in run(coze).outputs] == ["image", "image", "video"]


@pytest.mark.parametrize(
    "output", ["just words", {"text": "just words"}, {"content_type": 1, "data": "just words", "type_for_model": 2}]
)
def test_an_output_without_links_is_a_text(coze: CozeSimulator, output: Any) -> None:
    coze.runs.add(WORKFLOW, output=output)
    assert [o.text for o in run(coze, outputs={"texts": 1}).outputs] == ["just words"]


def test_result_links_lead_only_to_public_addresses(coze: CozeSimulator) -> None:
    report = run(coze)
    shut = CozeProvider(Endpoint(kind="coze", base_url=coze.url, secrets={"token": TOKEN}))
    with pytest.raises(ProviderRejected) as caught:
        read_output(shut, report.outputs[0])
    assert caught.value.code == "OUTPUT_LINK_FORBIDDEN"
    assert not [entry for entry in coze.journal if entry["path"].startswith("/files/")]


def test_the_token_is_not_sent_to_where_a_result_lies(coze: CozeSimulator) -> None:
    report = run(coze)
    read_output(provider_of(coze), report.outputs[0])
    fetched = next(entry for entry in coze.journal if entry["path"].startswith("/files/"))
    assert "Authorization" not in fetched["headers"]


def test_a_link_that_expired_ends_it_and_a_disturbed_one_is_tried_again(coze: CozeSimulator) -> None:
    report = run(coze)
    coze.add_fault("GET /files/*", "status", status=503)
    with pytest.raises(ProviderUnreachable):
        read_output(provider_of(coze), report.outputs[0])
    coze.files.results.clear()
    with pytest.raises(ProviderRejected) as caught:
        read_output(provider_of(coze), report.outputs[0])
    assert caught.value.code == "OUTPUT_LINK_GONE"


# Inputs


def test_inputs_go_under_the_workflow_s_names(coze: CozeSimulator) -> None:
    picture = replace(input_file(png()), url="https://files.example/a.png")
    names = {"prompt": "query", "image_url": "img"}
    run(coze, params={"prompt": "cup", "__lane": "x"}, files=(picture,), coze_parameters=names)
    assert sent(coze)["parameters"] == {"query": "cup", "img": "https://files.example/a.png"}
    run(coze, files=(picture,), coze_list_parameters=["image_url"])
    assert sent(coze)["parameters"]["image_url"] == ["https://files.example/a.png"]


def test_pictures_are_uploaded_where_coze_cannot_reach_us(coze: CozeSimulator) -> None:
    data = png()
    provider_of(coze, files="upload").submit(order(files=(input_file(data),)))
    (file_id,) = coze.files.uploads
    assert coze.files.uploads[file_id][1] == data
    assert json.loads(sent(coze)["parameters"]["image_url"]) == {"file_id": file_id}


def test_a_failed_upload_means_nothing_was_run(coze: CozeSimulator) -> None:
    coze.add_fault("POST /v1/files/upload", "cut_after")
    with pytest.raises(ProviderUnreachable) as caught:
        provider_of(coze, files="upload").submit(order(files=(input_file(png()),)))
    assert caught.value.was_taken is False
    assert not coze.runs.by_id


# Tokens


def test_an_oauth_app_swaps_an_assertion_for_a_token_once(coze: CozeSimulator) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    coze.apps["1234"] = ("kid-1", public.decode())
    secrets = {"oauth_private_key": private}
    provider = provider_of(coze, secrets=secrets, oauth_app_id="1234", oauth_key_id="kid-1")
    for _run in range(3):
        assert provider.submit(order()).phase is Phase.SUCCEEDED
    (swap,) = coze.requests_to("POST", "/permission/oauth2/token")
    claims = jwt.decode(swap["headers"]["Authorization"][7:], options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == ("1234", "127.0.0.1")
    stranger = provider_of(coze, secrets=secrets, oauth_app_id="1234", oauth_key_id="kid-2")
    with pytest.raises(ProviderRefusedKey) as caught:
        stranger.submit(order())
    assert caught.value.code == "COZE_TOKEN_REFUSED"


def test_without_any_token_nothing_is_sent(coze: CozeSimulator) -> None:
    with pytest.raises(ProviderRefusedKey) as caught:
        provider_of(coze, secrets={}).submit(order())
    assert caught.value.code == "COZE_NOT_CONFIGURED"
    assert not coze.journal
