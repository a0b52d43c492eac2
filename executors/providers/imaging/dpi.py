"""`set_dpi`: says how large the pixels are to be printed, and changes none of them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO

from PIL import Image

from executors.providers.imaging.modes import to_plain
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result, encode, open_picture

_INCH_M = 0.0254
_PNG_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16")
_PNG_HEAD_END = 8 + 4 + 4 + 13 + 4
"""Signature and IHDR chunk: everything else of a PNG follows."""
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _INCHES = 0x011A, 0x011B, 0x0128, 2


def set_dpi(stream: BinaryIO, size_bytes: int, parameters: Parameters, limits: Limits) -> tuple[Picture, Result]:
    """PNG stays PNG: only its pHYs chunk is written anew, every other byte stays. JPEG stays JPEG: written again with
    quality 95 and 4:4:4, with its EXIF (whose resolution is set too) and profile. Anything else becomes PNG, upright.
    """
    dpi = parameters.number("dpi", default=300, minimum=1, maximum=10_000, unit="dpi")
    picture = open_picture(stream, size_bytes=size_bytes, limits=limits, upright=False)
    if picture.format == "PNG":
        stream.seek(0)
        data, format = _with_phys(stream.read(), dpi), "PNG"
    elif picture.format == "JPEG":
        dpi = round(dpi)  # JFIF knows whole numbers only
        data, format = _again_as_jpeg(picture, dpi), "JPEG"
    else:
        stream.seek(0)
        picture = open_picture(stream, size_bytes=size_bytes, limits=limits)
        keeps_mode = picture.image.mode in _PNG_MODES and "transparency" not in picture.image.info
        image, icc = (picture.image, picture.icc) if keeps_mode else to_plain(picture)
        data, format = encode(image, format="PNG", dpi=(dpi, dpi), icc=icc), "PNG"
    result = Result(
        data=data,
        format=format,
        width=picture.width,
        height=picture.height,
        facts={"dpi": dpi},
        keeps_frames=format == picture.format == "PNG",
    )
    return picture, result


def _again_as_jpeg(picture: Picture, dpi: float) -> bytes:
    exif = picture.image.getexif()
    if exif:
        exif[_X_RESOLUTION] = exif[_Y_RESOLUTION] = dpi
        exif[_RESOLUTION_UNIT] = _INCHES
    image: Image.Image = picture.image.copy()
    image.info = {}
    target = io.BytesIO()
    whole = (int(dpi), int(dpi))
    icc = picture.icc or None
    image.save(
        target, "JPEG", quality=95, subsampling=0, dpi=whole, exif=exif.tobytes() if exif else b"", icc_profile=icc
    )
    return target.getvalue()


def _with_phys(png: bytes, dpi: float) -> bytes:
    """The same PNG with this pixel density. It was decoded before, so its chunks are known to be sound."""
    per_metre = round(dpi / _INCH_M)
    body = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    kept = [png[:_PNG_HEAD_END], chunk]
    at = _PNG_HEAD_END
    while at + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        end = at + 12 + length
        if png[at + 4 : at + 8] != b"pHYs":
            kept.append(png[at:end])
        at = end
    return b"".join(kept)
