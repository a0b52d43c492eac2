"""The bridge with the real cozepy against the simulated Coze: every chat comes to its end, whatever breaks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import close_old_connections
from django.test import Client

from abilities import services as abilities
from abilities.models import Ability, Task
from coze_plugin.bridge import records, serving
from coze_plugin.bridge.talking import Desk
from coze_plugin.models import BridgeChat
from podi.base.models import User
from tests.abilities.conftest import operator, png_base64, upscale
from tests.flows.driver import work_off
from tests.simulators.coze import TOKEN, CozeSimulator
from tests.simulators.coze_chats import Call, Chat, Round
from tests.simulators.coze_files import picture

__all__ = ["operator", "upscale"]

pytestmark = pytest.mark.django_db(transaction=True)
TOOL = "podi_podi_upscale_resize"
BOT = "7380000000000000001"
DONE = Round(text="好了")


@pytest.fixture
def coze(settings: Any) -> Iterator[CozeSimulator]:
    with CozeSimulator() as simulator:
        settings.PROVIDER_ENDPOINTS = {
            "coze": {"base_url": simulator.url, "secrets": {"token": TOKEN}, "options": {"flavour": "cloud"}}
        }
        yield simulator


@pytest.fixture
def worker() -> Iterator[None]:
    """Works off the jobs that tasks ring for."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.02):
            work_off()
        close_old_connections()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join(5)


def desk(*, wait_s: float = 5.0) -> Desk:
    return serving.open_desk(wait_s=wait_s, pause_s=0.02)


def ask(question: str = "放大这张图", *, conversation_id: str = "", wait_s: float = 5.0) -> BridgeChat:
    made = desk(wait_s=wait_s)
    return asyncio.run(
        serving.ask(made, bot_id=BOT, coze_user_id="u1", question=question, conversation_id=conversation_id)
    )


def serve_once() -> int:
    return asyncio.run(serving.serve(desk(), at_once=4, stop=asyncio.Event(), once=True))


def upscale_call(**more: Any) -> Call:
    return Call(name=TOOL, arguments={"image_url": png_base64(), "max_long_edge": "16", **more})


def only_chat(coze: CozeSimulator) -> Chat:
    (chat,) = coze.chats.all
    return chat


def assert_done(row: BridgeChat, coze: CozeSimulator) -> None:
    assert (row.state, row.error) == ("done", "")
    assert [chat.status for chat in coze.chats.all] == ["completed"]


# The good way


def test_a_chat_without_tools_gives_its_answer(coze: CozeSimulator) -> None:
    row = ask()
    assert_done(row, coze)
    assert row.answer == "你好，\u2028我在。"


def test_runs_the_ability_and_hands_the_picture_over(coze: CozeSimulator, upscale: Ability, worker: None) -> None:
    coze.chats.script(Round(text="稍等", calls=(upscale_call(),)), DONE)
    row = ask()
    assert_done(row, coze)
    assert row.answer == "稍等\n好了"
    (output,) = only_chat(coze).outputs
    assert output["taskStatus"] == "succeeded"
    assert output["imageUrl"]
    assert coze.files.uploads[output["image"]][1].startswith(b"\x89PNG")
    task = Task.objects.get()
    assert (task.source, task.owner_id) == ("coze", "service")
    assert task.inputs["values"]["max_long_edge"] == 16


def test_answers_all_calls_in_one_submit_and_goes_on_for_several_rounds(
    coze: CozeSimulator, upscale: Ability, worker: None
) -> None:
    coze.chats.script(
        Round(calls=(upscale_call(), upscale_call(max_long_edge=32))), Round(calls=(upscale_call(),)), DONE
    )
    row = ask()
    assert_done(row, coze)
    assert [len(submit) for submit in only_chat(coze).submits] == [2, 1]
    assert row.tool_calls == 3


def test_a_slow_ability_answers_running_and_can_be_asked_for(coze: CozeSimulator, upscale: Ability) -> None:
    coze.chats.script(Round(calls=(upscale_call(),)), DONE)
    first = ask(wait_s=0.1)
    (output,) = only_chat(coze).outputs
    assert output["taskStatus"] == "running"
    work_off()
    coze.chats.script(Round(calls=(Call(name="podi_task_get", arguments={"taskId": output["taskId"]}),)), DONE)
    ask(conversation_id=first.conversation_id)
    assert coze.chats.all[1].outputs[0]["taskStatus"] == "succeeded"
    assert Task.objects.count() == 1


