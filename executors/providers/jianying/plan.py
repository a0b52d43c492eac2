"""A draft as it was asked for: checked, with defaults, all times in microseconds. What is built is built from this.

`path` is the place in the caller's document, for messages. Names of effects are already the library's own entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SEGMENT_KINDS = ("video", "image", "audio", "text", "sticker", "effect", "filter")


@dataclass(frozen=True, kw_only=True)
class Span:
    start_us: int
    end_us: int

    @property
    def duration_us(self) -> int:
        return self.end_us - self.start_us


@dataclass(frozen=True, kw_only=True)
class Look:
    """Where and how something is seen. Positions: 0 the centre, 1 half the canvas; rotation in degrees."""

    x: float = 0.0
    y: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    rotation: float = 0.0
    opacity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Crop:
    """The part of a picture that is used, as shares of its width and height from the upper left."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Key:
    """One keyframe: `property` is the library's word, `at_us` counts from the start of the segment."""

    property: str
    at_us: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Animation:
    entry: Any
    duration_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class Background:
    """What fills the canvas beside a picture: blurred (0 to 1), or a colour `#RRGGBBAA`."""

    blur: float | None = None
    color: str = ""


@dataclass(frozen=True, kw_only=True)
class Segment:
    path: str
    span: Span


@dataclass(frozen=True, kw_only=True)
class Material:
    """A file that a segment shows or plays: the path of its first mention, under which it comes with the order."""

    field: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Visual(Segment):
    """A video or a picture."""

    kind: Literal["video", "image"]
    material: Material
    source: Span | None = None
    speed: float = 1.0
    volume: float = 1.0
    changes_pitch: bool = False
    look: Look = Look()
    crop: Crop | None = None
    filter: Any = None
    filter_intensity: float = 1.0
    transition: Any = None
    transition_us: int | None = None
    background: Background | None = None
    fit: Literal["fit", "fill", "stretch"] = "fit"
    animations: tuple[Animation, ...] = ()
    keys: tuple[Key, ...] = ()
    declared_size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Audio(Segment):
    material: Material
    source: Span | None = None
    speed: float = 1.0
    volume: float = 1.0
    changes_pitch: bool = False
    fade_in_us: int = 0
    fade_out_us: int = 0
    effect: Any = None
    effect_params: tuple[float | None, ...] = ()
    keys: tuple[Key, ...] = ()
    may_end_early: bool = False
    """A sound shorter than its span is played as long as it lasts, instead of being refused."""


@dataclass(frozen=True, kw_only=True)
class TextStroke:
    color: tuple[float, float, float]
    width: float


@dataclass(frozen=True, kw_only=True)
class TextShadow:
    color: tuple[float, float, float]
    distance: float
    angle: float
    blur: float


@dataclass(frozen=True, kw_only=True)
class TextBox:
    color: str
    opacity: float


@dataclass(frozen=True, kw_only=True)
class Text(Segment):
    content: str
    look: Look = Look()
    font: Any = None
    size: float = 8.0
    bold: bool = False
    italic: bool = False
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    align: Literal[0, 1, 2] = 0
    stroke: TextStroke | None = None
    shadow: TextShadow | None = None
    box: TextBox | None = None
    animations: tuple[Animation, ...] = ()
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sticker(Segment):
    resource_id: str
    look: Look = Look()
    flips_horizontally: bool = False
    flips_vertically: bool = False
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Effect(Segment):
    entry: Any
    params: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Filter(Segment):
    entry: Any
    intensity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Track:
    kind: Literal["video", "audio", "text", "sticker", "effect", "filter"]
    is_muted: bool
    segments: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class Warning:
    """Something in the document that is not in the draft as it stands there, and why."""

    path: str
    message: str

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "message": self.message}


@dataclass(frozen=True, kw_only=True)
class Draft:
    path: str
    name: str
    width: int
    height: int
    fps: int
    tracks: tuple[Track, ...]
    warnings: tuple[Warning, ...] = ()

    @property
    def duration_us(self) -> int:
        return max((segment.span.end_us for segment in self.segments), default=0)

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(segment for track in self.tracks for segment in track.segments)

    @property
    def materials(self) -> Mapping[str, Material]:
        """Every file the draft uses, once, by its field."""
        used = [s.material for s in self.segments if isinstance(s, Visual | Audio)]
        return {material.field: material for material in used}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything one order asks for."""

    drafts: tuple[Draft, ...]
    kinds: Mapping[str, tuple[Literal["image", "video", "audio"], ...]] = field(default_factory=dict)
    """Of which kinds the file of each field may be, as all its uses together allow."""
