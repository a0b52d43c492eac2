"""Reading a segment of each kind. What JianYing or the library cannot do is refused by its path, never left out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from executors.providers.jianying import names, parts
from executors.providers.jianying.nodes import Node
from executors.providers.jianying.parts import Materials
from executors.providers.jianying.plan import (
    Audio,
    Effect,
    Filter,
    Segment,
    Span,
    Sticker,
    Text,
    TextBox,
    TextShadow,
    TextStroke,
    Visual,
)

MAX_TEXT_CHARS = 5000
PICTURE_US = 3 * 3600 * 1_000_000
"""How long a picture can be shown at most, as JianYing counts."""
_RESOURCE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CENTRED = frozenset({"position_x", "position_y"})


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a segment is read against."""

    materials: Materials
    frame_us: int
    track_volume: float = 1.0


def read_video(node: Node, span: Span, context: Context) -> Segment:
    speed, audio = node.child("speed"), node.child("audio")
    wanted_speed = None
    volume, changes_pitch = 1.0, False
    if speed is not None:
        wanted_speed = parts.read_speed(speed, "speed")
        if speed.flag("reverse"):
            speed.refuse("reverse", "A draft cannot reverse a film; reverse the file first.")
        speed.close()
    if audio is not None:
        volume = audio.number("volume", default=1.0, low=0, high=parts.MAX_VOLUME)
        changes_pitch = audio.flag("change_pitch")
        audio.close()
    source, found_speed = parts.read_source(node, span, speed=wanted_speed, frame_us=context.frame_us)
    return Visual(
        kind="video",
        path=node.path,
        span=span,
        material=context.materials.read(node, ("video", "image")),
        source=source,
        speed=found_speed,
        volume=volume * context.track_volume,
        changes_pitch=changes_pitch,
        **_visual(node, span, keys=("position", "scale", "rotation", "opacity", "volume"), context=context),
    )


def read_image(node: Node, span: Span, context: Context) -> Segment:
    if span.duration_us > PICTURE_US:
        node.refuse("time_range", "A picture can be shown for three hours at most.")
    size = None
    if (dimensions := node.child("dimensions")) is not None:
        width = dimensions.integer("width", default=0, low=0, high=100_000)
        height = dimensions.integer("height", default=0, low=0, high=100_000)
        dimensions.close()
        size = (width, height) if width and height else None
    return Visual(
        kind="image",
        path=node.path,
        span=span,
        material=context.materials.read(node, ("image",)),
        declared_size=size,
        **_visual(node, span, keys=("position", "scale", "rotation", "opacity"), context=context),
    )


def _visual(node: Node, span: Span, *, keys: tuple[str, ...], context: Context) -> dict[str, Any]:
    background, fit = parts.read_background(node)
    found: dict[str, Any] = {
        "look": parts.read_look(node),
        "crop": parts.read_crop(node),
        "background": background,
        "fit": fit,
        "animations": parts.read_animations(node, span, **parts.VISUAL_ANIMATIONS),
        "keys": parts.scaled(parts.read_keys(node, span, names=keys), context.track_volume),
    }
    effects = node.child("effects")
    if effects is None:
        return found
    found["filter"] = effects.entry("filter_type", names.find_filter)
    found["filter_intensity"] = effects.number("filter_intensity", default=1.0, low=0, high=1)
    found["transition"] = effects.entry("transition_type", names.find_transition)
    length = effects.time_us("transition_duration")
    found["transition_us"] = length or None
    if found["transition"] is not None and length is not None and not 0 < length <= span.duration_us:
        effects.refuse("transition_duration", "Must be longer than 0 and not longer than the segment.")
    for name, of in (("filter_intensity", "filter_type"), ("transition_duration", "transition_type")):
        if effects.has(name) and not effects.has(of) and effects.raw(name):
            effects.warn(name, f"Not used: there is no {of}.")
    effects.close()
    return found


def read_audio(node: Node, span: Span, context: Context) -> Segment:
    found: dict[str, Any] = {}
    wanted_speed = None
    if (audio := node.child("audio")) is not None:
        wanted_speed = parts.read_speed(audio, "speed")
        found["volume"] = audio.number("volume", default=1.0, low=0, high=parts.MAX_VOLUME)
        found["changes_pitch"] = audio.flag("change_pitch")
        found["fade_in_us"] = audio.time_us("fade_in") or 0
        found["fade_out_us"] = audio.time_us("fade_out") or 0
        if found["fade_in_us"] + found["fade_out_us"] > span.duration_us:
            audio.refuse("fade_out", "Fade-in and fade-out together are longer than the segment.")
        effect = audio.entry("effect_type", names.find_sound_effect)
        intensity = audio.number("effect_intensity", default=1.0, low=0, high=1)
        if effect is not None:
            found["effect"] = effect
            params = names.sound_parameters(effect, intensity) if audio.has("effect_intensity") else ()
            found["effect_params"] = params or ()
            if params is None:
                audio.warn("effect_intensity", f"{effect.value.name} has no strength that could be set.")
        elif audio.has("effect_intensity") and intensity:
            audio.warn("effect_intensity", "Not used: there is no effect_type.")
        audio.close()
    source, speed = parts.read_source(node, span, speed=wanted_speed, frame_us=context.frame_us)
    found["volume"] = found.get("volume", 1.0) * context.track_volume
    # A container such as MP4 says video and may hold sound alone; whether it does is seen when it is opened.
    material = context.materials.read(node, ("audio", "video"))
    keys = parts.scaled(parts.read_keys(node, span, names=("volume",)), context.track_volume)
    return Audio(path=node.path, span=span, material=material, source=source, speed=speed, keys=keys, **found)