# Always something


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (Call(name="no_such_tool"), "TOOL_UNKNOWN"),
        (Call(name=TOOL, arguments="not json"), "ARGUMENTS_INVALID"),
        (Call(name=TOOL, arguments="[1]"), "ARGUMENTS_INVALID"),
        (Call(name=TOOL, arguments=""), "INVALID_INPUT"),
        (Call(name=TOOL, arguments={"image_url": "http://10.0.0.1/a.png"}), "URL_FORBIDDEN"),
        (Call(name="podi_task_get", arguments={"taskId": "nobody"}), "TASK_NOT_FOUND"),
    ],
)
def test_what_cannot_be_run_is_answered_with_a_clear_failure(
    coze: CozeSimulator, upscale: Ability, call: Call, code: str
) -> None:
    coze.chats.script(Round(calls=(call,)), DONE)
    assert_done(ask(), coze)
    (output,) = only_chat(coze).outputs
    assert output["error"]["code"] == code
    assert output["error"]["message"]
    assert not Task.objects.exists()


def test_a_failed_task_is_a_clear_failure(coze: CozeSimulator, upscale: Ability, worker: None) -> None:
    Ability.objects.filter(pk=upscale.pk).update(metadata={"action": "no_such_tool", "outputs": {"images": 1}})
    coze.chats.script(Round(calls=(upscale_call(),)), DONE)
    assert_done(ask(), coze)
    assert only_chat(coze).outputs[0]["error"]["code"] == "PODI_UTILITY_UNSUPPORTED"


def test_a_tool_that_breaks_inside_is_answered_too(coze: CozeSimulator, upscale: Ability) -> None:
    coze.chats.script(Round(calls=(upscale_call(),)), DONE)
    made = desk()
    Ability.objects.all().delete()  # after the tools were read: the row that the call needs is gone
    asyncio.run(serving.ask(made, bot_id=BOT, coze_user_id="u1", question="?"))
    assert only_chat(coze).outputs[0]["error"]["code"] == "INTERNAL_ERROR"


def test_a_picture_that_coze_does_not_take_loses_nothing_else(
    coze: CozeSimulator, upscale: Ability, worker: None
) -> None:
    coze.add_fault("POST /v1/files/upload", "cut")
    coze.chats.script(Round(calls=(upscale_call(),)), DONE)
    assert_done(ask(), coze)
    (output,) = only_chat(coze).outputs
    assert (output["image"], output["taskStatus"]) == ("", "succeeded")
    assert output["imageUrl"]


# What breaks on the way


@pytest.mark.parametrize("fault", ["cut", "error", "unknown", "no_done", "json"])
def test_a_stream_that_breaks_before_the_tools_does_not_end_the_chat(
    coze: CozeSimulator, upscale: Ability, worker: None, fault: str
) -> None:
    coze.chats.script(Round(calls=(upscale_call(),), fault=fault), DONE)
    assert_done(ask(), coze)
    assert only_chat(coze).outputs[0]["taskStatus"] == "succeeded"


@pytest.mark.parametrize("fault", ["cut", "error", "unknown", "no_done", "json"])
def test_a_stream_that_breaks_after_the_submit_does_not_end_the_chat(
    coze: CozeSimulator, upscale: Ability, worker: None, fault: str
) -> None:
    coze.chats.script(Round(calls=(upscale_call(),)), Round(text="好了", fault=fault))
    row = ask()
    assert_done(row, coze)
    assert row.answer == "好了"
    assert len(only_chat(coze).submits) == 1


@pytest.mark.parametrize("kind", ["cut", "cut_after", "status"])
def test_a_submit_that_fails_is_repeated_and_the_tool_is_not(
    coze: CozeSimulator, upscale: Ability, worker: None, kind: str
) -> None:
    coze.add_fault("POST /v3/chat/submit_tool_outputs", kind)
    coze.chats.script(Round(calls=(upscale_call(),)), DONE)
    assert_done(ask(), coze)
    assert len(only_chat(coze).submits) == 1
    assert Task.objects.count() == 1


def test_a_chat_whose_opening_was_never_answered_is_found_and_not_opened_twice(coze: CozeSimulator) -> None:
    coze.add_fault("POST /v3/chat", "cut_after")
    assert_done(ask(), coze)
    assert len(coze.chats.all) == 1


def test_waits_for_an_earlier_chat_of_the_same_conversation(coze: CozeSimulator) -> None:
    first = ask()
    earlier = only_chat(coze)
    earlier.status = "in_progress"
    threading.Timer(0.2, lambda: setattr(earlier, "status", "completed")).start()
    assert ask(conversation_id=first.conversation_id).state == "done"
    assert len(coze.chats.all) == 2


