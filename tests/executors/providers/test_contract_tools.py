"""expand_mask_color, set_dpi and upscale_resize: fields, defaults, tags and pixels of the contract (4.5)."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from executors.providers.imaging.resize import scale_to_long_edge
from tests.executors.providers.pictures import png, read, sample, save
from tests.executors.providers.running import only_output, picture_of, pixels, rejected, run, warnings_of

CLEAR = (0, 0, 0, 0)


# expand_mask_color


def test_expand_pads_with_transparency_and_keeps_every_pixel() -> None:
    source = sample((3, 2))
    report = run("expand_mask_color", save(source), expand_left=2, expand_top=1, expand_right=1, expand_bottom=3)
    made = picture_of(report)
    assert (made.mode, made.size, made.format) == ("RGBA", (6, 6), "PNG")
    old, new = pixels(source), pixels(made)
    assert [row[2:5] for row in new[1:3]] == old
    assert {new[y][x] for y in range(6) for x in range(6) if not (1 <= y < 3 and 2 <= x < 5)} == {CLEAR}
    output = only_output(report)
    assert (output.tag, output.kind, output.content_type) == ("podi-expand-mask", "image", "image/png")


def test_expand_tells_both_sizes() -> None:
    request = run("expand_mask_color", png((4, 3)), expand_left=10).raw["request"]
    assert (request["input"]["width"], request["input"]["height"]) == (4, 3)
    assert (request["output"]["width"], request["output"]["height"]) == (14, 3)
    assert request["expand_left"] == 10


def test_expand_adds_nothing_by_default_and_keeps_old_transparency() -> None:
    source = sample((4, 3), "RGBA")
    assert pixels(picture_of(run("expand_mask_color", save(source)))) == pixels(source)


@pytest.mark.parametrize("value", [200, "200", "200px", " 200 PX ", 200.0, "200.0px"])
@pytest.mark.parametrize("name", ["expand_left", "expandLeft", "left"])
def test_expand_takes_text_with_a_unit_and_the_other_spellings(name: str, value: object) -> None:
    assert picture_of(run("expand_mask_color", png((4, 3)), **{name: value})).size == (204, 3)


@pytest.mark.parametrize("value", ["-1", -1, "wide", "10%", "1.5", True, "nan", "inf", "1e9", "200mm"])
def test_expand_refuses_what_is_no_border(value: object) -> None:
    error = rejected("expand_mask_color", png(), expand_top=value)
    assert error.code == "INVALID_INPUT"
    assert "expand_top" in error.fields


def test_expand_refuses_a_result_above_the_limit_before_making_it() -> None:
    error = rejected("expand_mask_color", png((4, 3)), expand_left=100_000, expand_top=100_000)
    assert error.code == "IMAGE_TOO_MANY_PIXELS"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_expand_reads_every_mode(mode: str) -> None:
    source = Image.new("I;16", (3, 2), 0x8000) if mode == "I;16" else sample((3, 2), mode)
    made = picture_of(run("expand_mask_color", save(source), expand_left=1))
    assert made.mode == "RGBA"
    assert made.getpixel((1, 0)) == (
        (128, 128, 128, 255) if mode == "I;16" else source.convert("RGBA").getpixel((0, 0))
    )


# set_dpi


def test_set_dpi_changes_no_pixel_of_a_png_and_no_other_chunk() -> None:
    source = sample((4, 3), "P")
    data = save(source, transparency=3, dpi=(72, 72), icc_profile=profile(), optimize=True)
    report = run("set_dpi", data, dpi=300)
    made = only_output(report)
    assert made.data is not None
    assert [chunk for chunk in chunks(made.data) if chunk[0] != b"pHYs"] == [c for c in chunks(data) if c[0] != b"pHYs"]
    assert [body for name, body in chunks(made.data) if name == b"pHYs"] == [struct.pack(">IIB", 11811, 11811, 1)]
    assert round(picture_of(report).info["dpi"][0]) == 300
    assert (made.tag, made.content_type) == ("podi-set-dpi", "image/png")


def test_set_dpi_is_300_by_default() -> None:
    assert round(picture_of(run("set_dpi", png())).info["dpi"][1]) == 300


def test_set_dpi_keeps_jpeg_a_jpeg_of_full_colour_resolution() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = exif[0x011B] = 72.0
    exif[0x010F] = "Maker"
    data = save(sample((16, 16)), "JPEG", quality=60, subsampling=2, dpi=(72, 72), exif=exif, icc_profile=profile())
    report = run("set_dpi", data, dpi="240")
    made = picture_of(report)
    assert (made.format, made.size, made.info["dpi"]) == ("JPEG", (16, 16), (240, 240))
    assert {component[1:3] for component in made.layer} == {(1, 1)}  # type: ignore[attr-defined]
    assert made.info["icc_profile"] == profile()
    assert (made.getexif()[0x0112], made.getexif()[0x010F], made.getexif()[0x011A]) == (6, "Maker", 240.0)
    assert (only_output(report).name, only_output(report).content_type) == ("picture.jpg", "image/jpeg")
    difference = max(abs(a - b) for a, b in zip(made.tobytes(), read(data).tobytes(), strict=True))
    assert difference <= 16  # of 255, at quality 95 on noise


def test_set_dpi_of_a_jpeg_is_a_whole_number_and_says_so() -> None:
    report = run("set_dpi", save(sample(), "JPEG"), dpi=299.7)
    assert report.raw["request"]["dpi"] == 300
    assert picture_of(report).info["dpi"] == (300, 300)


@pytest.mark.parametrize("format", ["WEBP", "TIFF", "BMP", "GIF"])
def test_set_dpi_makes_png_of_everything_else(format: str) -> None:
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    source = sample((4, 3))
    report = run("set_dpi", save(source, format, **options), dpi=150)
    made = picture_of(report)
    assert made.format == "PNG"
    assert round(made.info["dpi"][0]) == 150
    if format != "GIF":
        assert pixels(made) == pixels(source)


def test_set_dpi_keeps_the_transparency_of_a_gif() -> None:
    source = Image.new("P", (2, 1))
    source.putpalette([255, 0, 0, 0, 255, 0])
    source.putpixel((1, 0), 1)
    made = picture_of(run("set_dpi", save(source, "GIF", transparency=1)))
    assert pixels(made)[0][0] == (255, 0, 0, 255)
    assert pixels(made)[0][1][3] == 0


@pytest.mark.parametrize("dpi", [0, -300, "many", 1_000_000])
def test_set_dpi_refuses_what_is_no_density(dpi: object) -> None:
    error = rejected("set_dpi", png(), dpi=dpi)
    assert error.code == "INVALID_INPUT"
    assert list(error.fields) == ["dpi"]


# upscale_resize


def test_upscale_makes_the_long_edge_4096_by_default() -> None:
    report = run("upscale_resize", png((8, 1), mode="L"))
    assert picture_of(report).size == (4096, 512)
    assert only_output(report).tag == "podi-upscale-resize"
    assert report.raw["request"]["was_capped"] is False


def test_upscale_is_lanczos_to_the_pixel() -> None:
    source = sample((5, 4))
    made = picture_of(run("upscale_resize", save(source), max_long_edge=13))
    assert made.tobytes() == source.resize((13, 10), Image.Resampling.LANCZOS).tobytes()


def test_upscale_goes_down_as_well() -> None:
    assert picture_of(run("upscale_resize", png((40, 20)), max_long_edge="10px")).size == (10, 5)


def test_upscale_never_exceeds_8192_and_says_so() -> None:
    report = run("upscale_resize", png((4, 1), mode="L"), max_long_edge=20_000)
    assert picture_of(report).size == (8192, 2048)
    assert report.raw["request"]["was_capped"] is True


def test_upscale_of_the_same_size_changes_no_pixel() -> None:
    source = sample((6, 4), "RGBA")
    assert pixels(picture_of(run("upscale_resize", save(source), max_long_edge=6))) == pixels(source)


def test_upscale_to_jpg_lays_transparency_on_white() -> None:
    report = run(
        "upscale_resize", save(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), max_long_edge=8, output_format="jpg"
    )
    made = picture_of(report)
    assert (made.format, made.mode) == ("JPEG", "RGB")
    assert made.getpixel((3, 3)) == (255, 255, 255)


def test_upscale_does_not_bleed_the_colour_of_transparent_pixels() -> None:
    source = Image.new("RGBA", (4, 4), (0, 255, 0, 0))
    source.paste((255, 0, 0, 255), (0, 0, 2, 4))
    made = pixels(picture_of(run("upscale_resize", save(source), max_long_edge=16)))
    assert max(green for row in made for _, green, _, alpha in row if alpha) == 0


def test_upscale_keeps_dpi_and_profile() -> None:
    made = picture_of(run("upscale_resize", png(dpi=(300, 150), icc_profile=profile()), max_long_edge=8))
    assert [round(value) for value in made.info["dpi"]] == [300, 150]
    assert made.info["icc_profile"] == profile()


def test_upscale_leaves_out_a_profile_of_another_colour_space() -> None:
    made = picture_of(run("upscale_resize", png(mode="L", icc_profile=profile()), max_long_edge=8))
    assert "icc_profile" not in made.info


def test_upscale_stands_the_picture_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = sample((4, 2))
    made = picture_of(run("upscale_resize", save(source, exif=exif, dpi=(300, 150)), max_long_edge=4))
    assert made.tobytes() == source.transpose(Image.Transpose.ROTATE_270).tobytes()
    assert not made.getexif()
    assert [round(value) for value in made.info["dpi"]] == [150, 300]


@pytest.mark.parametrize(("field", "value"), [("max_long_edge", 0), ("max_long_edge", "big"), ("output_format", "gif")])
def test_upscale_names_the_wrong_field(field: str, value: object) -> None:
    error = rejected("upscale_resize", png(), **{field: value})
    assert (error.code, list(error.fields)) == ("INVALID_INPUT", [field])


@given(st.integers(1, 50_000), st.integers(1, 50_000), st.integers(1, 8192))
def test_the_long_edge_is_met_and_the_shape_kept_to_half_a_pixel(width: int, height: int, edge: int) -> None:
    new = scale_to_long_edge(width, height, edge)
    assert max(new) == edge
    assert min(new) >= 1
    exact = min(width, height) * edge / max(width, height)
    assert min(new) == 1 or abs(min(new) - exact) <= 0.5


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.lists(st.integers(0, 20), min_size=4, max_size=4))
def test_expand_always_adds_exactly_what_was_asked(width: int, height: int, borders: list[int]) -> None:
    left, right, top, bottom = borders
    report = run(
        "expand_mask_color",
        save(Image.new("RGB", (width, height), "red")),
        expand_left=left,
        expand_right=right,
        expand_top=top,
        expand_bottom=bottom,
    )
    made = picture_of(report)
    assert made.size == (width + left + right, height + top + bottom)
    assert made.getchannel("A").getbbox() == (left, top, left + width, top + height)


def test_only_the_first_frame_is_used_and_that_is_said() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    report = run("upscale_resize", data, max_long_edge=4)
    assert warnings_of(report) == ["SEVERAL_FRAMES"]
    assert picture_of(report).getpixel((0, 0))[:3] == (255, 0, 0)  # type: ignore[index]


def test_set_dpi_keeps_every_frame_of_an_animated_png() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    report = run("set_dpi", save(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    assert getattr(picture_of(report), "n_frames", 1) == 2
    assert warnings_of(report) == []


def profile() -> bytes:
    """An RGB profile that is not ours."""
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[:24]) + bytes(12) + _TAIL


_TAIL = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[36:]


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert zlib.crc32(name + body) == struct.unpack_from(">I", data, at + 8 + length)[0]
        found.append((name, body))
        at += 12 + length
    return found
