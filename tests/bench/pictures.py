"""The picture of the bench: as small as one can be, so that nothing is measured but the way it takes."""

from __future__ import annotations

import io

from PIL import Image


def tiny_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()
