"""`convert_format`: another file format, another colour space, with or without the profile."""

from __future__ import annotations

from PIL import Image

from executors.providers.imaging.modes import flatten, is_opaque, to_plain
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result, encode
from executors.providers.imaging.problems import Code, ImageProblem
from executors.providers.imaging.profiles import Converted, describe_profile, read_profile_file, to_cmyk, to_srgb
from executors.providers.imaging.warnings import Warned, warn

FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "tiff": "TIFF"}
CMYK_FORMATS = ("JPEG", "TIFF")


def convert_format(picture: Picture, parameters: Parameters, limits: Limits) -> Result:
    """PNG, JPEG, WebP or TIFF (LZW), eight bits a channel; `quality` counts for JPEG and WebP (100: lossless WebP).

    `color_profile`: keep the colour space, or convert to sRGB or CMYK. JPEG and CMYK have no alpha: it is laid on
    `background`. dpi stays (WebP has none). Other metadata is left behind.
    """
    limits.check(picture.width, picture.height)
    format = FORMATS[parameters.choice("output_format", tuple(FORMATS), default="png")]
    quality = parameters.whole("quality", default=90, minimum=1, maximum=100)
    wanted = parameters.choice("color_profile", ("keep", "srgb", "cmyk"), default="keep")
    background = parameters.colour("background", default="#FFFFFF")
    embed = parameters.switch("embed_profile", default=True)
    image = _readable(picture)
    is_cmyk = wanted == "cmyk" or (wanted == "keep" and image.mode == "CMYK")
    if is_cmyk and format not in CMYK_FORMATS:
        raise ImageProblem(
            Code.INVALID_INPUT, f"{format} has no CMYK; choose jpg or tiff, or srgb.", field="output_format"
        )
    warnings = _lost(picture, format)
    if (format == "JPEG" or is_cmyk) and image.mode in ("LA", "RGBA"):
        if not is_opaque(image):
            warnings.append(warn("ALPHA_FLATTENED"))
        image = flatten(image, background)
    converted = _in_space(image, picture.icc, wanted, parameters.cmyk_profile)
    if is_cmyk and not converted.is_managed:
        warnings.append(warn("CMYK_UNMANAGED"))
    icc = converted.icc if embed else b""
    data = encode(converted.image, format=format, dpi=picture.dpi, icc=icc, quality=quality)
    facts = {"quality": quality, "color_profile": wanted, "mode": converted.image.mode}
    return Result(
        data=data,
        format=format,
        width=picture.width,
        height=picture.height,
        facts={**facts, "is_color_managed": converted.is_managed, "embedded_profile": describe_profile(icc)},
        warnings=tuple(warnings),
    )


def _readable(picture: Picture) -> Image.Image:
    return picture.image if picture.image.mode == "CMYK" else to_plain(picture)[0]


def _in_space(image: Image.Image, icc: bytes, wanted: str, cmyk_profile: str) -> Converted:
    if wanted == "srgb":
        return to_srgb(image, icc)
    if wanted == "cmyk":
        return to_cmyk(image, icc, target=read_profile_file(cmyk_profile) if cmyk_profile else b"")
    return Converted(image=image, icc=icc, is_managed=True)


def _lost(picture: Picture, format: str) -> list[Warned]:
    lost = []
    if picture.bits > 8:
        lost.append(warn("DEPTH_REDUCED"))
    if format == "WEBP" and picture.dpi:
        lost.append(warn("DPI_NOT_STORED"))
    return lost
