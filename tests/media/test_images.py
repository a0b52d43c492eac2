"""Looking into images."""

from __future__ import annotations

import io
import time

import pytest
from PIL import ImageCms

from media import images
from tests.media import pictures

LIMIT = 1_000_000


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_every_supported_format_is_measured_and_checked(format: str) -> None:
    file = io.BytesIO(pictures.make(format, (33, 21), mode="L" if format == "GIF" else "RGB"))
    facts = images.check(file, max_pixels=LIMIT)
    assert (facts.format, facts.width, facts.height, facts.frames) == (format, 33, 21, 1)
    assert facts.content_type == images.CONTENT_TYPES[format]
    assert images.measure(file, max_pixels=LIMIT) == facts
    assert not file.closed


@pytest.mark.parametrize(("format", "dpi"), [("PNG", 300), ("JPEG", 300), ("TIFF", 150), ("PNG", 72), ("BMP", 96)])
def test_dpi_comes_back_as_it_was_set(format: str, dpi: int) -> None:
    file = io.BytesIO(pictures.make(format, dpi=(dpi, dpi)))
    assert images.measure(file, max_pixels=LIMIT).dpi == pytest.approx(dpi, abs=0.02)


def test_dpi_is_none_where_it_is_not_set() -> None:
    assert images.measure(io.BytesIO(pictures.make("PNG")), max_pixels=LIMIT).dpi is None


def test_alpha_profile_and_frames_are_told() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    facts = images.measure(io.BytesIO(pictures.make("PNG", mode="RGBA", icc_profile=profile)), max_pixels=LIMIT)
    assert facts.has_alpha
    assert "sRGB" in facts.icc_name
    assert images.check(io.BytesIO(pictures.animation(3)), max_pixels=LIMIT).frames == 3


def test_a_bomb_is_refused_by_its_header_before_a_pixel_is_decoded() -> None:
    begun = time.monotonic()
    for size in ((50_000, 50_000), (1001, 1000)):
        with pytest.raises(images.TooManyPixels):
            images.check(io.BytesIO(pictures.bomb(*size)), max_pixels=LIMIT)
    assert time.monotonic() - begun < 1


def test_the_frames_of_an_animation_count_together() -> None:
    data = pictures.animation(20, (100, 100))
    assert images.check(io.BytesIO(data), max_pixels=200_000).frames == 20
    with pytest.raises(images.TooManyPixels):
        images.check(io.BytesIO(data), max_pixels=150_000)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_picture_that_is_cut_off_is_found_out(format: str, part: float) -> None:
    data = pictures.make(format, (200, 150))
    with pytest.raises(images.ImageProblem) as caught:
        images.check(io.BytesIO(data[: int(len(data) * part)]), max_pixels=LIMIT)
    assert not isinstance(caught.value, images.TooManyPixels)


def test_png_and_jpeg_say_that_they_are_cut_off() -> None:
    for format in ("PNG", "JPEG"):
        data = pictures.make(format, (200, 150))
        with pytest.raises(images.TruncatedImage):
            images.check(io.BytesIO(data[: len(data) // 2]), max_pixels=LIMIT)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<html>no</html>", b"\x89PNG\r\n\x1a\n" + b"garbage" * 20, bytes(500)]
)
def test_what_is_no_image_is_told_apart(data: bytes) -> None:
    with pytest.raises((images.NotAnImage, images.TruncatedImage)):
        images.check(io.BytesIO(data), max_pixels=LIMIT)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "image/svg+xml"),
        (b'<?xml version="1.0"?>\n<!-- x --><svg></svg>', "image/svg+xml"),
        (b"%PDF-1.7 ...", "application/pdf"),
        (b"\x00\x00\x00\x1cftypheic" + bytes(20), "image/heic"),
        (b"8BPS" + bytes(30), "image/vnd.adobe.photoshop"),
        (b"%!PS-Adobe-3.0 EPSF", "application/postscript"),
    ],
)
def test_a_format_we_do_not_take_is_named(data: bytes, content_type: str) -> None:
    with pytest.raises(images.UnsupportedFormat) as caught:
        images.check(io.BytesIO(data), max_pixels=LIMIT)
    assert caught.value.content_type == content_type


def test_a_png_with_a_broken_checksum_is_refused() -> None:
    data = bytearray(pictures.make("PNG", (50, 50)))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(images.ImageProblem):
        images.check(io.BytesIO(bytes(data)), max_pixels=LIMIT)


def test_a_thumbnail_is_small_and_is_webp() -> None:
    small = images.make_thumbnail(io.BytesIO(pictures.make("JPEG", (900, 300))), max_pixels=LIMIT)
    facts = images.measure(io.BytesIO(small), max_pixels=LIMIT)
    assert (facts.format, facts.width) == ("WEBP", 256)
