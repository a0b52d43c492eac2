"""The parts that several kinds of segment share: look, crop, keyframes, animations, background, materials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from executors.providers.jianying import names
from executors.providers.jianying.nodes import Node
from executors.providers.jianying.plan import Animation, Background, Crop, Key, Look, Material, Span

MAX_URL_CHARS = 8192
MAX_KEYFRAMES = 200
MIN_SPEED, MAX_SPEED = 0.1, 100.0
MAX_VOLUME = 10.0
INPUT_SCHEME = "input:"
"""`input:images[0]` in a document of our own making: a picture that came with the call."""

FileKinds = tuple[Literal["image", "video", "audio"], ...]


class Materials:
    """The files a document names, each address once, under the path of its first mention or what `fields` says."""

    def __init__(self, *, allows_inputs: bool = False, fields: Mapping[str, str] | None = None) -> None:
        self.allows_inputs = allows_inputs
        self.fields = fields or {}
        self.by_url: dict[str, Material] = {}
        self.kinds: dict[str, FileKinds] = {}

    def read(self, node: Node, kinds: FileKinds) -> Material:
        url = node.text("material_url", most=MAX_URL_CHARS, required=True).strip()
        if url.startswith(INPUT_SCHEME):
            if not self.allows_inputs:
                node.refuse("material_url", "Only http and https addresses are fetched.")
            field = url.removeprefix(INPUT_SCHEME)
        else:
            field = self.fields.get(url, node.at("material_url"))
        material = self.by_url.setdefault(url, Material(field=field, url=url))
        allowed = tuple(kind for kind in self.kinds.get(material.field, kinds) if kind in kinds)
        if not allowed:
            node.refuse("material_url", "The same file is used as a picture and as a sound.")
        self.kinds[material.field] = allowed or kinds
        return material

    def named(self) -> list[Material]:
        """Those that have to be fetched."""
        return [m for url, m in self.by_url.items() if url and not url.startswith(INPUT_SCHEME)]


def read_look(node: Node, *, has_one_scale: bool = False) -> Look:
    part = node.child("transform")
    if part is None:
        return Look()
    both = part.number("scale", default=1.0, low=0.001, high=100) if has_one_scale or part.has("scale") else 1.0
    look = Look(
        x=part.number("position_x", default=0.0, low=-100, high=100),
        y=part.number("position_y", default=0.0, low=-100, high=100),
        scale_x=part.number("scale_x", default=both, low=0.001, high=100),
        scale_y=part.number("scale_y", default=both, low=0.001, high=100),
        rotation=part.number("rotation", default=0.0, low=-36000, high=36000),
        opacity=part.number("opacity", default=1.0, low=0, high=1),
    )
    part.close()
    return look


def read_crop(node: Node) -> Crop | None:
    part = node.child("crop")
    if part is None:
        return None
    is_on = part.flag("enabled", default=not part.is_empty)
    crop = Crop(
        left=part.number("left", default=0.0, low=0, high=1),
        top=part.number("top", default=0.0, low=0, high=1),
        right=part.number("right", default=1.0, low=0, high=1),
        bottom=part.number("bottom", default=1.0, low=0, high=1),
    )
    part.close()
    if not is_on or crop == Crop():
        return None
    if crop.left >= crop.right or crop.top >= crop.bottom:
        node.refuse("crop", "left must be smaller than right, and top smaller than bottom.")
        return None
    return crop


def read_background(node: Node) -> tuple[Background | None, Literal["fit", "fill", "stretch"]]:
    part = node.child("background")
    if part is None:
        return None, "fit"
    fits = {"fit": "fit", "contain": "fit", "fill": "fill", "cover": "fill", "stretch": "stretch"}
    fit: Literal["fit", "fill", "stretch"] = part.choice("fit_mode", fits, default="fit")
    color = part.colour("color", default="")
    if isinstance(part.raw("blur"), bool):
        blur = 0.0625 if part.raw("blur") else 0.0  # JianYing's first of four steps
    else:
        blur = part.number("blur", default=0.0, low=0, high=1)
    part.close()
    if blur > 0:
        if color:
            part.warn("color", "Not used: the background is the blurred picture, and there is only one background.")
        return Background(blur=blur), fit
    return (Background(color=f"{color}FF") if color else None), fit


def read_animations(node: Node, span: Span, **finders: Callable[[str], Any]) -> tuple[Animation, ...]:
    """`finders` by key (intro, outro, loop, group), in the order in which the library wants them."""
    part = node.child("animations")
    if part is None:
        return ()
    found = []
    for key, find in finders.items():
        entry = part.entry(key, find)
        length = part.time_us(f"{key}_duration") if key in ("intro", "outro") else None
        if length is not None and entry is not None and not 0 < length <= span.duration_us:
            part.refuse(f"{key}_duration", "Must be longer than 0 and not longer than the segment.")
        if entry is not None:
            found.append(Animation(entry=entry, duration_us=length or None))
        elif length:
            part.warn(f"{key}_duration", f"Not used: there is no {key}.")
    part.close()
    if part.has("group") and (part.has("intro") or part.has("outro")):
        part.refuse("group", "JianYing takes either a group animation or an intro and an outro.")
    return tuple(found)


def read_keys(node: Node, span: Span, *, names: tuple[str, ...]) -> tuple[Key, ...]:
    """`names` are those this kind of segment can change over time; the others are refused."""
    part = node.child("keyframes")
    if part is None:
        return ()
    found: list[Key] = []
    for name in ("position", "scale", "rotation", "opacity", "volume"):
        for path, item in part.items(name, most=MAX_KEYFRAMES):
            if name not in names:
                part.refuse(name, "JianYing has no such keyframes for this kind of segment.")
                break
            found += _read_key(Node(item, path, node.findings), name, span)
    part.close()
    if any(k.property == "uniform_scale" for k in found) and any(k.property == "scale_x" for k in found):
        part.refuse("scale", "Either all are numbers, or all are {x, y}.")
        return ()
    return tuple(found)


def _read_key(node: Node, name: str, span: Span) -> list[Key]:
    at_us = node.time_us("time") or 0
    if not node.has("time"):
        node.refuse("time", "This is required.")
    elif at_us > span.duration_us:
        node.refuse("time", "Lies after the end of the segment; it counts from the segment's start.")
    values: dict[str, float] = {}
    if name in ("position", "scale") and not isinstance(node.raw("value"), int | float):
        pair = node.child("value")
        low, high = (-100.0, 100.0) if name == "position" else (0.001, 100.0)
        if pair is None:
            node.refuse("value", "This is required.")
        else:
            if not (pair.has("x") and pair.has("y")):
                pair.findings.refuse(pair.path, "Needs x and y.")
            values = {f"{name}_{axis}": pair.number(axis, default=1.0, low=low, high=high) for axis in "xy"}
            pair.close()
    elif name == "position":
        node.refuse("value", "Needs x and y.")
    else:
        word, low, high = {
            "scale": ("uniform_scale", 0.001, 100.0),
            "rotation": ("rotation", -36000.0, 36000.0),
            "opacity": ("alpha", 0.0, 1.0),
            "volume": ("volume", 0.0, MAX_VOLUME),
        }[name]
        if node.raw("value") is None:
            node.refuse("value", "This is required.")
        values = {word: node.number("value", default=1.0, low=low, high=high)}
    node.close()
    return [Key(property=word, at_us=at_us, value=value) for word, value in values.items()]


def read_source(node: Node, span: Span, *, speed: float | None, frame_us: int) -> tuple[Span | None, float]:
    """`material_range` and the speed. Where both are given they must say the same as `time_range`, up to one frame."""
    source = node.span("material_range")
    if source is None:
        return None, speed if speed is not None else 1.0
    if speed is not None and abs(source.duration_us / speed - span.duration_us) > frame_us:
        node.refuse(
            "material_range",
            f"{source.duration_us / 1e6:g} s at speed {speed:g} last {source.duration_us / speed / 1e6:g} s, "
            f"but time_range lasts {span.duration_us / 1e6:g} s.",
        )
    found = source.duration_us / span.duration_us
    if not MIN_SPEED <= found <= MAX_SPEED:
        node.refuse("material_range", f"Would play at speed {found:g}; JianYing takes {MIN_SPEED:g} to {MAX_SPEED:g}.")
    return source, found


def read_speed(node: Node, name: str) -> float | None:
    return node.number(name, default=1.0, low=MIN_SPEED, high=MAX_SPEED) if node.has(name) else None


def scaled(keys: tuple[Key, ...], factor: float) -> tuple[Key, ...]:
    """Volume keyframes of a track whose volume is turned."""
    return tuple(replace(key, value=key.value * factor) if key.property == "volume" else key for key in keys)


VISUAL_ANIMATIONS: dict[str, Callable[[str], Any]] = {
    "intro": names.find_intro,
    "outro": names.find_outro,
    "group": names.find_group,
}
TEXT_ANIMATIONS: dict[str, Callable[[str], Any]] = {
    "intro": names.find_text_intro,
    "outro": names.find_text_outro,
    "loop": names.find_text_loop,
}
