"""How visible the seams of a repeated tile are.

At a seam the last row of pixels meets the first. Their difference is compared with the differences between neighbours
inside the tile, piece by piece: a step among many steps is not seen, the same step in a calm area is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageChops

PIECES = 16
"""Each seam is judged in this many pieces and counts as its worst one, so that one cut motif is not averaged away."""
FULLY_VISIBLE_STEP = 64
"""A step this much (of 255) above what is usual there is a hard line: 100."""
SEAMLESS_BELOW, FAINT_BELOW = 5, 20


@dataclass(frozen=True, kw_only=True)
class Seam:
    """`score`: 0 cannot be told from the inside of the tile, 100 a hard line. Steps in levels of 255."""

    score: int
    step: float
    usual_step: float

    def as_json(self) -> dict[str, Any]:
        return {"score": self.score, "step": self.step, "usual_step": self.usual_step}


def verdict_of(score: int) -> str:
    return "seamless" if score < SEAMLESS_BELOW else "faint" if score < FAINT_BELOW else "visible"


def vertical_seam(tile: Image.Image, *, shift_px: int = 0) -> Seam:
    """Where two tiles stand side by side, the right one moved down by `shift_px` (half-drop)."""
    tile = _comparable(tile)
    width, height = tile.size
    right = tile.crop((width - 1, 0, width, height))
    left = ImageChops.offset(tile.crop((0, 0, 1, height)), 0, shift_px)
    pieces = min(PIECES, height)
    seam = _difference(right, left).resize((1, pieces), Image.Resampling.BOX).tobytes()
    if width == 1:
        return _judge(seam, [b"\0"] * pieces)
    inside = _difference(tile.crop((0, 0, width - 1, height)), tile.crop((1, 0, width, height)))
    flat = inside.resize((width - 1, pieces), Image.Resampling.BOX).tobytes()
    rows = [flat[start : start + width - 1] for start in range(0, len(flat), width - 1)]
    return _judge(seam, rows)


def horizontal_seam(tile: Image.Image, *, shift_px: int = 0) -> Seam:
    """Where two tiles stand one above the other, the lower one moved right by `shift_px` (brick)."""
    return vertical_seam(tile.transpose(Image.Transpose.TRANSPOSE), shift_px=shift_px)


def _judge(seam: bytes, inside: list[bytes]) -> Seam:
    excess = max(step - _high(row) for step, row in zip(seam, inside, strict=True))
    return Seam(
        score=max(0, min(100, round(excess / FULLY_VISIBLE_STEP * 100))),
        step=round(sum(seam) / len(seam), 1),
        usual_step=round(sum(sum(row) / len(row) for row in inside) / len(inside), 1),
    )


def _high(row: bytes) -> int:
    """The 95th of a hundred steps in order of size: what the eye already meets inside the tile."""
    return sorted(row)[round((len(row) - 1) * 0.95)]


def _comparable(tile: Image.Image) -> Image.Image:
    """Colours weighted by their alpha: differences under full transparency are not seen."""
    weighted = tile.convert("RGBA").convert("RGBa")
    return Image.merge("RGBA", weighted.split())  # the same four channels under a mode that ImageChops takes


def _difference(one: Image.Image, other: Image.Image) -> Image.Image:
    """The largest difference of any channel, as L."""
    first, *others = ImageChops.difference(one, other).split()
    for band in others:
        first = ImageChops.lighter(first, band)
    return first
