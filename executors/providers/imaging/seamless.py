"""`seamless_preview`: the tile repeated as it will be printed, and how visible its seams are."""

from __future__ import annotations

import math

from PIL import Image

from executors.providers.imaging.modes import to_plain
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result, encode
from executors.providers.imaging.seams import Seam, horizontal_seam, verdict_of, vertical_seam
from executors.providers.imaging.warnings import warn

LAYOUTS = ("straight", "half_drop", "brick")
LANCZOS_SUPPORT = 3


def seamless_preview(picture: Picture, parameters: Parameters, limits: Limits) -> Result:
    """PNG of `columns` x `rows` tiles; half_drop moves every second column down, brick every second row right, by half
    a tile (rounded down). A result above `max_long_edge` is made from a tile reduced so that its edges still meet.
    The seams are judged on the tile in its full size.
    """
    columns = parameters.whole("columns", default=3, minimum=1, maximum=20)
    rows = parameters.whole("rows", default=3, minimum=1, maximum=20)
    layout = parameters.choice("layout", LAYOUTS, default="straight")
    edge = parameters.whole("max_long_edge", default=4096, minimum=16, maximum=16_000, unit="px")
    tile, icc = to_plain(picture)
    scale = min(1.0, edge / max(tile.width * columns, tile.height * rows))
    size = (max(1, math.floor(tile.width * scale)), max(1, math.floor(tile.height * scale)))
    limits.check(size[0] * columns, size[1] * rows)
    seams = _judge(tile, layout)
    sheet = _repeat(_reduce_periodic(tile, size), columns=columns, rows=rows, layout=layout)
    dpi = (picture.dpi[0] * scale, picture.dpi[1] * scale) if picture.dpi else None
    score = max(seam.score for seam in seams.values())
    report = {"score": score, "verdict": verdict_of(score), **{name: seam.as_json() for name, seam in seams.items()}}
    warnings = [warn("SEAM_VISIBLE", score=score)] if report["verdict"] == "visible" else []
    return Result(
        data=encode(sheet, format="PNG", dpi=dpi, icc=icc),
        format="PNG",
        width=sheet.width,
        height=sheet.height,
        facts={"columns": columns, "rows": rows, "layout": layout, "tile_scale": round(scale, 4)},
        metadata={"seams": report},
        warnings=tuple(warnings),
    )


def _judge(tile: Image.Image, layout: str) -> dict[str, Seam]:
    drop = tile.height // 2 if layout == "half_drop" else 0
    slide = tile.width // 2 if layout == "brick" else 0
    return {"vertical": vertical_seam(tile, shift_px=drop), "horizontal": horizontal_seam(tile, shift_px=slide)}


def _reduce_periodic(tile: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The tile in a smaller size, filtered as if its neighbours lay around it: reducing must not make seams."""
    width, height = tile.size
    if size == tile.size:
        return tile
    pad_x = min(width, math.ceil(width / size[0] * LANCZOS_SUPPORT) + 1)
    pad_y = min(height, math.ceil(height / size[1] * LANCZOS_SUPPORT) + 1)
    padded = Image.new(tile.mode, (width + 2 * pad_x, height + 2 * pad_y))
    for x in (pad_x - width, pad_x, pad_x + width):
        for y in (pad_y - height, pad_y, pad_y + height):
            padded.paste(tile, (x, y))
    # Pillow's filter reads beyond `box` where the picture goes on.
    box = (pad_x, pad_y, pad_x + width, pad_y + height)
    return padded.resize(size, Image.Resampling.LANCZOS, box=box)


def _repeat(tile: Image.Image, *, columns: int, rows: int, layout: str) -> Image.Image:
    width, height = tile.size
    sheet = Image.new(tile.mode, (width * columns, height * rows))
    for column in range(-1, columns):
        for row in range(-1, rows):
            drop = height // 2 if layout == "half_drop" and column % 2 else 0
            slide = width // 2 if layout == "brick" and row % 2 else 0
            sheet.paste(tile, (column * width + slide, row * height + drop))
    return sheet