def test_a_chat_that_fails_at_coze_says_so(coze: CozeSimulator) -> None:
    coze.chats.script(Round(fault="failed"))
    row = ask()
    assert (row.state, row.error) == ("failed", "The chat ended as 5000: the model is overloaded")


def test_what_coze_refuses_for_good_ends_the_row(coze: CozeSimulator) -> None:
    coze.chats.bots = {"another"}
    row = ask()
    assert row.state == "failed"
    assert "4015" in row.error
    assert not coze.chats.all


def test_a_question_of_a_workflow_is_left_to_the_user(coze: CozeSimulator) -> None:
    coze.chats.script(Round(calls=(Call(name="ask", kind="reply_message"),)))
    row = ask()
    assert row.state == "failed"
    assert "question" in row.error
    assert not only_chat(coze).submits


# Death and restart


def test_R1_another_process_goes_on_with_an_open_chat_and_makes_no_second_task(
    coze: CozeSimulator, upscale: Ability
) -> None:
    """The first process dies while the tool waits for its task: claims run out, the task goes on by itself."""
    coze.chats.script(Round(calls=(upscale_call(),)), DONE)
    dying = desk(wait_s=60)

    async def die_in_the_middle() -> BridgeChat:
        row = await abilities.in_thread(lambda: records.add(bot_id=BOT, coze_user_id="u1", question="放大"))
        claimed = await abilities.in_thread(lambda: records.claim(row.pk, dying.claimer))
        assert claimed is not None
        leading = asyncio.create_task(serving.lead(dying, claimed))
        while not await abilities.in_thread(Task.objects.exists):
            await asyncio.sleep(0.02)
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
        return row

    row = asyncio.run(die_in_the_middle())
    row.refresh_from_db()
    assert (row.state, only_chat(coze).status) == ("open", "requires_action")
    work_off()
    assert serve_once() == 1
    row.refresh_from_db()
    assert_done(row, coze)
    assert Task.objects.count() == 1
    assert only_chat(coze).outputs[0]["taskStatus"] == "succeeded"


def test_a_chat_is_led_by_one_process_at_a_time(coze: CozeSimulator) -> None:
    row = records.add(bot_id=BOT, coze_user_id="u1", question="?")
    assert records.claim(row.pk, "one") is not None
    assert records.claim(row.pk, "two") is None
    assert not records.note(row, "two", chat_id="x")
    assert not records.renew(row.pk, "two")
    assert records.renew(row.pk, "one")
    assert serve_once() == 0
    records.release(row.pk, "one")
    assert serve_once() == 1
    assert len(coze.chats.all) == 1


def test_serves_what_was_asked_for_and_stops_when_told(coze: CozeSimulator) -> None:
    for number in range(3):
        records.add(bot_id=BOT, coze_user_id="u1", question=f"q{number}")

    async def serve() -> int:
        stop = asyncio.Event()
        serving_now = asyncio.create_task(serving.serve(desk_made, at_once=2, stop=stop))
        deadline = time.monotonic() + 10
        while await abilities.in_thread(BridgeChat.objects.exclude(state="done").exists):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        stop.set()
        return await serving_now

    desk_made = desk()
    assert asyncio.run(serve()) == 3
    assert len(coze.chats.all) == 3


# The command


def test_the_command_prints_the_answer(coze: CozeSimulator, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("coze_bridge", ask="你好", bot=BOT)
    assert "我在" in capsys.readouterr().out


def test_the_command_says_what_is_missing(settings: Any, coze: CozeSimulator) -> None:
    with pytest.raises(CommandError, match="COZE_BOT_ID"):
        call_command("coze_bridge", ask="你好", bot="")
    with pytest.raises(CommandError, match="nothing_like_it"):
        call_command("coze_bridge", ask="你好", bot=BOT, abilities=["nothing_like_it"])
    settings.PROVIDER_ENDPOINTS = {}
    with pytest.raises(CommandError, match="COZE_NOT_CONFIGURED"):
        call_command("coze_bridge", ask="你好", bot=BOT)
    assert not coze.journal


def test_the_simulator_s_pictures_differ() -> None:
    assert picture("a") != picture("b")


def test_the_operator_sees_the_chats(coze: CozeSimulator, operator: User, client: Client) -> None:
    row = ask()
    client.force_login(operator)
    for page in ("", f"{row.pk}/change/"):
        answer = client.get(f"/admin/coze_plugin/bridgechat/{page}")
        assert answer.status_code == 200
        assert row.chat_id in answer.content.decode()
