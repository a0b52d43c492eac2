"""Small pictures made on the spot, and the input files that carry them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from PIL import Image

from executors.providers.base import InputFile


def sample(size: tuple[int, int] = (4, 3), mode: str = "RGB") -> Image.Image:
    """A picture in which every pixel is different from its neighbours."""
    image = Image.new("RGBA", size)
    for y in range(size[1]):
        for x in range(size[0]):
            image.putpixel((x, y), (x * 50 % 256, y * 70 % 256, (x + y) * 30 % 256, 255 - (x * y * 20) % 256))
    return image.convert(mode)


def save(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


def png(size: tuple[int, int] = (4, 3), mode: str = "RGB", **options: Any) -> bytes:
    return save(sample(size, mode), "PNG", **options)


def read(data: bytes | None) -> Image.Image:
    assert data is not None
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def input_file(data: bytes, name: str = "picture.png", content_type: str = "image/png") -> InputFile:
    return InputFile(
        field="image_url",
        name=name,
        content_type=content_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        open=lambda: io.BytesIO(data),
    )
