"""A decoded picture with what belongs to it, and the way back to bytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from executors.providers.imaging.problems import Code, ImageProblem, too_many_pixels
from executors.providers.imaging.warnings import Warned

READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
"""Named one by one: Pillow can also read formats that start other programs."""

CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "TIFF": "image/tiff"}
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif"}
MAX_SIDE = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383, "TIFF": 2**31 - 1}
PNG_COMPRESSION = 4
_ICC_SPACES = {"RGB": b"RGB ", "RGBA": b"RGB ", "L": b"GRAY", "LA": b"GRAY", "CMYK": b"CMYK"}
_ORIENTATION_TAG = 0x0112

Dpi = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The first frame, decoded. `dpi` and `icc` are what the file says, None and empty where it says nothing.

    The pixels stand upright (EXIF orientation applied) unless it was opened otherwise.
    """

    image: Image.Image
    format: str
    stored_mode: str
    size_bytes: int
    dpi: Dpi | None = None
    icc: bytes = field(default=b"", repr=False)
    orientation: int = 1
    frames: int = 1
    bits: int = 8
    """A channel, in the file. Of sixteen, Pillow decodes eight for colour."""

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    @property
    def has_alpha(self) -> bool:
        return self.image.has_transparency_data


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a tool made: a picture as bytes, or a text. `facts` go to the caller as `raw.request`."""

    width: int = 0
    height: int = 0
    data: bytes | None = field(default=None, repr=False)
    text: str | None = None
    format: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
    keeps_frames: bool = False
    """Every frame of the source is still there."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    max_pixels: int = 100_000_000
    """Of an input and of a result. Working memory is up to about 24 bytes a pixel (measured)."""

    def check(self, width: int, height: int, *, what: str = "The result") -> None:
        """Before anything of that size is allocated."""
        if width * height > self.max_pixels:
            raise too_many_pixels(width, height, limit=self.max_pixels, what=what)


def open_picture(stream: BinaryIO, *, size_bytes: int, limits: Limits, upright: bool = True) -> Picture:
    """Decodes the whole first frame, so that a cut file is found here. The size is checked before decoding."""
    try:
        image = Image.open(stream, formats=READABLE)
        limits.check(image.width, image.height, what="The picture")
        frames = int(getattr(image, "n_frames", 1))
        orientation = _orientation_of(image)
        image.load()
        picture = Picture(
            image=ImageOps.exif_transpose(image) if upright else image,
            format="JPEG" if image.format == "MPO" else str(image.format),
            stored_mode=image.mode,
            size_bytes=size_bytes,
            dpi=_upright_dpi(_dpi_of(image), orientation if upright else 1),
            icc=bytes(image.info.get("icc_profile") or b""),
            orientation=orientation,
            frames=frames,
            bits=_bits_of(image, stream),
        )
    except Image.DecompressionBombError:
        raise ImageProblem(Code.IMAGE_TOO_MANY_PIXELS, "The picture has too many pixels.") from None
    except UnidentifiedImageError:
        raise ImageProblem(Code.IMAGE_NOT_READABLE, "This is not a picture of a known format.") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError) as error:
        # What Pillow raises for damaged files differs by format.
        if isinstance(error, EOFError) or "truncated" in str(error).lower():
            raise ImageProblem(Code.IMAGE_TRUNCATED, "The picture is cut off. Send the complete file.") from None
        raise ImageProblem(Code.IMAGE_NOT_READABLE, "The picture is damaged.") from None
    return picture


def encode(image: Image.Image, *, format: str, dpi: Dpi | None = None, icc: bytes = b"", quality: int = 95) -> bytes:
    """The picture as a file. Its former `info` is emptied; a profile of another colour space is left out.

    JPEG is written with full colour resolution (4:4:4). WebP cannot carry dpi.
    """
    if max(image.size) > MAX_SIDE[format]:
        raise ImageProblem(Code.IMAGE_TOO_MANY_PIXELS, f"{format} allows at most {MAX_SIDE[format]} pixels a side.")
    options: dict[str, Any] = {"icc_profile": icc if fits_profile(image.mode, icc) else None}
    if dpi and format != "WEBP":
        options["dpi"] = dpi
    if format == "PNG":
        options["compress_level"] = PNG_COMPRESSION
    elif format == "JPEG":
        options |= {"quality": quality, "subsampling": 0}
    elif format == "TIFF":
        options["compression"] = "tiff_lzw"
    elif format == "WEBP":
        # At 100 the caller wants every pixel back; `exact` keeps the colours under full transparency too.
        options.update(lossless=True, exact=True) if quality >= 100 else options.update(quality=quality)
    image.info = {}
    target = io.BytesIO()
    image.save(target, format=format, **options)
    return target.getvalue()


def fits_profile(mode: str, icc: bytes) -> bool:
    """Whether the profile's own header speaks of the colour space of this mode."""
    return len(icc) >= 128 and icc[16:20] == _ICC_SPACES.get(mode)


def _dpi_of(image: Image.Image) -> Dpi | None:
    """What the file says, None for the nonsense (0, 1) that stands for "not known"."""
    try:
        x, y = (float(value) for value in image.info.get("dpi", (0, 0)))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if x > 1 and y > 1 else None


def _bits_of(image: Image.Image, stream: BinaryIO) -> int:
    """Bits a channel as the file stores them."""
    if image.format == "PNG":
        stream.seek(24)  # signature, chunk head, width and height stand before it
        return stream.read(1)[0]
    if image.format == "TIFF":
        stored = image.tag_v2.get(258, 8)  # type: ignore[attr-defined]
        return int(stored[0] if isinstance(stored, tuple) else stored)
    return {"1": 1, "I;16": 16, "I": 32, "F": 32}.get(image.mode, 8)


def _upright_dpi(dpi: Dpi | None, orientation: int) -> Dpi | None:
    """A quarter turn exchanges the two directions."""
    return (dpi[1], dpi[0]) if dpi and orientation in (5, 6, 7, 8) else dpi


def _orientation_of(image: Image.Image) -> int:
    value = image.getexif().get(_ORIENTATION_TAG, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
