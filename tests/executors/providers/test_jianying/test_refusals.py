"""Wrong documents: every wrong place is named at once, before anything is fetched or made; the rest is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executors.providers.base import Endpoint, Order, ProviderRejected
from executors.providers.jianying.adapter import JianYingProvider
from executors.providers.jianying.probe import ProbeFailed, probe
from tests.executors.providers.test_jianying.drafts import (
    HOST,
    S,
    alone,
    document,
    make,
    order_of,
    read_all,
    refused,
    segment,
    span,
    submit,
    track,
    warned,
)

AT = "tracks[0].segments[0]"


@pytest.mark.parametrize(
    ("kind", "more", "place"),
    [
        ("video", {"material_url": ""}, "material_url"),
        ("video", {"material_url": "input:images[0]"}, "material_url"),
        ("video", {"time_range": {"start": 5, "end": 5}}, "time_range"),
        ("video", {"time_range": {"start": 0}}, "time_range"),
        ("video", {"time_range": {"start": "0", "end": 5 * S}}, "time_range.start"),
        ("video", {"time_range": {"start": -1, "end": 5 * S}}, "time_range.start"),
        ("video", {"time_range": None}, "time_range"),
        ("video", {"time_range": {"start": 0, "end": 10**12}}, "time_range.end"),
        ("video", {"material_range": span(3, 2)}, "material_range"),
        ("video", {"material_range": span(0, 8), "speed": {"speed": 1}}, "material_range"),
        ("video", {"speed": {"speed": 0}}, "speed.speed"),
        ("video", {"speed": {"reverse": True}}, "speed.reverse"),
        ("video", {"speed": 2}, "speed"),
        ("video", {"audio": {"volume": 11}}, "audio.volume"),
        ("video", {"transform": {"opacity": 1.5}}, "transform.opacity"),
        ("video", {"transform": {"scale_x": "big"}}, "transform.scale_x"),
        ("video", {"crop": {"left": 0.8, "right": 0.2}}, "crop"),
        ("video", {"effects": {"filter_type": "暖冬"}}, "effects.filter_type"),
        ("video", {"effects": {"transition_type": "没有这个"}}, "effects.transition_type"),
        (
            "video",
            {"effects": {"transition_type": "叠化", "transition_duration": 9 * S}},
            "effects.transition_duration",
        ),
        ("video", {"background": {"color": "red"}}, "background.color"),
        ("video", {"keyframes": {"position": [{"time": 0, "value": 1}]}}, "keyframes.position[0].value"),
        ("video", {"keyframes": {"scale": [{"time": 9 * S, "value": 1}]}}, "keyframes.scale[0].time"),
        ("video", {"keyframes": {"opacity": [{"value": 1}]}}, "keyframes.opacity[0].time"),
        ("video", {"keyframes": {"rotation": {"time": 0}}}, "keyframes.rotation"),
        ("image", {"time_range": span(0, 11_000)}, "time_range"),
        ("image", {"background": {"fit_mode": "sideways"}}, "background.fit_mode"),
        ("image", {"animations": {"intro": "没有这个"}}, "animations.intro"),
        ("image", {"animations": {"intro": "放大", "intro_duration": 5 * S}}, "animations.intro_duration"),
        ("image", {"animations": {"intro": "放大", "group": "哈哈镜"}}, "animations.group"),
        ("image", {"dimensions": {"width": 1.5}}, "dimensions.width"),
        ("image", {"keyframes": {"volume": [{"time": 0, "value": 1}]}}, "keyframes.volume"),
        ("audio", {"audio": {"fade_in": 3 * S, "fade_out": 3 * S}}, "audio.fade_out"),
        ("audio", {"audio": {"effect_type": "没有这个"}}, "audio.effect_type"),
        ("audio", {"audio": {"speed": 1000}}, "audio.speed"),
        ("audio", {"keyframes": {"position": [{"time": 0, "value": {"x": 0, "y": 0}}]}}, "keyframes.position"),
        ("text", {"content": ""}, "content"),
        ("text", {"content": "x" * 5001}, "content"),
        ("text", {"content": ["a"]}, "content"),
        ("text", {"alignment": "justify"}, "alignment"),
        ("text", {"style": {"font_family": "没有这个"}}, "style.font_family"),
        ("text", {"style": {"color": "#12345"}}, "style.color"),
        ("text", {"style": {"font_weight": "heavy"}}, "style.font_weight"),
        ("text", {"style": {"stroke": {"width": 500}}}, "style.stroke.width"),
        ("text", {"animations": {"loop": "没有这个"}}, "animations.loop"),
        ("text", {"keyframes": {"opacity": [{"time": 0, "value": 1}]}}, "keyframes.opacity"),
        ("sticker", {"resource_id": ""}, "resource_id"),
        ("sticker", {"resource_id": "../../x"}, "resource_id"),
        ("sticker", {"flip": {"horizontal": "yes"}}, "flip.horizontal"),
        ("effect", {"effect_type": "没有这个"}, "effect_type"),
        ("effect", {"effect_type": None}, "effect_type"),
        ("effect", {"properties": {"intensity": 5}}, "properties.intensity"),
        ("filter", {"filter_type": "暖冬"}, "filter_type"),
        ("filter", {"intensity": -1}, "intensity"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(kind: str, more: dict[str, Any], place: str) -> None:
    assert set(refused(alone(kind, **more))) == {f"{AT}.{place}"}


def test_a_wrong_name_comes_with_near_ones() -> None:
    message = refused(alone("filter", filter_type="书意二"))[f"{AT}.filter_type"]
    assert "书意" in message


def test_all_wrong_places_are_named_at_once() -> None:
    bad = document(
        track("video", segment("video", 0, 3), segment("image", 2, 4)),
        track("text", segment("sticker")),
        track("hologram"),
        track("audio", segment("audio", audio={"volume": -1}), volume="loud"),
    )
    assert set(refused(bad)) == {
        "tracks[0].segments[1].time_range",
        "tracks[1].segments[0].type",
        "tracks[2].track_type",
        "tracks[3].volume",
        "tracks[3].segments[0].audio.volume",
    }


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("{", "content"),
        ("[]", "content"),
        ("3", "content"),
        ("{}", "content"),
        ('{"tracks": NaN}', "content"),
        ('{"tracks": [], "tracks": []}', "content"),
        ('{"tracks": ' + "9" * 400 + "}", "content"),
        ("[" * 100_000, "content"),
        ("x" * 1_000_001, "content"),
        ('{"tracks": {}}', "tracks"),
        ('{"tracks": []}', "tracks"),
        ('{"tracks": null}', "tracks"),
        ('{"tracks": [3]}', "tracks[0]"),
        ('{"drafts": []}', "drafts"),
        ('{"drafts": [{"tracks": []}], "draft_count": 2}', "draft_count"),
        ('{"output": "no json"}', "content"),
    ],
)
def test_what_is_no_draft_is_refused(content: str, place: str) -> None:
    assert place in refused(content)


@pytest.mark.parametrize(
    ("project", "place"),
    [({"width": 0}, "project.width"), ({"fps": 29.97}, "project.fps"), ({"name": 3}, "project.name")],
)
def test_a_wrong_project_is_refused(project: dict[str, Any], place: str) -> None:
    assert set(refused({"project": project, "tracks": [track("text", segment("text"))]})) == {place}


def test_too_many_of_anything_is_refused() -> None:
    texts = [segment("text", i, i + 1) for i in range(1001)]
    assert set(refused(document(track("text", *texts)))) == {"tracks[0].segments"}
    assert set(refused(document(*[track("text", segment("text"))] * 61))) == {"tracks"}
    halves = [track("text", *texts[:600]), track("text", *texts[:600])]
    assert set(refused(document(*halves))) == {"tracks[1].segments"}
    files = [segment("image", i, i + 1, material_url=f"{HOST}/{i}.png") for i in range(101)]
    assert set(refused(document(track("video", *files)))) == {"tracks[0].segments[100].material_url"}
    keys = [{"time": 0, "value": 1}] * 201
    assert set(refused(alone("video", keyframes={"scale": keys}))) == {f"{AT}.keyframes.scale"}
    drafts = {"drafts": [alone("text")] * 21}
    assert set(refused(drafts)) == {"drafts"}


def test_reading_stops_where_too_much_is_wrong() -> None:
    wrong = [segment("filter", i, i + 1, filter_type="x" * 100 + str(i)) for i in range(1000)]
    assert len(refused(document(track("filter", *wrong)))) == 50


def test_a_probe_that_dies_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ProbeFailed):
        probe([tmp_path / "nowhere.mp4"])


def test_a_thousand_segments_are_made() -> None:
    made = make(document(track("text", *[segment("text", i, i + 1) for i in range(1000)])))
    assert len(made.segments()) == 1000


def test_milliseconds_are_said_not_guessed() -> None:
    content = document(track("text", {**segment("text"), "time_range": {"start": 0, "end": 15_000}}))
    assert "time_unit=ms" in refused(content)["tracks"]
    made = make(content, time_unit="ms")
    assert made.segments()[0]["target_timerange"] == {"start": 0, "duration": 15 * S}
    micros = document(track("text", segment("text", 0, 60)))
    assert "microseconds" in refused(micros, time_unit="ms")[f"{AT}.time_range.end"]
    assert set(refused(alone("text"), time_unit="s")) == {"time_unit"}


def test_what_a_draft_cannot_say_is_told_with_its_path() -> None:
    made = make(
        document(
            track(
                "video",
                segment("image", glow=1, dimensions={"width": 9, "height": 9}, effects={"filter_intensity": 0.5}),
                name="main",
            ),
            track("text", segment("text"), volume=0.5),
            subtitle_language="zh",
            draft_id="x",
            status="y",
        )
    )
    assert warned(made) == {
        "tracks[0].segments[0].glow",
        "tracks[0].segments[0].dimensions",
        "tracks[0].segments[0].effects.filter_intensity",
        "tracks[0].name",
        "tracks[1].volume",
        "subtitle_language",
    }


@pytest.mark.parametrize("wrap", ["plain", "output", "export", "list"])
def test_the_four_wrappings_give_the_same_draft(wrap: str) -> None:
    draft = alone("text")
    wrapped: dict[str, Any] = {
        "plain": draft,
        "output": {"output": json.dumps(draft)},
        "export": {"format_version": "1.0", "export_type": "single_draft", "draft_count": 1, "drafts": [draft]},
        "list": {"items": [draft]},
    }[wrap]
    assert make(wrapped).content["tracks"] == make(draft).content["tracks"]


def test_a_batch_gives_an_archive_each() -> None:
    names = ["one", "two"]
    drafts = [{**alone("video"), "project": {"name": name}} for name in names]
    made = read_all(submit(order_of({"format_version": "1.0", "export_type": "batch_draft", "drafts": drafts})))
    assert [one.summary["name"] for one in made] == names
    assert [one.folder.rsplit("_", 1)[0] for one in made] == names
    assert made[0].content["id"] != made[1].content["id"]
    bad = {"drafts": [alone("text"), alone("text", alignment="up")]}
    assert set(refused(bad)) == {"drafts[1].tracks[0].segments[0].alignment"}


# What only the files themselves can show


def rejected(order: Order, **options: Any) -> ProviderRejected:
    with pytest.raises(ProviderRejected) as caught:
        submit(order, **options)
    return caught.value


def test_a_film_that_is_too_short_is_refused_and_a_rounded_one_is_cut() -> None:
    error = rejected(order_of(alone("video", time_range=span(0, 12))))
    assert error.code == "INVALID_INPUT"
    assert set(error.fields) == {f"{AT}.time_range"}
    error = rejected(order_of(alone("video", material_range=span(8, 12))))
    assert set(error.fields) == {f"{AT}.material_range"}
    made = make(alone("video", time_range=span(0, 10.05)))
    assert made.segments()[0]["target_timerange"]["duration"] == 10 * S
    assert warned(made) == {f"{AT}.time_range"}


@pytest.mark.parametrize(
    ("kind", "file"), [("video", "/junk.mp4"), ("audio", "/film.mp4"), ("audio", "/junk.mp4"), ("video", "/sound.mp4")]
)
def test_a_file_of_the_wrong_kind_is_refused_by_its_path(kind: str, file: str) -> None:
    error = rejected(order_of(alone(kind, material_url=f"{HOST}{file}")))
    assert set(error.fields) == {f"{AT}.material_url"}


def test_one_file_cannot_be_a_picture_and_a_sound() -> None:
    url = f"{HOST}/a.png"
    content = document(
        track("video", segment("image", material_url=url)), track("audio", segment("audio", material_url=url))
    )
    assert set(refused(content)) == {"tracks[1].segments[0].material_url"}


def test_a_file_that_did_not_come_is_refused() -> None:
    order = order_of(alone("video"))
    error = rejected(Order(task_id="t", operation=order.operation, params=order.params))
    assert set(error.fields) == {f"{AT}.material_url"}


def test_an_archive_has_its_limit() -> None:
    from dataclasses import replace

    order = order_of(alone("video"))
    heavy = replace(order, files=tuple(replace(f, size_bytes=3 * 1024 * 1024) for f in order.files))
    assert rejected(heavy, max_archive_mib=2).code == "DRAFT_TOO_LARGE"


def test_another_operation_is_refused() -> None:
    order = Order(task_id="t", operation="draft_export", params={})
    assert rejected(order).code == "DRAFT_UNSUPPORTED"
    with pytest.raises(ProviderRejected):
        JianYingProvider(Endpoint(kind="jianying")).examine("draft_export", {})
