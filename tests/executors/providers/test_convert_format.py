"""convert_format: formats, colour spaces and profiles, and what it admits to have lost."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from executors.providers.imaging.profiles import describe_profile, srgb_profile
from tests.executors.providers.pictures import png, sample, save
from tests.executors.providers.running import only_output, picture_of, pixels, rejected, run, warnings_of


def strange_rgb() -> bytes:
    """An RGB profile with a clearly other meaning than sRGB: red and blue are exchanged in its tags."""
    made = bytearray(srgb_profile())
    count = int.from_bytes(made[128:132], "big")
    entries = {bytes(made[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    made[red : red + 4], made[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(made)


@pytest.mark.parametrize(
    ("output_format", "format", "content_type", "suffix"),
    [
        ("png", "PNG", "image/png", ".png"),
        ("jpg", "JPEG", "image/jpeg", ".jpg"),
        ("webp", "WEBP", "image/webp", ".webp"),
        ("tiff", "TIFF", "image/tiff", ".tif"),
    ],
)
def test_makes_each_format(output_format: str, format: str, content_type: str, suffix: str) -> None:
    report = run("convert_format", png((16, 16)), output_format=output_format)
    output = only_output(report)
    assert picture_of(report).format == format
    assert (output.content_type, output.name, output.tag) == (content_type, f"picture{suffix}", "podi-convert-format")


@pytest.mark.parametrize(
    "options", [{"output_format": "png"}, {"output_format": "tiff"}, {"output_format": "webp", "quality": 100}]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_lossless_formats_keep_every_pixel(options: dict[str, Any], mode: str) -> None:
    source = sample((9, 7), mode)
    assert pixels(picture_of(run("convert_format", save(source), **options))) == pixels(source)


def test_quality_decides_the_size_of_jpeg_and_webp() -> None:
    for output_format in ("jpg", "webp"):
        sizes = [
            len(only_output(run("convert_format", png((64, 64)), output_format=output_format, quality=q)).data or b"")
            for q in (10, 60, 95)
        ]
        assert sizes == sorted(set(sizes))


def test_jpeg_lays_transparency_on_the_background_and_says_so() -> None:
    data = save(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    report = run("convert_format", data, output_format="jpg", background="#00FF00", quality=100)
    assert picture_of(report).getpixel((4, 4)) == pytest.approx((0, 255, 0), abs=2)
    assert warnings_of(report) == ["ALPHA_FLATTENED"]


def test_an_alpha_channel_that_hides_nothing_is_no_loss() -> None:
    data = save(Image.new("RGBA", (8, 8), "red"))
    assert warnings_of(run("convert_format", data, output_format="jpg")) == []


@pytest.mark.parametrize("output_format", ["png", "jpg", "tiff"])
def test_dpi_stays(output_format: str) -> None:
    made = picture_of(run("convert_format", png(dpi=(300, 300)), output_format=output_format))
    assert [round(float(value)) for value in made.info["dpi"]] == [300, 300]


def test_webp_says_that_it_lost_the_dpi() -> None:
    assert warnings_of(run("convert_format", png(dpi=(300, 300)), output_format="webp")) == ["DPI_NOT_STORED"]


@pytest.mark.parametrize("output_format", ["png", "jpg", "webp", "tiff"])
def test_the_profile_stays_or_goes_as_asked(output_format: str) -> None:
    data = png((16, 16), icc_profile=strange_rgb())
    kept = run("convert_format", data, output_format=output_format)
    assert picture_of(kept).info["icc_profile"] == strange_rgb()
    stripped = run("convert_format", data, output_format=output_format, embed_profile=False)
    assert not picture_of(stripped).info.get("icc_profile")
    assert stripped.raw["request"]["embedded_profile"] == ""


def test_srgb_translates_the_colours_through_the_profile() -> None:
    data = save(Image.new("RGB", (4, 4), (255, 0, 0)), icc_profile=strange_rgb())
    report = run("convert_format", data, color_profile="srgb")
    made = picture_of(report)
    red, _, blue = made.getpixel((0, 0))  # type: ignore[misc]
    assert blue > 200 > red
    assert made.info["icc_profile"] == srgb_profile()
    assert report.raw["request"]["is_color_managed"] is True


def test_srgb_keeps_the_alpha_channel_untouched() -> None:
    source = sample((6, 5), "RGBA")
    made = picture_of(run("convert_format", save(source, icc_profile=strange_rgb()), color_profile="srgb"))
    assert made.getchannel("A").tobytes() == source.getchannel("A").tobytes()


def test_a_picture_without_a_profile_is_taken_for_srgb() -> None:
    source = sample((6, 5))
    made = picture_of(run("convert_format", save(source), color_profile="srgb"))
    assert made.tobytes() == source.tobytes()
    assert describe_profile(made.info["icc_profile"]).startswith("sRGB")


def test_the_srgb_profile_is_the_same_every_time() -> None:
    assert srgb_profile() == srgb_profile()
    assert srgb_profile()[24:36] == bytes.fromhex("07e400010001000000000000")
    ImageCms.getProfileName(ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())))


@pytest.mark.parametrize("output_format", ["jpg", "tiff"])
def test_cmyk_without_a_profile_is_arithmetic_and_admits_it(output_format: str) -> None:
    data = save(Image.new("RGB", (8, 8), (255, 0, 0)))
    report = run("convert_format", data, output_format=output_format, color_profile="cmyk", quality=100)
    made = picture_of(report)
    assert made.mode == "CMYK"
    assert made.getpixel((4, 4)) == pytest.approx((0, 255, 255, 0), abs=2)
    assert not made.info.get("icc_profile")
    assert warnings_of(report) == ["CMYK_UNMANAGED"]
    assert report.raw["request"]["is_color_managed"] is False


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_cmyk_only_where_the_format_has_it(output_format: str) -> None:
    error = rejected("convert_format", png(), output_format=output_format, color_profile="cmyk")
    assert list(error.fields) == ["output_format"]


def test_cmyk_lays_transparency_on_the_background() -> None:
    data = save(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    report = run("convert_format", data, output_format="tiff", color_profile="cmyk", background="white")
    assert picture_of(report).getpixel((0, 0)) == (0, 0, 0, 0)
    assert "ALPHA_FLATTENED" in warnings_of(report)


def test_a_cmyk_picture_stays_cmyk_or_becomes_rgb() -> None:
    data = save(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    kept = run("convert_format", data, output_format="tiff")
    assert picture_of(kept).getpixel((0, 0)) == (0, 255, 255, 0)
    assert rejected("convert_format", data, output_format="png").code == "INVALID_INPUT"
    rgb = run("convert_format", data, output_format="png", color_profile="srgb")
    assert picture_of(rgb).getpixel((0, 0)) == (255, 0, 0)
    assert rgb.raw["request"]["is_color_managed"] is False


def test_an_operators_profile_that_is_missing_or_another_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "rgb.icc"
    wrong.write_bytes(srgb_profile())
    for path in (wrong, tmp_path / "none.icc"):
        options = {"cmyk_profile": str(path)}
        error = rejected("convert_format", png(), options=options, output_format="tiff", color_profile="cmyk")
        assert error.code == "CMYK_PROFILE_UNUSABLE"
        assert str(tmp_path) not in str(error)


def test_a_caller_cannot_choose_the_profile_file() -> None:
    report = run("convert_format", png(), output_format="tiff", color_profile="cmyk", cmyk_profile="/etc/hostname")
    assert warnings_of(report) == ["CMYK_UNMANAGED"]


def test_an_operators_profile_is_used_and_embedded(tmp_path: Path) -> None:
    path = tmp_path / "press.icc"
    path.write_bytes(cmyk_profile())
    data = save(Image.new("RGB", (8, 8), (255, 255, 255)))
    report = run(
        "convert_format", data, options={"cmyk_profile": str(path)}, output_format="tiff", color_profile="cmyk"
    )
    made = picture_of(report)
    assert made.mode == "CMYK"
    assert made.info["icc_profile"] == cmyk_profile()
    assert warnings_of(report) == []
    assert report.raw["request"]["is_color_managed"] is True


def test_a_damaged_profile_is_refused_when_it_is_needed() -> None:
    damaged = srgb_profile()[:128] + b"\xff" * 60
    data = png((4, 4), icc_profile=damaged)
    assert rejected("convert_format", data, color_profile="srgb").code == "COLOR_PROFILE_UNUSABLE"


def test_sixteen_bits_become_eight_and_that_is_said() -> None:
    report = run("convert_format", save(Image.new("I;16", (4, 4), 0x8000)), output_format="png")
    assert picture_of(report).getpixel((0, 0)) == 128
    assert warnings_of(report) == ["DEPTH_REDUCED"]


def test_a_side_above_the_formats_limit_is_refused() -> None:
    assert rejected("convert_format", png((17_000, 1), "L"), output_format="webp").code == "IMAGE_TOO_MANY_PIXELS"
    assert rejected("convert_format", png((66_000, 1), "L"), output_format="jpg").code == "IMAGE_TOO_MANY_PIXELS"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output_format", "psd"),
        ("quality", 0),
        ("quality", 101),
        ("color_profile", "adobe"),
        ("embed_profile", "maybe"),
        ("background", "#12"),
    ],
)
def test_names_the_wrong_field(field: str, value: object) -> None:
    assert list(rejected("convert_format", png(), **{field: value}).fields) == [field]


def cmyk_profile() -> bytes:
    """A small CMYK output profile made here: two grid points a channel, black subtracts light, inks their colour."""

    def lut(inputs: int, outputs: int, grid: list[int]) -> bytes:
        matrix = b"".join((65536 if i % 4 == 0 else 0).to_bytes(4, "big") for i in range(9))
        head = b"mft1" + bytes(4) + bytes([inputs, outputs, 2, 0]) + matrix
        straight = bytes(range(256))
        return head + straight * inputs + bytes(grid) + straight * outputs

    def corners(count: int) -> list[tuple[int, ...]]:
        return [tuple(i >> (count - 1 - bit) & 1 for bit in range(count)) for i in range(2**count)]

    to_lab: list[int] = []
    for cyan, magenta, yellow, black in corners(4):
        light = max(0, 255 - 255 * black - 60 * (cyan + magenta) - 20 * yellow)
        to_lab += [light, 128 - 40 * cyan + 60 * magenta, 128 - 40 * cyan + 70 * yellow - 20 * magenta]
    from_lab: list[int] = []
    for light, a, b in corners(3):
        from_lab += [255 * (1 - a) * (1 - light), 255 * a * (1 - light), 255 * b * (1 - light), 255 * (1 - light)]
    xyz_d50 = b"XYZ " + bytes(4) + bytes.fromhex("0000f6d6000100000000d32d")
    text = b"desc" + bytes(4) + (14).to_bytes(4, "big") + b"invented press"[:13] + b"\0" + bytes(79)
    tags = {b"desc": text, b"wtpt": xyz_d50, b"A2B0": lut(4, 3, to_lab), b"B2A0": lut(3, 4, from_lab)}
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0"
    body, table, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + at.to_bytes(4, "big") + len(value).to_bytes(4, "big")
        body += value
        at += len(value)
    head = at.to_bytes(4, "big") + bytes(4) + bytes.fromhex("02400000") + b"prtrCMYKLab "
    head += bytes.fromhex("07e400010001000000000000") + b"acsp" + bytes(28) + bytes.fromhex("0000f6d6000100000000d32d")
    head = head.ljust(128, b"\0")
    return head + len(tags).to_bytes(4, "big") + table + body
