"""Which part of a mask hangs together with the picture's edge: a flood fill over whole rows at a time.

A row of the mask is one big integer, a bit a pixel. Adding the seeds to it lets a carry run through each stretch of
ones, which fills it without looking at single pixels: a hundred megapixels take seconds, not hours.
"""

from __future__ import annotations

from collections import deque

from PIL import Image

_REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def connected_from_edges(mask: Image.Image) -> Image.Image:
    """Of a mask (mode 1), the set pixels that reach the edge through set pixels side by side (not corner to corner)."""
    width, height = mask.size
    stride = (width + 7) // 8
    data = mask.tobytes()
    rows = [_Row(data[start : start + stride], width) for start in range(0, stride * height, stride)]
    for row in rows[1:-1]:
        row.seed(row.ends)
    for row in (rows[0], rows[-1]):
        row.seed(row.mask)
    waiting = deque(range(height))
    is_waiting = bytearray(b"\1") * height
    while waiting:
        at = waiting.popleft()
        is_waiting[at] = 0
        filled = rows[at].filled
        for neighbour in (at - 1, at + 1):
            if 0 <= neighbour < height and rows[neighbour].seed(filled) and not is_waiting[neighbour]:
                is_waiting[neighbour] = 1
                waiting.append(neighbour)
    return Image.frombytes("1", mask.size, b"".join(row.filled.to_bytes(stride, "big") for row in rows))


class _Row:
    """One row; bit 0 is the last (padding) pixel, so bits are used from the top."""

    __slots__ = ("backwards", "ends", "filled", "mask", "stride")

    def __init__(self, data: bytes, width: int) -> None:
        self.stride = len(data)
        padding = self.stride * 8 - width
        self.mask = int.from_bytes(data, "big") >> padding << padding
        self.backwards = self._reverse(self.mask)
        self.ends = self.mask & (1 << padding | 1 << (self.stride * 8 - 1))
        self.filled = 0

    def seed(self, bits: int) -> bool:
        """Fills every stretch that one of these bits touches. True if anything was added."""
        seeds = bits & self.mask & ~self.filled
        if not seeds:
            return False
        up = _run_up(self.mask, seeds)
        down = self._reverse(_run_up(self.backwards, self._reverse(seeds)))
        self.filled |= up | down
        return True

    def _reverse(self, bits: int) -> int:
        return int.from_bytes(bits.to_bytes(self.stride, "little").translate(_REVERSED_BITS), "big")


def _run_up(mask: int, seeds: int) -> int:
    """The seeds and, of each stretch of ones they lie in, everything above the lowest seed."""
    return mask & (~(mask + seeds) | seeds)
