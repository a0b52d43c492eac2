"""How visible the seams of a repeated tile are.

At a seam the last row of pixels meets the first. Their difference is compared with the differences between neighbours
inside the tile, piece by piece: a step among many steps is not seen, the same step in a calm area is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
    width, height = tile.size
    right = tile.crop((width - 1, 0, width, height))
    left = ImageChops.offset(tile.crop((0, 0, 1, height)), 0, shift_px)
    pieces = min(PIECES, height)
    cuts = [height * piece // pieces for piece in range(pieces + 1)]
    # Piece by piece, also so that a large tile is never held several times over.
    spans = list(pairwise(cuts))
    seam = [_steps(right.crop((0, top, 1, end)), left.crop((0, top, 1, end)))[0] for top, end in spans]
    inside = [
        _steps(tile.crop((0, top, width - 1, end)), tile.crop((1, top, width, end))) if width > 1 else b"\0"
        for top, end in spans
    ]
    return _judge(seam, inside)


def horizontal_seam(tile: Image.Image, *, shift_px: int = 0) -> Seam:
    """Where two tiles stand one above the other, the lower one moved right by `shift_px` (brick)."""
    return vertical_seam(tile.transpose(Image.Transpose.TRANSPOSE), shift_px=shift_px)


def _judge(seam: list[int], inside: list[bytes]) -> Seam:
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


def _steps(one: Image.Image, other: Image.Image) -> bytes:
    """For each column the mean, over its rows, of the largest difference of any channel."""
    first, *others = ImageChops.difference(_comparable(one), _comparable(other)).split()
    for band in others:
        first = ImageChops.lighter(first, band)
    return first.resize((first.width, 1), Image.Resampling.BOX).tobytes()
