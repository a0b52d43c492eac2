"""print_readiness: the numbers, the verdict and the warnings of known pictures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from executors.providers.imaging.lengths import dpi_of, round_down, to_mm, to_px
from executors.providers.imaging.profiles import srgb_profile
from executors.providers.imaging.warnings import SENTENCES, warn
from tests.executors.providers.pictures import png, sample, save
from tests.executors.providers.running import only_output, rejected, run


def report(data: bytes, **params: Any) -> dict[str, Any]:
    found = run("print_readiness", data, **params).metadata
    return dict(found)


def plain(width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
    return save(Image.new(mode, (width, height)), icc_profile=srgb_profile(), **options)


def codes(found: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in found["warnings"]}


def test_the_text_and_the_metadata_say_the_same_and_no_picture_is_made() -> None:
    made = run("print_readiness", png(), width_mm=10)
    output = only_output(made)
    assert output.kind == "text"
    assert (output.data, output.content_type, output.tag) == (None, "application/json", "podi-print-readiness")
    assert json.loads(output.text or "") == made.metadata
    assert "output" not in made.raw["request"]


def test_enough_pixels_are_ready() -> None:
    found = report(plain(1181, 591), width_mm=100, height_mm=50)
    assert found["verdict"] == "ready"
    assert found["wanted"] == {"width_mm": 100, "height_mm": 50, "dpi": 300, "width_px": 1181, "height_px": 591}
    assert found["effective_dpi"] == {"x": 299.9, "y": 300.2, "min": 299.9}
    assert codes(found) == set()


def test_one_pixel_less_is_not_enough_and_the_number_shows_it() -> None:
    found = report(plain(1180, 591), width_mm=100, height_mm=50)
    assert (found["verdict"], codes(found)) == ("usable", {"TOO_FEW_PIXELS"})
    assert found["effective_dpi"]["min"] == 299.7


def test_far_too_few_pixels_are_not_ready() -> None:
    found = report(plain(500, 250), width_mm=100, height_mm=50)
    assert found["verdict"] == "not_ready"
    assert "FAR_TOO_FEW_PIXELS" in codes(found)
    assert found["effective_dpi"]["min"] == 127.0


def test_the_callers_limits_count() -> None:
    assert report(plain(500, 250), width_mm=100, height_mm=50, min_dpi=100)["verdict"] == "usable"
    assert report(plain(500, 250), width_mm=100, height_mm=50, dpi=100)["verdict"] == "ready"


def test_the_largest_size_never_promises_too_much() -> None:
    found = report(plain(1000, 500))
    assert found["largest_size_mm"] == {"dpi": 300, "width": 84.6, "height": 42.3}
    assert (found["verdict"], found["wanted"], found["effective_dpi"]) == ("size_unknown", None, None)
    assert codes(found) == {"SIZE_UNKNOWN"}


def test_a_missing_side_follows_from_the_shape() -> None:
    assert report(plain(400, 200), width_mm=100)["wanted"]["height_mm"] == 50
    assert report(plain(400, 200), height_mm=100)["wanted"]["width_mm"] == 200


def test_another_shape_is_said() -> None:
    found = report(plain(3000, 3000), width_mm=100, height_mm=80)
    assert (found["verdict"], codes(found)) == ("usable", {"SHAPE_DIFFERS"})


@pytest.mark.parametrize(
    ("wanted", "alpha", "verdict"),
    [
        ("any", 255, "ready"),
        ("required", 0, "ready"),
        ("required", 128, "ready"),
        ("required", 255, "not_ready"),
        ("forbidden", 0, "not_ready"),
        ("forbidden", 255, "ready"),
    ],
)
def test_the_wanted_transparency(wanted: str, alpha: int, verdict: str) -> None:
    image = Image.new("RGBA", (300, 300), (255, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, alpha))
    data = save(image, icc_profile=srgb_profile())
    assert report(data, width_mm=10, height_mm=10, transparency=wanted)["verdict"] == verdict


def test_the_shares_of_transparency() -> None:
    image = Image.new("RGBA", (10, 10), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 10, 3))
    image.putpixel((9, 9), (0, 0, 0, 7))
    found = report(save(image))["transparency"]
    assert found == {"has_alpha": True, "transparent_share": 0.3, "partial_share": 0.01}
    assert report(png(mode="RGB"))["transparency"]["has_alpha"] is False
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    assert report(save(palette, transparency=1))["transparency"]["transparent_share"] == 0.5


def test_a_lone_transparent_pixel_is_not_rounded_away() -> None:
    image = Image.new("RGBA", (200, 200), (255, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    assert report(save(image))["transparency"]["transparent_share"] == 0.0001


def test_what_the_file_says_of_itself() -> None:
    data = plain(100, 100, dpi=(72, 72))
    found = report(data, width_mm=10, height_mm=10)
    assert found["stored_dpi"] == [72.01, 72.01]
    assert found["file"] == {"format": "PNG", "size_bytes": len(data), "frames": 1, "orientation": 1}
    assert found["color"]["profile"].startswith("sRGB")
    assert "DPI_DIFFERS" in codes(found)


def test_the_profile_missing_or_damaged() -> None:
    assert "NO_PROFILE" in codes(report(png(), width_mm=0.1 + 1))
    found = report(png(icc_profile=b"no profile at all"), width_mm=1)
    assert "PROFILE_UNREADABLE" in codes(found)
    assert found["verdict"] == "not_ready"


@pytest.mark.parametrize(("mode", "format"), [("CMYK", "TIFF"), ("L", "PNG")])
def test_colours_that_are_not_rgb_are_said(mode: str, format: str) -> None:
    found = report(save(sample((300, 300), "RGB").convert(mode), format), width_mm=10)
    assert "NOT_RGB" in codes(found)
    assert found["color"]["mode"] == mode


def test_the_depth_of_the_file_is_told() -> None:
    assert report(save(Image.new("I;16", (4, 4))))["color"]["bits"] == 16
    assert report(png())["color"]["bits"] == 8
    assert report(save(Image.new("1", (4, 4))))["color"]["bits"] == 1
    assert report(save(Image.new("I;16", (4, 4)), "TIFF"))["color"]["bits"] == 16


def test_a_turned_picture_is_measured_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    found = report(save(sample((40, 20)), "JPEG", exif=exif))
    assert (found["pixels"]["width"], found["pixels"]["height"], found["file"]["orientation"]) == (20, 40, 8)
    assert "LOSSY_FORMAT" in codes(found)


def test_the_sentences_come_in_the_wanted_language() -> None:
    chinese = report(png())["warnings"][0]["message"]
    english = report(png(), language="en")["warnings"][0]["message"]
    assert any("一" <= sign <= "鿿" for sign in chinese)
    assert english.isascii()


def test_every_sentence_can_be_filled_in_both_languages() -> None:
    facts = dict.fromkeys(("dpi", "wanted", "least", "percent", "frames", "stored", "scale", "score"), 1.5) | {
        "mode": "L"
    }
    for code in SENTENCES:
        for language in ("en", "zh"):
            assert "{" not in warn(code, **facts).as_json(language)["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("width_mm", 0), ("height_mm", "x"), ("dpi", 5), ("min_dpi", 0), ("transparency", "some"), ("language", "fr")],
)
def test_names_the_wrong_field(field: str, value: object) -> None:
    assert list(rejected("print_readiness", png(), **{field: value}).fields) == [field]


@given(st.floats(1, 10_000), st.floats(10, 2400))
def test_millimetres_to_pixels_and_back_stay_within_half_a_pixel(length_mm: float, dpi: float) -> None:
    px = to_px(length_mm, dpi)
    assert px == 1 or abs(to_mm(px, dpi) - length_mm) <= to_mm(0.5, dpi) + 1e-9
    assert dpi_of(px, length_mm) > 0


@given(st.floats(0, 1e6))
def test_rounding_down_never_promises_more(value: float) -> None:
    assert round_down(value) <= value + 1e-6
    assert value - round_down(value) < 0.1 + 1e-6
