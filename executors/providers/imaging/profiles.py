"""Colour profiles: what one says of itself, and conversions through LittleCMS as far as Pillow carries it.

Pillow brings an sRGB profile and none for CMYK. CMYK through a profile needs one the operator names; without it there
is only arithmetic (no black generation, no ink limit), and every result says which of the two it was.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageCms

from executors.providers.imaging.picture import Picture, fits_profile
from executors.providers.imaging.problems import Code, ImageProblem

_DATE = slice(24, 36)
_FIXED_DATE = bytes.fromhex("07e4000100010000000000 00".replace(" ", ""))  # 2020-01-01 00:00:00


@dataclass(frozen=True, kw_only=True)
class Converted:
    image: Image.Image
    icc: bytes
    is_managed: bool
    """Through profiles; False means plain arithmetic."""


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """An sRGB profile, the same bytes every time (LittleCMS would write the hour of its making into it)."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[: _DATE.start] + _FIXED_DATE + made[_DATE.stop :]


def describe_profile(icc: bytes) -> str:
    """Its name in one line; empty where there is no profile, "unreadable" where it is damaged."""
    if not icc:
        return ""
    try:
        return ImageCms.getProfileDescription(_open(icc)).strip() or "unnamed"
    except (ImageCms.PyCMSError, OSError):
        return "unreadable"


def read_profile_file(path: str) -> bytes:
    """The operator's CMYK profile. A missing or other file is the operator's mistake and says so."""
    try:
        icc = Path(path).read_bytes()
    except OSError:
        raise ImageProblem(
            Code.CMYK_PROFILE_UNUSABLE, "The CMYK profile set for this executor cannot be read."
        ) from None
    if not fits_profile("CMYK", icc):
        raise ImageProblem(Code.CMYK_PROFILE_UNUSABLE, "The CMYK profile set for this executor is not a CMYK profile.")
    return icc


def convert_to_srgb(picture: Picture) -> tuple[Image.Image, bytes]:
    """For tools that need RGB: the picture and its new profile; empty where no profile led the way."""
    converted = to_srgb(picture.image, picture.icc)
    return converted.image, converted.icc if converted.is_managed else b""


def to_srgb(image: Image.Image, icc: bytes) -> Converted:
    """L, LA, RGB, RGBA or CMYK to sRGB. RGB without a profile is taken for sRGB, as browsers take it."""
    if not fits_profile(image.mode, icc):
        is_cmyk = image.mode == "CMYK"
        plain = image.convert("RGB") if is_cmyk else image
        return Converted(image=plain, icc=srgb_profile(), is_managed=not is_cmyk)
    colours, alpha = _split_alpha(image)
    rgb = _transform(colours, icc, srgb_profile(), "RGB")
    return Converted(image=_join_alpha(rgb, alpha), icc=srgb_profile(), is_managed=True)


def to_cmyk(image: Image.Image, icc: bytes, *, target: bytes) -> Converted:
    """An opaque picture to CMYK: through `target`, or by plain arithmetic where it is empty."""
    if image.mode == "CMYK" and not (target and fits_profile("CMYK", icc)):
        # Inks of an unknown press, or nowhere to translate them to: they stay as they are.
        return Converted(image=image, icc=icc, is_managed=fits_profile("CMYK", icc))
    if not target:
        return Converted(image=image.convert("RGB").convert("CMYK"), icc=b"", is_managed=False)
    source, profile = (image, icc) if fits_profile(image.mode, icc) else (image.convert("RGB"), srgb_profile())
    return Converted(image=_transform(source, profile, target, "CMYK"), icc=target, is_managed=True)


def _transform(image: Image.Image, source: bytes, target: bytes, mode: str) -> Image.Image:
    try:
        made = ImageCms.profileToProfile(
            image,
            _open(source),
            _open(target),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode=mode,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        raise ImageProblem(Code.COLOR_PROFILE_UNUSABLE, "The colour profile of the picture cannot be used.") from None
    if made is None:
        raise ImageProblem(Code.COLOR_PROFILE_UNUSABLE, "The colour profile of the picture cannot be used.")
    return made


def _open(icc: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """LittleCMS through Pillow transforms colours only, so the alpha channel waits aside."""
    if image.mode in ("RGBA", "LA"):
        return image.convert("RGB" if image.mode == "RGBA" else "L"), image.getchannel("A")
    return image, None


def _join_alpha(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is not None:
        image.putalpha(alpha)
    return image