def read_text(node: Node, span: Span, context: Context) -> Segment:
    found = _style(style) if (style := node.child("style")) is not None else {}
    alignment = node.choice("alignment", {"left": 0, "center": 1, "centre": 1, "right": 2}, default=None)
    if alignment is not None:
        found["align"] = alignment
    return Text(
        path=node.path,
        span=span,
        content=node.text("content", most=MAX_TEXT_CHARS, required=True),
        look=parts.read_look(node, has_one_scale=True),
        animations=parts.read_animations(node, span, **parts.TEXT_ANIMATIONS),
        keys=parts.read_keys(node, span, names=("position", "scale", "rotation")),
        **found,
    )


def _style(style: Node) -> dict[str, Any]:
    weights = {"normal": False, "regular": False, "bold": True, "400": False, "700": True}
    size = style.number("font_size", default=8.0, low=0.5, high=600)
    if size > 20:
        # Exports hold sizes in pixels of their designer; JianYing's own go to about 20.
        style.warn("font_size", f"Taken as pixels: {size:g} became JianYing's size {size / 6:g}.")
        size /= 6
    found = {
        "font": style.entry("font_family", names.find_font),
        "size": size,
        "bold": style.choice("font_weight", weights, default=False),
        "italic": style.choice("font_style", {"normal": False, "italic": True, "oblique": True}, default=False),
        "color": style.rgb("color", default="#FFFFFF"),
        "stroke": _part(style, "stroke", _stroke),
        "shadow": _part(style, "shadow", _shadow),
        "box": _part(style, "background", _box),
    }
    style.close()
    return found


def _part(style: Node, name: str, read: Callable[[Node], Any]) -> Any:
    """None where it is switched off; without `enabled`, naming anything of it switches it on."""
    part = style.child(name)
    if part is None:
        return None
    is_on = part.flag("enabled", default=not part.is_empty)
    found = read(part)
    part.close()
    return found if is_on else None


def _stroke(part: Node) -> TextStroke:
    return TextStroke(
        color=part.rgb("color", default="#000000"), width=part.number("width", default=40.0, low=0, high=100)
    )


def _shadow(part: Node) -> TextShadow:
    """Offsets as on paper: right and down are positive. JianYing has a distance and an angle, where up is positive."""
    x = part.number("offset_x", default=3.5, low=-100, high=100)
    y = part.number("offset_y", default=3.5, low=-100, high=100)
    return TextShadow(
        color=part.rgb("color", default="#000000"),
        distance=min(100.0, round(math.hypot(x, y), 4)),
        angle=round(math.degrees(math.atan2(-y, x)), 4) + 0.0 if x or y else 0.0,
        blur=part.number("blur", default=15.0, low=0, high=100),
    )


def _box(part: Node) -> TextBox:
    return TextBox(
        color=part.colour("color", default="#000000"), opacity=part.number("opacity", default=1.0, low=0, high=1)
    )


def read_sticker(node: Node, span: Span, context: Context) -> Segment:
    resource_id = node.text("resource_id", most=64, required=True).strip()
    if resource_id and not _RESOURCE.fullmatch(resource_id):
        node.refuse("resource_id", "Must be JianYing's id of a sticker.")
    flips = {"flips_horizontally": False, "flips_vertically": False}
    if (flip := node.child("flip")) is not None:
        flips = {"flips_horizontally": flip.flag("horizontal"), "flips_vertically": flip.flag("vertical")}
        flip.close()
    keys = parts.read_keys(node, span, names=("position", "scale", "rotation"))
    return Sticker(path=node.path, span=span, resource_id=resource_id, look=parts.read_look(node), keys=keys, **flips)


def read_effect(node: Node, span: Span, context: Context) -> Segment:
    entry = _required_entry(node, "effect_type", names.find_effect)
    params: tuple[float | None, ...] = ()
    if (properties := node.child("properties")) is not None:
        given = {}
        for name in properties.names():
            if name in _CENTRED:
                given[name] = (properties.number(name, default=0.0, low=-1, high=1) + 1) / 2
            else:
                given[name] = properties.number(name, default=0.0, low=0, high=1)
        if entry is not None:
            params, missing = names.effect_parameters(entry, given)
            for name in missing:
                properties.warn(name, f"The effect {entry.value.name} cannot be set this way; it keeps its default.")
    return Effect(path=node.path, span=span, entry=entry, params=params)


def read_filter(node: Node, span: Span, context: Context) -> Segment:
    entry = _required_entry(node, "filter_type", names.find_filter)
    intensity = node.number("intensity", default=1.0, low=0, high=1)
    return Filter(path=node.path, span=span, entry=entry, intensity=intensity)


def _required_entry(node: Node, name: str, find: Callable[[str], Any]) -> Any:
    if node.raw(name) in (None, ""):
        node.refuse(name, "This is required.")
    return node.entry(name, find)


READERS: dict[str, Callable[[Node, Span, Context], Segment]] = {
    "video": read_video,
    "image": read_image,
    "audio": read_audio,
    "text": read_text,
    "sticker": read_sticker,
    "effect": read_effect,
    "filter": read_filter,
}
