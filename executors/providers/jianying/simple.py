"""The usual case without a document: pictures one after the other, a title, lines of text, music.

It becomes a document like any other and is read by the same reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from executors.providers.base import ProviderRejected
from executors.providers.jianying.drafts import may_end_early, read_documents
from executors.providers.jianying.nodes import Findings, rejection
from executors.providers.jianying.parts import INPUT_SCHEME, Materials
from executors.providers.jianying.plan import Plan

PICTURES = "images"
CANVASES = {"16:9": (1920, 1080), "9:16": (1080, 1920), "1:1": (1080, 1080), "4:3": (1440, 1080), "3:4": (1080, 1440)}
FIELDS = ("name", "audio_url", "title", "subtitles", "transition")
"""Texts of the form that mean nothing beside a document. Lengths and shapes have defaults and are simply not used."""
MIN_S, MAX_S = 0.2, 600.0


def read_form(params: Mapping[str, Any], *, pictures: int) -> Plan:
    """Raises ProviderRejected with the names of the form's fields."""
    findings = Findings(unit="us")
    seconds = _seconds(params.get("seconds_per_image", 3), findings)
    ratio = str(params.get("ratio") or "16:9")
    if ratio not in CANVASES:
        findings.refuse("ratio", f"Must be one of: {', '.join(CANVASES)}.")
    lines = [line.strip() for line in str(params.get("subtitles") or "").splitlines() if line.strip()]
    if len(lines) > pictures:
        findings.refuse("subtitles", f"At most one line a picture: {pictures}; there are {len(lines)}.")
    findings.raise_problems()
    document, places = _document(
        params, pictures=pictures, step_us=round(seconds * 1e6), size=CANVASES[ratio], lines=lines
    )
    materials = Materials(allows_inputs=True, fields=dict.fromkeys(_sounds(document), "audio_url"))
    try:
        plan = read_documents([("", document)], findings=findings, materials=materials)
    except ProviderRejected as error:
        fields = {_field_of(path, places): message for path, message in error.fields.items()}
    else:
        return may_end_early(plan)
    raise rejection(fields)


def _sounds(document: Mapping[str, Any]) -> list[str]:
    return [s["material_url"] for t in document["tracks"] if t["track_type"] == "audio" for s in t["segments"]]


def _field_of(path: str, places: Mapping[str, str]) -> str:
    """The field of the form whose value stands at this place of the document."""
    return next((name for place, name in places.items() if path.startswith(place)), path)


def _seconds(value: Any, findings: Findings) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not MIN_S <= value <= MAX_S:
        findings.refuse("seconds_per_image", f"Must be a number between {MIN_S:g} and {MAX_S:g}.")
        return 3.0
    return float(value)


def _document(
    params: Mapping[str, Any], *, pictures: int, step_us: int, size: tuple[int, int], lines: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The document, and which field of the form stands where in it."""
    total_us = pictures * step_us
    transition = str(params.get("transition") or "").strip()
    shown = []
    for position in range(pictures):
        segment: dict[str, Any] = {
            "type": "image",
            "time_range": {"start": position * step_us, "end": (position + 1) * step_us},
            "material_url": f"{INPUT_SCHEME}{PICTURES}[{position}]",
        }
        if transition and position < pictures - 1:
            segment["effects"] = {"transition_type": transition}
        shown.append(segment)
    tracks: list[dict[str, Any]] = [{"track_type": "video", "segments": shown}]
    places = {"project.name": "name", "tracks[0]": "transition"}
    if audio_url := str(params.get("audio_url") or "").strip():
        whole = {"start": 0, "end": total_us}
        places[f"tracks[{len(tracks)}]"] = "audio_url"
        tracks.append(
            {"track_type": "audio", "segments": [{"type": "audio", "time_range": whole, "material_url": audio_url}]}
        )
    if title := str(params.get("title") or "").strip():
        places[f"tracks[{len(tracks)}]"] = "title"
        tracks.append(_texts([title], total_us, size=15, position_y=0.75))
    if lines:
        places[f"tracks[{len(tracks)}]"] = "subtitles"
        tracks.append(_texts(lines, step_us, size=8, position_y=-0.75))
    project = {"name": str(params.get("name") or "").strip(), "width": size[0], "height": size[1]}
    return {"project": project, "tracks": tracks}, places


def _texts(lines: Sequence[str], step_us: int, *, size: int, position_y: float) -> dict[str, Any]:
    segments = [
        {
            "type": "text",
            "content": line,
            "time_range": {"start": position * step_us, "end": (position + 1) * step_us},
            "transform": {"position_y": position_y},
            "style": {"font_size": size, "stroke": {"enabled": True, "width": 20}},
            "alignment": "center",
        }
        for position, line in enumerate(lines)
    ]
    return {"track_type": "text", "segments": segments}
