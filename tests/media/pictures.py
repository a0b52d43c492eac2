"""Pictures made on the spot, whole and damaged."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image


def make(
    format: str = "PNG", size: tuple[int, int] = (40, 30), *, mode: str = "RGB", seed: int = 0, **options: Any
) -> bytes:
    """A picture with some detail, so that cutting it off loses pixels."""
    image = Image.new(mode, size)
    band = len(image.getbands())
    pixels = bytes(
        (x * 7 + y * 13 + c * 29 + seed) % 251 for y in range(size[1]) for x in range(size[0]) for c in range(band)
    )
    image.frombytes(pixels)
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a few hundred bytes whose header promises gigapixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100_000), 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def animation(frames: int = 3, size: tuple[int, int] = (20, 20)) -> bytes:
    images = [Image.new("P", size, color=index) for index in range(frames)]
    for index, image in enumerate(images):
        image.putpixel((index % size[0], 0), 255)
    out = io.BytesIO()
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=40)
    return out.getvalue()
