"""The usual case without a document: pictures, music, a title, lines of text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from executors.providers.base import Order, ProviderRejected
from executors.providers.jianying.adapter import JianYingProvider
from tests.executors.providers.pictures import png
from tests.executors.providers.test_jianying.drafts import Made, S, file_for, read_all, submit
from tests.simulators.films import wav

URL = "https://files.example/music.wav"


def made(pictures: int = 3, *, sound_s: float = 60, **params: Any) -> Made:
    given = {"time_unit": "us", "seconds_per_image": 2, "ratio": "16:9", **params}
    files = [file_for("images", "image/png", png((8 + number, 6))) for number in range(pictures)]
    named = JianYingProvider.examine("draft_generate", given, pictures=["images"] * pictures).files
    assert [(f.field, f.url) for f in named] == ([("audio_url", URL)] if params.get("audio_url") else [])
    files += [file_for("audio_url", "audio/wav", wav(sound_s))] if named else []
    order = Order(task_id="t", operation="draft_generate", params=given, files=tuple(files))
    return read_all(submit(order))[0]


def refused(pictures: int, **params: Any) -> set[str]:
    with pytest.raises(ProviderRejected) as caught:
        JianYingProvider.examine("draft_generate", params, pictures=["images"] * pictures)
    assert caught.value.code == "INVALID_INPUT"
    return set(caught.value.fields)


def test_pictures_follow_each_other_in_their_order() -> None:
    draft = made(ratio="9:16", transition="叠化", name="夏日")
    segments = draft.segments()
    assert [s["target_timerange"] for s in segments] == [{"start": i * 2 * S, "duration": 2 * S} for i in range(3)]
    assert [draft.material("videos", s["material_id"])["width"] for s in segments] == [8, 9, 10]
    assert len(draft.materials["transitions"]) == 2
    assert (draft.content["canvas_config"]["width"], draft.content["canvas_config"]["height"]) == (1080, 1920)
    assert draft.folder.startswith("夏日_")
    assert draft.summary["warnings"] == []


def test_the_title_stays_and_the_lines_change() -> None:
    draft = made(title="Sale", subtitles="one\n\ntwo")
    title, lines = draft.content["tracks"][1], draft.content["tracks"][2]
    assert [s["target_timerange"] for s in title["segments"]] == [{"start": 0, "duration": 6 * S}]
    assert [s["target_timerange"]["start"] for s in lines["segments"]] == [0, 2 * S]
    texts = [json.loads(t["content"])["text"] for t in draft.materials["texts"]]
    assert texts == ["Sale", "one", "two"]


@pytest.mark.parametrize(("sound_s", "lasts_s"), [(60, 6), (4, 4)])
def test_music_is_cut_to_the_pictures_or_ends_early(sound_s: float, lasts_s: int) -> None:
    draft = made(audio_url=URL, sound_s=sound_s)
    [sound] = draft.segments(1)
    assert sound["target_timerange"] == {"start": 0, "duration": lasts_s * S}
    assert bool(draft.summary["warnings"]) == (sound_s < 6)


def test_what_is_wrong_is_named_by_the_field_of_the_form() -> None:
    assert refused(0) == {"content"}
    assert refused(0, title="x") == {"content"}
    assert refused(2, seconds_per_image=0.1) == {"seconds_per_image"}
    assert refused(2, ratio="2:1") == {"ratio"}
    assert refused(1, subtitles="a\nb") == {"subtitles"}
    assert refused(2, transition="没有这个") == {"transition"}
    assert refused(2, name="x" * 300) == {"name"}
    assert refused(1, title="x" * 6000) == {"title"}
    assert refused(1, subtitles="x" * 6000) == {"subtitles"}


def test_a_document_takes_nothing_beside_it() -> None:
    content = '{"tracks": []}'
    assert refused(1, content=content, title="x", audio_url=URL) == {"images", "title", "audio_url"}
