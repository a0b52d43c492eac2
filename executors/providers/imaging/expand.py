"""`expand_mask_color`: a transparent border around the picture, as the placeholder for outpainting."""

from __future__ import annotations

from PIL import Image

from executors.providers.imaging.modes import to_rgba
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result, encode

SIDES = ("left", "right", "top", "bottom")
MAX_BORDER_PX = 100_000


def expand_mask_color(picture: Picture, parameters: Parameters, limits: Limits) -> Result:
    """PNG with alpha: the old pixels unchanged in their place, the border fully transparent. dpi and profile stay."""
    borders = {side: _border(parameters, side) for side in SIDES}
    width = picture.width + borders["left"] + borders["right"]
    height = picture.height + borders["top"] + borders["bottom"]
    limits.check(width, height)
    image, icc = to_rgba(picture)
    canvas = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    canvas.paste(image, (borders["left"], borders["top"]))
    data = encode(canvas, format="PNG", dpi=picture.dpi, icc=icc)
    facts = {f"expand_{side}": border for side, border in borders.items()}
    return Result(data=data, format="PNG", width=width, height=height, facts=facts)


def _border(parameters: Parameters, side: str) -> int:
    name = f"expand_{side}"
    aliases = (f"expand{side.title()}", side)
    return parameters.whole(name, default=0, minimum=0, maximum=MAX_BORDER_PX, aliases=aliases, unit="px")
