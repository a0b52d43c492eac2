"""From a plan to the library's script: every segment in its track, with everything that was asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyJianYingDraft as library

from executors.providers.jianying.materials import MaterialFile, audio_material, video_material
from executors.providers.jianying.nodes import rejection
from executors.providers.jianying.plan import (
    Audio,
    Crop,
    Draft,
    Effect,
    Filter,
    Key,
    Look,
    Segment,
    Span,
    Sticker,
    Text,
    Visual,
    Warning,
)

TOLERANCE_US = 100_000
"""Lengths are often rounded on their way here: a material so much too short is used to its end, with a warning."""


@dataclass
class Builder:
    """Makes one draft. `warnings` are those that only the files themselves could give."""

    files: Mapping[str, MaterialFile]
    draft: Draft
    warnings: list[Warning] = field(default_factory=list)
    _materials: dict[tuple[str, Crop | None], Any] = field(default_factory=dict)

    def build(self) -> Any:
        """The library's ScriptFile. Raises ProviderRejected naming each segment that its file cannot fill."""
        script = library.ScriptFile(self.draft.width, self.draft.height, self.draft.fps, True)
        problems: dict[str, str] = {}
        for number, track in enumerate(self.draft.tracks, start=1):
            kind = library.TrackType.from_name(track.kind)
            ref = script.append_track(library.TrackSpec(kind, f"{track.kind}_{number}", mute=track.is_muted))
            for segment in track.segments:
                try:
                    self._add(script, ref, segment)
                except _DoesNotFit as error:
                    problems[error.path] = error.message
        if problems:
            raise rejection(problems)
        return script

    def _add(self, script: Any, ref: Any, segment: Segment) -> None:
        if isinstance(segment, Effect):
            script.add_effect(segment.entry, _range(segment.span), ref, params=list(segment.params))
        elif isinstance(segment, Filter):
            script.add_filter(segment.entry, _range(segment.span), ref, segment.intensity * 100)
        elif isinstance(segment, Visual):
            script.add_segment(self._visual(segment), ref)
        elif isinstance(segment, Audio):
            script.add_segment(self._audio(segment), ref)
        else:
            made = self._text(segment) if isinstance(segment, Text) else self._sticker(segment)
            script.add_segment(made, ref)
            script.materials.speeds.append(made.speed)  # the segment names it, and the library leaves it out

    def _visual(self, segment: Visual) -> Any:
        file = self.files[segment.material.field]
        key = (segment.material.field, segment.crop)
        material = self._materials.setdefault(key, video_material(file, segment.crop))
        target, source = self._times(segment, file, segment.source, segment.speed)
        look = self._fitted(segment, file)
        made = library.VideoSegment(
            material,
            target,
            source_timerange=source,
            volume=segment.volume,
            change_pitch=segment.changes_pitch,
            clip_settings=_clip(look),
        )
        if segment.filter is not None:
            made.add_filter(segment.filter, segment.filter_intensity * 100)
        if segment.transition is not None:
            made.add_transition(segment.transition, duration=segment.transition_us)
        if segment.background is not None and segment.background.blur is not None:
            made.add_background_filling("blur", blur=segment.background.blur)
        elif segment.background is not None:
            made.add_background_filling("color", color=segment.background.color)
        for animation in segment.animations:
            made.add_animation(animation.entry, animation.duration_us)
        _add_keys(made, segment.keys, look)
        if segment.declared_size not in (None, (file.width, file.height)):
            message = f"The picture has {file.width}x{file.height} pixels; that is what the draft says."
            self.warnings.append(Warning(path=f"{segment.path}.dimensions", message=message))
        return made

    def _audio(self, segment: Audio) -> Any:
        file = self.files[segment.material.field]
        material = self._materials.setdefault((segment.material.field, None), audio_material(file))
        target, source = self._times(segment, file, segment.source, segment.speed)
        made = library.AudioSegment(
            material, target, source_timerange=source, volume=segment.volume, change_pitch=segment.changes_pitch
        )
        if segment.fade_in_us or segment.fade_out_us:
            made.add_fade(segment.fade_in_us, segment.fade_out_us)
        if segment.effect is not None:
            made.add_effect(segment.effect, list(segment.effect_params))
        for key in segment.keys:
            made.add_keyframe(key.at_us, key.value)
        return made

    def _times(self, segment: Visual | Audio, file: MaterialFile, source: Span | None, speed: float) -> tuple[Any, Any]:
        """Where it lies in the draft and which part of the file that is."""
        span = segment.span
        source = source or Span(start_us=0, end_us=round(span.duration_us * speed))
        over_us = source.end_us - file.duration_us
        if over_us > 0:
            length = f"the file lasts {file.duration_us / 1e6:g} s, {source.end_us / 1e6:g} s are wanted"
            left_us = file.duration_us - source.start_us
            may_cut = over_us <= TOLERANCE_US or (isinstance(segment, Audio) and segment.may_end_early)
            if not may_cut or left_us <= 0:
                name = "material_range" if segment.source else "time_range"
                raise _DoesNotFit(f"{segment.path}.{name}", f"Too long: {length}.")
            self.warnings.append(Warning(path=f"{segment.path}.time_range", message=f"Ends with its file: {length}."))
            source = Span(start_us=source.start_us, end_us=file.duration_us)
            span = Span(start_us=span.start_us, end_us=span.start_us + max(1, round(left_us / speed)))
        return _range(span), _range(source)

    def _fitted(self, segment: Visual, file: MaterialFile) -> Look:
        """JianYing shows a picture as large as fits; filling or stretching is a scale on top of that."""
        if segment.fit == "fit" or not (file.width and file.height):
            return segment.look
        crop = segment.crop or Crop()
        across = self.draft.width / (file.width * (crop.right - crop.left))
        down = self.draft.height / (file.height * (crop.bottom - crop.top))
        fits = min(across, down)
        x, y = (max(across, down),) * 2 if segment.fit == "fill" else (across, down)
        look = segment.look
        return Look(
            x=look.x,
            y=look.y,
            scale_x=look.scale_x * x / fits,
            scale_y=look.scale_y * y / fits,
            rotation=look.rotation,
            opacity=look.opacity,
        )

    def _text(self, text: Text) -> Any:
        style = library.TextStyle(
            size=text.size,
            bold=text.bold,
            italic=text.italic,
            color=text.color,
            alpha=text.look.opacity,  # of a text this is the opacity that JianYing shows
            align=text.align,
        )
        stroke, shadow, box = text.stroke, text.shadow, text.box
        made = library.TextSegment(
            text.content,
            _range(text.span),
            font=text.font,
            style=style,
            clip_settings=_clip(text.look, opacity=1.0),
            border=library.TextBorder(color=stroke.color, width=stroke.width) if stroke else None,
            background=library.TextBackground(color=box.color, alpha=box.opacity) if box else None,
            shadow=library.TextShadow(
                color=shadow.color, distance=shadow.distance, angle=shadow.angle, diffuse=shadow.blur
            )
            if shadow
            else None,
        )
        for animation in text.animations:
            made.add_animation(animation.entry, animation.duration_us)
        _add_keys(made, text.keys, text.look)
        return made

    def _sticker(self, segment: Segment) -> Any:
        assert isinstance(segment, Sticker)
        clip = _clip(segment.look)
        clip.flip_horizontal, clip.flip_vertical = segment.flips_horizontally, segment.flips_vertically
        made = library.StickerSegment(segment.resource_id, _range(segment.span), clip_settings=clip)
        _add_keys(made, segment.keys, segment.look)
        return made


class _DoesNotFit(Exception):
    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def _range(span: Span) -> Any:
    return library.Timerange(span.start_us, span.duration_us)


def _clip(look: Look, *, opacity: float | None = None) -> Any:
    return library.ClipSettings(
        alpha=look.opacity if opacity is None else opacity,
        rotation=look.rotation,
        scale_x=look.scale_x,
        scale_y=look.scale_y,
        transform_x=look.x,
        transform_y=look.y,
    )


def _add_keys(made: Any, keys: tuple[Key, ...], look: Look) -> None:
    """Keyframes, and whether width and height are scaled together; keyframes of the scale decide that themselves."""
    for key in keys:
        made.add_keyframe(library.KeyframeProperty[key.property], key.at_us, key.value)
    if not any("scale" in key.property for key in keys):
        made.uniform_scale = look.scale_x == look.scale_y
