"""`upscale_resize`: Lanczos to a wanted long edge."""

from __future__ import annotations

from PIL import Image

from executors.providers.imaging.modes import flatten, to_plain
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result, encode

HARD_MAX_EDGE_PX = 8192
WHITE = (255, 255, 255)


def upscale_resize(picture: Picture, parameters: Parameters, limits: Limits) -> Result:
    """The longer side becomes `max_long_edge` (never above 8192), up or down; the shape is kept to the nearest pixel.

    dpi and profile stay. JPEG has no transparency: it is laid on white.
    """
    wanted = parameters.whole("max_long_edge", default=4096, minimum=1, unit="px")
    output = parameters.choice("output_format", ("png", "jpg", "jpeg"), default="png")
    edge = min(wanted, HARD_MAX_EDGE_PX)
    width, height = scale_to_long_edge(picture.width, picture.height, edge)
    limits.check(width, height)
    image, icc = to_plain(picture)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    format = "PNG" if output == "png" else "JPEG"
    if format == "JPEG":
        image = flatten(image, WHITE)
    data = encode(image, format=format, dpi=picture.dpi, icc=icc)
    facts = {"max_long_edge": edge, "requested_long_edge": wanted, "was_capped": wanted > edge, "output_format": output}
    return Result(data=data, format=format, width=width, height=height, facts=facts)


def scale_to_long_edge(width: int, height: int, edge: int) -> tuple[int, int]:
    """The size with that long edge; the short one is rounded, and never less than one pixel."""
    long = max(width, height)
    return max(1, round(width * edge / long)), max(1, round(height * edge / long))
