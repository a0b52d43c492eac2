"""`trim_to_canvas`: the motif freed of its empty border and centred on a print canvas of given millimetres."""

from __future__ import annotations

from PIL import Image

from executors.providers.imaging.lengths import round_down, to_px
from executors.providers.imaging.modes import distance_to, is_opaque, pixel_of, to_rgba
from executors.providers.imaging.parameters import Colour, Parameters, parse_colour
from executors.providers.imaging.picture import Limits, Picture, Result, encode
from executors.providers.imaging.problems import Code, ImageProblem, invalid
from executors.providers.imaging.warnings import Warned, warn

Box = tuple[int, int, int, int]


def trim_to_canvas(picture: Picture, parameters: Parameters, limits: Limits) -> Result:
    """PNG of exactly `width_mm` x `height_mm` at `dpi` (to the nearest pixel), which it also says in its dpi.

    Trim, scale (`fit`: as large as the margins allow; `shrink`: only smaller; `none`: not at all), centre.
    """
    dpi = parameters.number("dpi", default=300, minimum=10, maximum=2400, unit="dpi")
    sides = {name: parameters.number(name, default=300, minimum=1, maximum=10_000, unit="mm") for name in _SIDES}
    margin_mm = parameters.number("margin_mm", default=0, minimum=0, maximum=5_000, unit="mm")
    width, height = (to_px(length_mm, dpi) for length_mm in sides.values())
    limits.check(width, height)
    margin = to_px(margin_mm, dpi) if margin_mm else 0
    inner = (width - 2 * margin, height - 2 * margin)
    if min(inner) < 1:
        raise invalid("margin_mm", "leaves no room for the motif")
    background = _background_of(parameters)
    image, icc = to_rgba(picture)
    box, warnings = _motif_box(image, parameters)
    motif = image.crop(box)
    size, scale = _fitted(motif.size, inner, parameters)
    if size != motif.size:
        motif = motif.resize(size, Image.Resampling.LANCZOS)
    if scale > 1:
        warnings.append(warn("MOTIF_ENLARGED", scale=round(scale, 2), dpi=round_down(dpi / scale)))
    sheet = _centred(motif, (width, height), background)
    facts = {"dpi": dpi, **sides, "margin_mm": margin_mm, "motif_box": list(box), "motif_size": list(size)}
    return Result(
        data=encode(sheet, format="PNG", dpi=(dpi, dpi), icc=icc),
        format="PNG",
        width=width,
        height=height,
        facts={**facts, "scale": round(scale, 4), "motif_dpi": round_down(dpi / scale)},
        warnings=tuple(warnings),
    )


_SIDES = ("width_mm", "height_mm")


def _motif_box(image: Image.Image, parameters: Parameters) -> tuple[Box, list[Warned]]:
    """Where the motif is. `auto` goes by transparency where there is any, else by the colour of the corners."""
    trim = parameters.choice("trim", ("auto", "transparent", "color", "none"), default="auto")
    tolerance = parameters.whole("tolerance", default=10, minimum=0, maximum=255)
    whole = (0, 0, image.width, image.height)
    if trim == "none":
        return whole, []
    if trim == "transparent" or (trim == "auto" and not is_opaque(image)):
        return _box_above(image.getchannel("A"), tolerance), []
    corners = [pixel_of(image, x, y) for x in (0, image.width - 1) for y in (0, image.height - 1)]
    colour = corners[0]
    if any(abs(a - b) > tolerance for corner in corners for a, b in zip(corner, colour, strict=True)):
        return whole, [warn("BORDER_NOT_UNIFORM")]
    return _box_above(distance_to(image, colour), tolerance), []


def _box_above(levels: Image.Image, tolerance: int) -> Box:
    box = levels.point([0] * (tolerance + 1) + [255] * (255 - tolerance)).getbbox()
    if box is None:
        raise ImageProblem(Code.IMAGE_EMPTY, "Nothing is left of the picture after trimming: it is all border.")
    return box


def _fitted(size: tuple[int, int], inner: tuple[int, int], parameters: Parameters) -> tuple[tuple[int, int], float]:
    fit = parameters.choice("fit", ("fit", "shrink", "none"), default="fit")
    scale = min(inner[0] / size[0], inner[1] / size[1])
    if fit == "none" and scale < 1:
        raise invalid("fit", f"the motif of {size[0]} x {size[1]} pixels does not fit into {inner[0]} x {inner[1]}")
    if fit == "none" or (fit == "shrink" and scale >= 1):
        return size, 1.0
    width, height = (min(room, max(1, round(side * scale))) for side, room in zip(size, inner, strict=True))
    return (width, height), scale


def _background_of(parameters: Parameters) -> Colour | None:
    """None for a transparent canvas."""
    text = parameters.text("background", default="transparent")
    return None if text.lower() == "transparent" else parse_colour("background", text)


def _centred(motif: Image.Image, size: tuple[int, int], background: Colour | None) -> Image.Image:
    """A half pixel that is left over goes to the right and the bottom."""
    place = ((size[0] - motif.width) // 2, (size[1] - motif.height) // 2)
    if background is None:
        sheet = Image.new("RGBA", size, (0, 0, 0, 0))
        sheet.paste(motif, place)
        return sheet
    sheet = Image.new("RGBA", size, (*background, 255))
    sheet.alpha_composite(motif, place)
    return sheet.convert("RGB")
