"""A look into an image, with Pillow and without Django: what it is, how large, and whether it is whole.

The header is read first and the pixels it promises are counted against the limit before anything is decoded.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageCms, ImageSequence, UnidentifiedImageError

from media.content_types import HEAD_BYTES, sniff

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")
CONTENT_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
}
# What Pillow's decoders raise on bytes that are wrong in one way or another.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


class ImageProblem(Exception):
    """Why a file is not an image we take."""


class NotAnImage(ImageProblem):
    """Not an image, or damaged beyond its header."""


class UnsupportedFormat(ImageProblem):
    """An image (or drawing) of a format that is not taken; `content_type` names it."""

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self.content_type = content_type


class TruncatedImage(ImageProblem):
    """It begins as an image and ends too soon."""


class TooManyPixels(ImageProblem):
    """`pixels` (of all frames together) are more than the limit."""

    def __init__(self, pixels: int) -> None:
        super().__init__(str(pixels))
        self.pixels = pixels


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """Width and height are as stored; an orientation in EXIF is not applied. `dpi` is the horizontal one, if set."""

    format: str
    content_type: str
    width: int
    height: int
    mode: str
    has_alpha: bool
    dpi: float | None
    icc_name: str
    frames: int


def measure(file: BinaryIO, *, max_pixels: int) -> ImageFacts:
    """The facts in the header of an image file; nothing is decoded. Raises ImageProblem. The file stays open."""
    with _open(file, max_pixels=max_pixels) as image:
        return _facts(image)


def check(file: BinaryIO, *, max_pixels: int) -> ImageFacts:
    """The same after decoding every pixel of every frame, so that a damaged or cut-off file is found out."""
    with _open(file, max_pixels=max_pixels) as image:
        facts = _facts(image)
        total = 0
        try:
            for frame in ImageSequence.Iterator(image):
                total += frame.width * frame.height
                if total > max_pixels:
                    raise TooManyPixels(total)
                frame.load()
        except _DECODE_ERRORS as error:
            raise _reading_problem(error) from error
    return facts


def make_thumbnail(file: BinaryIO, *, max_pixels: int, edge_px: int = 256) -> bytes:
    """A small WebP of the first frame, upright. Raises ImageProblem."""
    with _open(file, max_pixels=max_pixels) as image:
        try:
            image.draft("RGB", (edge_px * 2, edge_px * 2))
            image.thumbnail((edge_px, edge_px))
            small = image.convert("RGBA" if _has_alpha(image) else "RGB")
            out = io.BytesIO()
            small.save(out, "WEBP", quality=80)
        except _DECODE_ERRORS as error:
            raise _reading_problem(error) from error
    return out.getvalue()


def _open(file: BinaryIO, *, max_pixels: int) -> Image.Image:
    file.seek(0)
    content_type = sniff(file.read(HEAD_BYTES))
    file.seek(0)
    if content_type not in CONTENT_TYPES.values():
        if content_type.startswith("image/") or content_type in ("application/pdf", "application/postscript"):
            raise UnsupportedFormat(content_type)
        raise NotAnImage(content_type)
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise TooManyPixels(max_pixels + 1) from None
    except UnidentifiedImageError as error:
        raise NotAnImage(content_type) from error
    except _DECODE_ERRORS as error:
        raise _reading_problem(error) from error
    if (pixels := image.width * image.height) > max_pixels:
        image.close()
        raise TooManyPixels(pixels)
    return image


def _facts(image: Image.Image) -> ImageFacts:
    try:
        frames = int(getattr(image, "n_frames", 1))
    except _DECODE_ERRORS as error:
        raise _reading_problem(error) from error
    name = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with more JPEGs behind it
    return ImageFacts(
        format=name,
        content_type=CONTENT_TYPES[name],
        width=image.width,
        height=image.height,
        mode=image.mode,
        has_alpha=_has_alpha(image),
        dpi=_dpi(image),
        icc_name=_icc_name(image),
        frames=frames,
    )


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _dpi(image: Image.Image) -> float | None:
    """PNG stores dots per metre: 300 dpi comes back as 299.9994, hence the rounding."""
    try:
        dpi = round(float(image.info["dpi"][0]), 2)
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError):
        return None
    return dpi if 0 < dpi < 1_000_000 else None


def _icc_name(image: Image.Image) -> str:
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes):
        return ""
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return ""


def _reading_problem(error: BaseException) -> ImageProblem:
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return TruncatedImage(str(error))
    return NotAnImage(str(error))
