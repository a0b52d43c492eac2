"""Brings pictures into the few colour modes the tools work in."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops

from executors.providers.imaging.parameters import Colour
from executors.providers.imaging.picture import Picture
from executors.providers.imaging.profiles import convert_to_srgb

PLAIN = ("L", "LA", "RGB", "RGBA")


def to_plain(picture: Picture) -> tuple[Image.Image, bytes]:
    """The picture in L, LA, RGB or RGBA with eight bits a channel, and the profile that still belongs to it.

    CMYK becomes sRGB through its embedded profile, or by plain arithmetic without one. Sixteen bits become eight.
    """
    image = picture.image
    if image.mode == "CMYK":
        return convert_to_srgb(picture)
    if image.mode in PLAIN and not (image.mode in ("L", "RGB") and picture.has_alpha):
        return image, picture.icc
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = image.convert("I").point(lambda value: value * (1 / 256))
        return grey.convert("L"), picture.icc
    if picture.has_alpha:
        return image.convert("RGBA"), picture.icc
    if image.mode in ("1", "F"):
        return image.convert("L"), picture.icc
    return image.convert("RGB"), picture.icc


def to_rgba(picture: Picture) -> tuple[Image.Image, bytes]:
    image, icc = to_plain(picture)
    return image.convert("RGBA"), icc


def is_opaque(image: Image.Image) -> bool:
    """Of a picture with an alpha channel: whether nothing shines through."""
    return image.getchannel("A").histogram()[255] == image.width * image.height


def pixel_of(image: Image.Image, x: int, y: int) -> tuple[int, int, int, int]:
    """One pixel of an RGBA picture."""
    red, green, blue, alpha = image.crop((x, y, x + 1, y + 1)).tobytes()
    return red, green, blue, alpha


def distance_to(image: Image.Image, colour: Sequence[int]) -> Image.Image:
    """L: how far each pixel is from the colour, by the channel that differs most. One channel at a time, for memory."""
    distance: Image.Image | None = None
    for index, level in enumerate(colour):
        band = image.getchannel(index).point([abs(value - level) for value in range(256)])
        distance = band if distance is None else ImageChops.lighter(distance, band)
    assert distance is not None
    return distance


def flatten(image: Image.Image, background: Colour) -> Image.Image:
    """A plain picture laid on a colour; one without transparency is only freed of its alpha channel."""
    if image.mode in ("L", "RGB"):
        return image
    rgba = image.convert("RGBA")
    if is_opaque(rgba):
        return rgba.convert("RGB") if image.mode == "RGBA" else image.convert("L")
    canvas = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(canvas, rgba).convert("RGB")
