"""`background_to_transparent`: everything of one colour becomes see-through."""

from __future__ import annotations

from collections import Counter

from PIL import Image, ImageChops, ImageFilter

from executors.providers.imaging.modes import distance_to, pixel_of, to_rgba
from executors.providers.imaging.parameters import Colour, Parameters, parse_colour
from executors.providers.imaging.picture import Limits, Picture, Result, encode
from executors.providers.imaging.problems import Code, ImageProblem, invalid
from executors.providers.imaging.regions import connected_from_edges
from executors.providers.imaging.warnings import warn

_COARSE_BITS = 3
"""Edge pixels are counted in steps of 8 levels, so that the noise of one backdrop still is one colour."""


def background_to_transparent(picture: Picture, parameters: Parameters, limits: Limits) -> Result:
    """PNG with alpha. Only alpha changes: pixels within `tolerance` of the colour (largest difference of any channel)
    become transparent; `feather` px inside the remaining edge fade out. Colours of half-covered edge pixels stay mixed.
    """
    image, icc = to_rgba(picture)
    limits.check(image.width, image.height)
    tolerance = parameters.whole("tolerance", default=24, minimum=0, maximum=255)
    mode = parameters.choice("mode", ("edges", "everywhere"), default="edges")
    feather = parameters.number("feather", default=1, minimum=0, maximum=100, unit="px")
    colour, share = _colour_of(image, parameters)
    removed = _similar(image, colour, tolerance)
    if mode == "edges":
        removed = connected_from_edges(removed)
    before = image.getchannel("A")
    kept = ImageChops.invert(removed.convert("L"))
    if feather:
        kept = ImageChops.darker(kept, kept.filter(ImageFilter.GaussianBlur(feather)))
    alpha = ImageChops.multiply(before, kept)
    if alpha.getbbox() is None:
        raise ImageProblem(Code.IMAGE_EMPTY, "The whole picture has the background's colour. Lower the tolerance.")
    removed_px = alpha.histogram()[0] - before.histogram()[0]
    image.putalpha(alpha)
    facts = {"color": "#{:02X}{:02X}{:02X}".format(*colour), "tolerance": tolerance, "mode": mode, "feather": feather}
    return Result(
        data=encode(image, format="PNG", dpi=picture.dpi, icc=icc),
        format="PNG",
        width=image.width,
        height=image.height,
        facts={**facts, "edge_share": share},
        metadata={"removed_share": round(removed_px / (image.width * image.height), 4)},
        warnings=() if removed_px else (warn("NOTHING_REMOVED"),),
    )


def _colour_of(image: Image.Image, parameters: Parameters) -> tuple[Colour, float | None]:
    """The colour to remove, and for a detected one the share of the edge that has it."""
    x = parameters.optional_number("pick_x", minimum=0, unit="px")
    y = parameters.optional_number("pick_y", minimum=0, unit="px")
    if x is not None or y is not None:
        if x is None or y is None or x >= image.width or y >= image.height:
            raise invalid("pick_x", "pick_x and pick_y must both be given and lie inside the picture")
        return pixel_of(image, int(x), int(y))[:3], None
    text = parameters.text("color", default="auto")
    if text.lower() != "auto":
        return parse_colour("color", text), None
    return _edge_colour(image)


def _edge_colour(image: Image.Image) -> tuple[Colour, float]:
    """The commonest colour of the outermost pixels that are not transparent already."""
    width, height = image.size
    strips = ((0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height))
    pixels: Counter[Colour] = Counter()
    for strip in strips:
        for count, colour in image.crop(strip).getcolors(width + height) or ():
            assert isinstance(colour, tuple)
            if colour[3]:
                pixels[colour[0], colour[1], colour[2]] += count
    if not pixels:
        return (255, 255, 255), 0.0
    groups: Counter[tuple[int, ...]] = Counter()
    for colour, count in pixels.items():
        groups[_coarse(colour)] += count
    best, best_count = groups.most_common(1)[0]
    members = {colour: count for colour, count in pixels.items() if _coarse(colour) == best}
    red, green, blue = (
        round(sum(colour[band] * count for colour, count in members.items()) / best_count) for band in range(3)
    )
    return (red, green, blue), round(best_count / pixels.total(), 3)


def _coarse(colour: Colour) -> tuple[int, ...]:
    return tuple(level >> _COARSE_BITS for level in colour)


def _similar(image: Image.Image, colour: Colour, tolerance: int) -> Image.Image:
    """Mode 1: set where every channel is within the tolerance, and where the picture is transparent already."""
    near = distance_to(image, colour).point([255] * (tolerance + 1) + [0] * (255 - tolerance))
    clear = image.getchannel("A").point([255] + [0] * 255)
    return ImageChops.lighter(near, clear).convert("1", dither=Image.Dither.NONE)
