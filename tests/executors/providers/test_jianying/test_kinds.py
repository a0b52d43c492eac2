"""Every documented kind of segment: what was asked for stands in the draft, or is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from executors.providers.jianying.materials import DRAFT_FOLDER
from tests.executors.providers.test_jianying.drafts import (
    HOST,
    S,
    alone,
    document,
    make,
    order_of,
    segment,
    span,
    submit,
    track,
    warned,
)


def test_a_video_with_everything() -> None:
    made = make(
        alone(
            "video",
            material_range=span(2, 8),
            speed={"speed": 1.5, "reverse": False},
            audio={"volume": 0.5, "change_pitch": True},
            transform={
                "position_x": 0.5,
                "position_y": -0.25,
                "scale_x": 2,
                "scale_y": 1.5,
                "rotation": 30,
                "opacity": 0.8,
            },
            crop={"enabled": True, "left": 0.1, "top": 0.2, "right": 0.9, "bottom": 0.7},
            effects={
                "filter_type": "书意",
                "filter_intensity": 0.6,
                "transition_type": "叠化",
                "transition_duration": S,
            },
            background={"blur": True},
            keyframes={
                "position": [{"time": 0, "value": {"x": 0, "y": 0}}, {"time": S, "value": {"x": 0.5, "y": 1}}],
                "scale": [{"time": 0, "value": 1}, {"time": 2 * S, "value": 2}],
                "rotation": [{"time": 0, "value": 90}],
                "opacity": [{"time": S, "value": 0.3}],
            },
        )
    )
    [found] = made.segments()
    assert found["target_timerange"] == {"start": 0, "duration": 4 * S}
    assert found["source_timerange"] == {"start": 2 * S, "duration": 6 * S}
    assert (found["speed"], found["volume"], found["is_tone_modify"]) == (1.5, 0.5, True)
    assert made.extra("speeds", found)["speed"] == 1.5
    assert found["clip"]["transform"] == {"x": 0.5, "y": -0.25}
    assert found["clip"]["scale"] == {"x": 2, "y": 1.5}
    assert (found["clip"]["rotation"], found["clip"]["alpha"]) == (30, 0.8)
    material = made.material("videos", found["material_id"])
    assert (material["type"], material["duration"], material["width"], material["height"]) == ("video", 10 * S, 64, 36)
    assert material["crop"]["upper_left_x"] == material["crop"]["lower_left_x"] == 0.1
    assert (material["crop"]["upper_left_y"], material["crop"]["lower_right_y"]) == (0.2, 0.7)
    assert material["crop"]["lower_right_x"] == 0.9
    assert (made.extra("effects", found)["name"], made.extra("effects", found)["value"]) == ("书意", 0.6)
    transition = made.extra("transitions", found)
    assert (transition["name"], transition["duration"]) == ("叠化", S)
    assert made.extra("canvases", found)["type"] == "canvas_blur"
    assert made.keys(found) == {
        "KFTypePositionX": [(0, 0.0), (S, 0.5)],
        "KFTypePositionY": [(0, 0.0), (S, 1.0)],
        "KFTypeScaleX": [(0, 1.0), (2 * S, 2.0)],
        "KFTypeRotation": [(0, 90.0)],
        "KFTypeAlpha": [(S, 0.3)],
    }
    assert warned(made) == {"tracks[0].segments[0].effects.transition_type"}  # nothing follows it


def test_a_picture_with_everything() -> None:
    made = make(
        alone(
            "image",
            dimensions={"width": 64, "height": 36},
            transform={"scale_x": 1.2, "scale_y": 1.2},
            crop={"enabled": False, "left": 0.4},
            effects={"filter_type": "书意"},
            background={"blur": False, "color": "#102030", "fit_mode": "fit"},
            animations={"intro": "放大", "intro_duration": S // 2, "outro": "镜像翻转", "outro_duration": S},
            keyframes={"scale": [{"time": 0, "value": {"x": 1, "y": 2}}]},
        )
    )
    [found] = made.segments()
    material = made.material("videos", found["material_id"])
    assert (material["type"], material["duration"]) == ("photo", 3 * 3600 * S)
    assert material["crop"]["upper_left_x"] == 0
    assert made.extra("canvases", found) | {"id": ""} == {
        "id": "",
        "type": "canvas_color",
        "blur": 0.0625,
        "color": "#102030ff",
        "source_platform": 0,
    }
    intro, outro = made.extra("material_animations", found)["animations"]
    assert (intro["name"], intro["type"], intro["start"], intro["duration"]) == ("放大", "in", 0, S // 2)
    assert (outro["name"], outro["type"], outro["start"], outro["duration"]) == ("镜像翻转", "out", 3 * S, S)
    assert made.keys(found) == {"KFTypeScaleX": [(0, 1.0)], "KFTypeScaleY": [(0, 2.0)]}
    assert made.summary["warnings"] == []


@pytest.mark.parametrize(
    ("fit", "scale"),
    [("fit", (1.0, 1.0)), ("fill", (32 / 9, 32 / 9)), ("stretch", (32 / 9, 1.0))],
)
def test_a_picture_fills_the_canvas_as_asked(fit: str, scale: tuple[float, float]) -> None:
    """30x60 on 1280x720: shown 360 wide; 1280 are 32/9 of it."""
    made = make(alone("image", material_url=f"{HOST}/tall.png", background={"fit_mode": fit}))
    found = made.segments()[0]["clip"]["scale"]
    assert (found["x"], found["y"]) == pytest.approx(scale)


def test_a_sound_with_everything() -> None:
    made = make(
        document(
            track(
                "audio",
                segment(
                    "audio",
                    1,
                    3,
                    material_range=span(2, 6),
                    audio={
                        "volume": 0.8,
                        "fade_in": S // 2,
                        "fade_out": S // 4,
                        "effect_type": "低音增强",
                        "effect_intensity": 0.25,
                        "speed": 2,
                        "change_pitch": True,
                    },
                    keyframes={"volume": [{"time": 0, "value": 0.2}, {"time": S, "value": 1}]},
                ),
                volume=0.5,
                muted=True,
            )
        )
    )
    [found] = made.segments()
    assert found["target_timerange"] == {"start": S, "duration": 2 * S}
    assert found["source_timerange"] == {"start": 2 * S, "duration": 4 * S}
    assert (found["speed"], found["volume"], found["is_tone_modify"]) == (2.0, 0.4, True)
    assert made.content["tracks"][0]["attribute"] == 1
    fade = made.extra("audio_fades", found)
    assert (fade["fade_in_duration"], fade["fade_out_duration"]) == (S // 2, S // 4)
    effect = made.extra("audio_effects", found)
    assert effect["name"] == "低音增强"
    [strength] = effect["audio_adjust_params"]
    assert strength["value"] == strength["min_value"] + (strength["max_value"] - strength["min_value"]) * 0.25
    assert made.keys(found) == {"KFTypeVolume": [(0, 0.1), (S, 0.5)]}
    assert made.material("audios", found["material_id"])["duration"] == 8 * S


def test_a_picture_that_moves_is_as_long_as_its_frames() -> None:
    made = make(alone("image", material_url=f"{HOST}/moving.gif", time_range=span(0, 1)))
    [material] = made.materials["videos"]
    assert (material["type"], material["duration"]) == ("video", S)


def test_an_mp4_without_pictures_is_a_sound() -> None:
    made = make(alone("audio", material_url=f"{HOST}/sound.mp4"))
    [material] = made.materials["audios"]
    assert material["path"].endswith(".m4a")
    assert made.paths()[0] in made.names


def test_a_text_with_everything() -> None:
    made = make(
        alone(
            "text",
            content="标题\n第二行",
            transform={"position_x": 0, "position_y": -0.8, "scale": 1.5, "rotation": 10, "opacity": 0.9},
            style={
                "font_family": "Bungee Regular",
                "font_size": 12,
                "font_weight": "bold",
                "font_style": "italic",
                "color": "#FF8000",
                "stroke": {"enabled": True, "color": "#00FF00", "width": 50},
                "shadow": {"enabled": True, "color": "#0000FF", "offset_x": 3, "offset_y": 3, "blur": 30},
                "background": {"enabled": True, "color": "#112233", "opacity": 0.4},
            },
            alignment="center",
            animations={"intro": "向左滑动", "outro": "弹簧", "loop": "旋转"},
            keyframes={"position": [{"time": S, "value": {"x": 0.1, "y": 0.2}}]},
        )
    )
    [found] = made.segments()
    text = made.material("texts", found["material_id"])
    content = json.loads(text["content"])
    [style] = content["styles"]
    assert content["text"] == "标题\n第二行"
    assert (style["size"], style["bold"], style["italic"]) == (12, True, True)
    assert style["fill"]["content"]["solid"]["color"] == [1.0, 128 / 255, 0.0]
    assert style["font"]["id"]
    assert style["strokes"] == [{"content": {"solid": {"alpha": 1.0, "color": [0.0, 1.0, 0.0]}}, "width": 0.1}]
    [shadow] = style["shadows"]
    assert (shadow["angle"], shadow["content"]["solid"]["color"]) == (-45.0, [0.0, 0.0, 1.0])
    assert shadow["distance"] == pytest.approx(4.2426)
    assert shadow["diffuse"] == pytest.approx(0.05)
    assert (text["alignment"], text["global_alpha"]) == (1, 0.9)
    assert (text["background_color"], text["background_alpha"]) == ("#112233", 0.4)
    assert found["clip"]["scale"] == {"x": 1.5, "y": 1.5}
    assert (found["clip"]["transform"]["y"], found["clip"]["rotation"]) == (-0.8, 10)
    animations = made.extra("material_animations", found)["animations"]
    assert [(a["name"], a["type"]) for a in animations] == [("向左滑动", "in"), ("弹簧", "out"), ("旋转", "loop")]
    assert made.keys(found) == {"KFTypePositionX": [(S, 0.1)], "KFTypePositionY": [(S, 0.2)]}
    assert made.summary["warnings"] == []


def test_what_a_text_has_switched_off_is_off() -> None:
    style = {"stroke": {"enabled": False, "color": "#00FF00"}, "shadow": {"enabled": False}, "background": {}}
    text = make(alone("text", style=style)).materials["texts"][0]
    [found] = json.loads(text["content"])["styles"]
    assert found["strokes"] == []
    assert "shadows" not in found
    assert "background_color" not in text


def test_sizes_in_pixels_become_jianyings_and_that_is_told() -> None:
    made = make(alone("text", style={"font_size": 48}))
    assert json.loads(made.materials["texts"][0]["content"])["styles"][0]["size"] == 8
    assert warned(made) == {"tracks[0].segments[0].style.font_size"}


def test_a_sticker_with_everything() -> None:
    made = make(
        alone(
            "sticker",
            transform={"position_x": 0.3, "scale": 0.5, "opacity": 0.5},
            flip={"horizontal": True, "vertical": False},
            keyframes={"rotation": [{"time": 0, "value": 0}, {"time": 4 * S, "value": 360}]},
        )
    )
    [found] = made.segments()
    sticker = made.material("stickers", found["material_id"])
    assert sticker["resource_id"] == sticker["sticker_id"] == "7132097333274965279"
    assert found["clip"]["flip"] == {"horizontal": True, "vertical": False}
    assert (found["clip"]["scale"], found["clip"]["alpha"]) == ({"x": 0.5, "y": 0.5}, 0.5)
    assert made.keys(found) == {"KFTypeRotation": [(0, 0.0), (4 * S, 360.0)]}


def test_an_effect_with_its_properties() -> None:
    properties = {"intensity": 0.5, "scale": 1, "position_x": 0, "glitter": 0.3}
    made = make(alone("effect", properties=properties))
    [found] = made.segments()
    effect = made.material("video_effects", found["material_id"])
    values = {
        p["name"]: (p["value"] - p["min_value"]) / (p["max_value"] - p["min_value"]) for p in effect["adjust_params"]
    }
    assert values["effects_adjust_intensity"] == pytest.approx(0.5)
    assert values["effects_adjust_size"] == pytest.approx(1)
    assert values["effects_adjust_horizontal_shift"] == pytest.approx(0.5)
    assert effect["apply_target_type"] == 2
    assert warned(made) == {"tracks[0].segments[0].properties.glitter"}


def test_a_filter_with_its_intensity() -> None:
    made = make(alone("filter", intensity=0.35))
    [found] = made.segments()
    material = made.material("effects", found["material_id"])
    assert (material["name"], material["type"]) == ("书意", "filter")
    assert material["value"] == pytest.approx(0.35)


def test_all_kinds_together_keep_their_order_and_their_ids_resolve() -> None:
    made = make(
        document(
            track("video", segment("video", 0, 4), segment("image", 4, 6)),
            track("image", segment("image", 1, 2)),
            track("audio", segment("audio", 0, 6)),
            track("text", segment("text", 0, 2), segment("text", 2, 4)),
            track("sticker", segment("sticker", 0, 1)),
            track("effect", segment("effect", 0, 1)),
            track("filter", segment("filter", 0, 1)),
        )
    )
    kinds = [t["type"] for t in made.content["tracks"]]
    assert kinds == ["video", "video", "audio", "text", "sticker", "effect", "filter"]
    known = {item["id"] for items in made.materials.values() for item in items}
    every = [s for t in made.content["tracks"] for s in t["segments"]]
    assert {s["material_id"] for s in every} <= known
    assert {ref for s in every for ref in s.get("extra_material_refs", [])} <= known
    assert len({s["id"] for s in every}) == len(every) == 9
    assert made.content["duration"] == 6 * S
    assert (made.content["canvas_config"]["width"], made.content["fps"]) == (1280, 25)
    assert len(made.materials["videos"]) == 2, "one file shown twice is one material"
    assert made.summary["tracks"][0] == {"type": "video", "segments": 2}
    assert (made.summary["segments"], made.summary["materials"], made.summary["durationSeconds"]) == (9, 3, 6.0)


def test_a_file_cropped_two_ways_is_two_materials_and_one_file() -> None:
    made = make(document(track("video", segment("image", 0, 1, crop={"right": 0.5}), segment("image", 1, 2))))
    first, second = made.segments()
    assert first["material_id"] != second["material_id"]
    assert made.material("videos", first["material_id"])["crop"]["upper_right_x"] == 0.5
    assert made.material("videos", second["material_id"])["crop"]["upper_right_x"] == 1
    assert len([name for name in made.names if "/materials/" in name]) == 1


def test_the_archive_holds_every_file_and_names_no_server_path() -> None:
    made = make(document(track("video", segment("video")), track("audio", segment("audio"))))
    assert sorted(made.names) == sorted(
        [f"{made.folder}/draft_content.json", f"{made.folder}/draft_meta_info.json", *made.paths()]
    )
    for kind in ("videos", "audios"):
        assert all(item["path"].startswith(f"{DRAFT_FOLDER}/materials/") for item in made.materials[kind])
    everything = json.dumps(made.content) + json.dumps(made.meta)
    assert "/tmp" not in everything
    assert "evil" not in everything
    assert HOST not in everything
    assert made.archive.testzip() is None


def test_ids_are_fresh_for_each_task_and_the_same_for_the_same_order() -> None:
    content = document(track("video", segment("video")), track("text", segment("text")))
    one, again, other = (make(content, task_id=task) for task in ("task-1", "task-1", "task-2"))
    assert one.content == again.content
    assert one.meta == again.meta
    assert one.folder == again.folder
    assert one.folder != other.folder
    assert one.content["id"] != other.content["id"]
    assert one.meta["draft_id"] not in (
        one.content["id"],
        other.meta["draft_id"],
        "BC69C7CD-7C5E-4185-B284-AF3E1047A664",
    )


def test_the_same_order_gives_the_same_bytes() -> None:
    order = order_of(document(track("video", segment("video")), track("text", segment("text"))))
    first, second = (submit(order).outputs[0].file for _ in range(2))
    assert first is not None
    assert second is not None
    assert first().read() == second().read()
    assert first().read() == second().read(), "each opening begins at byte 0"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("CON", "draft_CON"),
        ("a:b*c?", "a_b_c_"),
        ("夏日 新品", "夏日 新品"),
        ("x" * 150, "x" * 60),
        ("\u202ecod.exe. ", "cod.exe"),
    ],
)
def test_a_folder_name_is_safe_everywhere(name: str, expected: str) -> None:
    content: dict[str, Any] = alone("text")
    content["project"]["name"] = name
    made = make(content)
    assert made.folder.rsplit("_", 1)[0].lstrip(".").lstrip("_") == expected.lstrip(".").lstrip("_")
    assert not made.folder.startswith(".")
    assert "/" not in made.folder
