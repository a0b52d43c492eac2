"""Reading whole drafts: the project, its tracks, and what only shows when segments are seen together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

from executors.providers.jianying.content import find_drafts
from executors.providers.jianying.nodes import Findings, Node, Unit
from executors.providers.jianying.parts import MAX_VOLUME, Materials
from executors.providers.jianying.plan import Audio, Draft, Plan, Segment, Span, Track, Visual
from executors.providers.jianying.segments import READERS, Context

MAX_TRACKS = 60
MAX_SEGMENTS = 1000
"""Of one call."""
MAX_MATERIALS = 100
MIN_DURATION_US = 100_000
DEFAULT_NAME = "draft"
TRACK_KINDS = ("video", "audio", "text", "sticker", "effect", "filter")
_TAKES = {"video": ("video", "image"), "image": ("video", "image")}
# What older exports carry beside the draft itself, and bookkeeping of the exporter.
_BOOKKEEPING = ("draft_id", "created_timestamp", "last_modified", "media_resources", "total_duration_ms", "status")


def read_content(content: str, *, unit: Unit) -> Plan:
    """The drafts of an export. Raises ProviderRejected naming every wrong place."""
    findings = Findings(unit=unit)
    found = find_drafts(content, findings)
    return read_documents(found, findings=findings, materials=Materials())


def read_documents(documents: list[tuple[str, Any]], *, findings: Findings, materials: Materials) -> Plan:
    outer = list(findings.warnings)
    drafts = []
    segments = 0
    for path, document in documents:
        findings.warnings.clear()
        draft = _read_draft(Node(document, path, findings), materials, room=MAX_SEGMENTS - segments)
        segments += len(draft.segments)
        drafts.append(replace(draft, warnings=(*outer, *findings.warnings)))
    named = materials.named()
    if len(named) > MAX_MATERIALS:
        findings.refuse(named[MAX_MATERIALS].field, f"At most {MAX_MATERIALS} different files; there are {len(named)}.")
    findings.raise_problems()
    return Plan(drafts=tuple(drafts), kinds=dict(materials.kinds))


def _read_draft(node: Node, materials: Materials, *, room: int) -> Draft:
    node.ignore(*_BOOKKEEPING)
    project = node.child("project") or Node({}, node.at("project"), node.findings)
    name = project.text("name", most=200).strip() or DEFAULT_NAME
    width = project.integer("width", default=1920, low=16, high=8192)
    height = project.integer("height", default=1080, low=16, high=8192)
    fps = project.integer("fps", default=30, low=1, high=120)
    project.close()
    tracks: list[Track] = []
    if not node.has("tracks"):
        node.refuse("tracks", "This is required.")
    for path, item in node.items("tracks", most=MAX_TRACKS):
        if node.findings.is_full:
            break
        track = _read_track(Node(item, path, node.findings), materials, frame_us=1_000_000 // fps, room=room)
        room -= len(track.segments)
        tracks.append(track)
    node.close()
    draft = Draft(path=node.path, name=name, width=width, height=height, fps=fps, tracks=tuple(tracks))
    if not node.findings.problems:
        _check_length(draft, node)
    return draft


def _check_length(draft: Draft, node: Node) -> None:
    if not draft.segments:
        node.refuse("tracks", "There is not a single segment.")
    elif draft.duration_us < MIN_DURATION_US:
        hint = " If its times are milliseconds, send time_unit=ms." if node.findings.unit == "us" else ""
        node.refuse("tracks", f"The whole draft lasts {draft.duration_us / 1000:g} ms, less than 100 ms.{hint}")


def _read_track(node: Node, materials: Materials, *, frame_us: int, room: int) -> Track:
    kind = node.text("track_type", most=32, required=True).strip().lower()
    is_muted = node.flag("muted")
    volume = node.number("volume", default=1.0, low=0, high=MAX_VOLUME)
    if kind and kind not in (*TRACK_KINDS, "image"):
        node.refuse("track_type", f"Must be one of: {', '.join(TRACK_KINDS)}.")
        return Track(kind="video", is_muted=is_muted, segments=())
    if volume != 1.0 and kind not in ("video", "audio"):
        node.warn("volume", "Not used: nothing sounds on this track.")
    context = Context(materials=materials, frame_us=frame_us, track_volume=volume)
    segments = []
    for path, item in node.items("segments", most=room):
        if node.findings.is_full:
            break
        found = _read_segment(Node(item, path, node.findings), kind, context)
        if found is not None:
            segments.append(found)
    node.close()
    _check_order(segments, node)
    track_kind: Literal["video", "audio", "text", "sticker", "effect", "filter"] = "video" if kind == "image" else kind  # type: ignore[assignment]
    return Track(kind=track_kind, is_muted=is_muted, segments=tuple(segments))


def _read_segment(node: Node, track_kind: str, context: Context) -> Segment | None:
    kind = node.text("type", most=32, required=True).strip().lower()
    span = node.span("time_range", required=True)
    if kind and kind not in READERS:
        node.refuse("type", f"Must be one of: {', '.join(READERS)}.")
    elif kind and kind not in _TAKES.get(track_kind, (track_kind,)):
        node.refuse("type", f"A segment of type {kind} cannot lie on a track of type {track_kind}.")
    elif kind:
        segment = READERS[kind](node, span or Span(start_us=0, end_us=1_000_000), context)
        node.close()
        return segment if span is not None else None
    return None


def _check_order(segments: list[Segment], node: Node) -> None:
    """On one track nothing lies over anything else; a transition needs somebody to pass on to."""
    ordered = sorted(segments, key=lambda segment: segment.span.start_us)
    for before, after in pairwise(ordered):
        if after.span.start_us < before.span.end_us:
            node.findings.refuse(f"{after.path}.time_range", f"Begins before {before.path} ends, on the same track.")
    for position, segment in enumerate(ordered):
        if isinstance(segment, Visual) and segment.transition is not None:
            follows = ordered[position + 1] if position + 1 < len(ordered) else None
            if follows is None or follows.span.start_us != segment.span.end_us:
                path = f"{segment.path}.effects.transition_type"
                node.findings.warn(path, "It is in the draft, but shows nothing: no segment follows directly.")


def facts_of(plan: Plan) -> Mapping[str, Any]:
    """What is known of the drafts before they are made; JSON."""
    return {
        "drafts": [
            {
                "name": draft.name,
                "durationUs": draft.duration_us,
                "tracks": len(draft.tracks),
                "segments": len(draft.segments),
                "materials": len(draft.materials),
            }
            for draft in plan.drafts
        ]
    }


def may_end_early(plan: Plan) -> Plan:
    """The same, where sounds that are too short are played as long as they last."""

    def loosen(segment: Segment) -> Segment:
        return replace(segment, may_end_early=True) if isinstance(segment, Audio) else segment

    drafts = (
        replace(d, tracks=tuple(replace(t, segments=tuple(map(loosen, t.segments))) for t in d.tracks))
        for d in plan.drafts
    )
    return replace(plan, drafts=tuple(drafts))
