"""Documents to send, orders that carry their files, and the archive that comes back, read again."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from executors.providers.base import Endpoint, InputFile, Order, ProviderRejected, Report
from executors.providers.jianying.adapter import JianYingProvider
from executors.providers.jianying.materials import DRAFT_FOLDER
from tests.executors.providers.pictures import png, sample, save
from tests.simulators.films import mp4, wav

S = 1_000_000
HOST = "https://files.example"
FILES: dict[str, tuple[str, bytes]] = {
    "/a.png": ("image/png", png((64, 36))),
    "/tall.png": ("image/png", png((30, 60))),
    "/film.mp4": ("video/mp4", mp4(10, (64, 36))),
    "/talk.wav": ("audio/wav", wav(8)),
    "/sound.mp4": ("video/mp4", mp4(6, has_pictures=False)),
    "/moving.gif": (
        "image/gif",
        save(sample((8, 6)), "GIF", save_all=True, append_images=[sample((8, 6), "L")], duration=500),
    ),
    "/junk.mp4": ("video/mp4", b"\0\0\0\x18ftypisom" + bytes(200)),
}


def span(start: float, end: float) -> dict[str, int]:
    return {"start": round(start * S), "end": round(end * S)}


def segment(kind: str, start: float = 0, end: float = 4, **more: Any) -> dict[str, Any]:
    """A segment with what its kind requires."""
    required = {
        "video": {"material_url": f"{HOST}/film.mp4"},
        "image": {"material_url": f"{HOST}/a.png"},
        "audio": {"material_url": f"{HOST}/talk.wav"},
        "text": {"content": "夏日 Hi"},
        "sticker": {"resource_id": "7132097333274965279"},
        "effect": {"effect_type": "ins风放大镜"},
        "filter": {"filter_type": "书意"},
    }[kind]
    return {"type": kind, "time_range": span(start, end), **required, **more}


def track(kind: str, *segments: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"track_type": kind, "segments": list(segments), **more}


def document(*tracks: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"project": {"name": "my film", "width": 1280, "height": 720, "fps": 25}, "tracks": list(tracks), **more}


def alone(kind: str, **more: Any) -> dict[str, Any]:
    """A draft of one segment."""
    return document(track(kind if kind != "image" else "video", segment(kind, **more)))


def file_for(field: str, content_type: str, data: bytes) -> InputFile:
    width, height = (None, None)
    if content_type.startswith("image/"):
        from PIL import Image

        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    return InputFile(
        field=field,
        name="../../evil name.exe",
        content_type=content_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        open=lambda: io.BytesIO(data),
        width=width,
        height=height,
    )


def order_of(content: Any, *, task_id: str = "task-1", **params: Any) -> Order:
    """An order for this document with the files it names, as the runner would bring them."""
    text = content if isinstance(content, str) else json.dumps(content)
    params = {"content": text, **params}
    named = JianYingProvider.examine("draft_generate", params).files
    files = tuple(file_for(f.field, *FILES[f.url.removeprefix(HOST)]) for f in named)
    return Order(task_id=task_id, operation="draft_generate", params=params, files=files)


@dataclass(frozen=True, kw_only=True)
class Made:
    """One archive, opened."""

    names: Sequence[str]
    folder: str
    content: dict[str, Any]
    meta: dict[str, Any]
    summary: dict[str, Any]
    archive: zipfile.ZipFile

    @property
    def materials(self) -> dict[str, list[dict[str, Any]]]:
        found = self.content["materials"]
        assert isinstance(found, dict)
        return found

    def segments(self, track: int = 0) -> list[dict[str, Any]]:
        found = self.content["tracks"][track]["segments"]
        assert isinstance(found, list)
        return found

    def material(self, kind: str, id: str) -> dict[str, Any]:
        return next(item for item in self.materials[kind] if item["id"] == id)

    def extra(self, kind: str, segment: Mapping[str, Any]) -> dict[str, Any]:
        """The one material of this kind that the segment refers to."""
        found = [item for item in self.materials[kind] if item["id"] in segment["extra_material_refs"]]
        assert len(found) == 1, found
        return found[0]

    def keys(self, segment: Mapping[str, Any]) -> dict[str, list[tuple[int, float]]]:
        return {
            line["property_type"]: [(key["time_offset"], key["values"][0]) for key in line["keyframe_list"]]
            for line in segment["common_keyframes"]
        }

    def paths(self) -> list[str]:
        """The files the draft names, as names in the archive."""
        named = [item["path"] for kind in ("videos", "audios") for item in self.materials[kind]]
        return [path.replace(DRAFT_FOLDER, self.folder) for path in named]


def make(content: Any, **options: Any) -> Made:
    return read_all(submit(order_of(content, **options)))[0]


def submit(order: Order, **options: Any) -> Report:
    return JianYingProvider(Endpoint(kind="jianying", options=options)).submit(order)


def read_all(report: Report) -> list[Made]:
    archives = [output for output in report.outputs if output.kind == "file"]
    texts = [json.loads(output.text) for output in report.outputs if output.text is not None]
    found = []
    for output, summary in zip(archives, texts, strict=True):
        assert output.file is not None
        archive = zipfile.ZipFile(output.file())
        names = archive.namelist()
        folder = names[0].split("/")[0]
        content = json.loads(archive.read(f"{folder}/draft_content.json"))
        meta = json.loads(archive.read(f"{folder}/draft_meta_info.json"))
        found.append(Made(names=names, folder=folder, content=content, meta=meta, summary=summary, archive=archive))
    return found


def refused(content: Any, **params: Any) -> dict[str, str]:
    """The places this document is refused for."""
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(ProviderRejected) as caught:
        JianYingProvider.examine("draft_generate", {"content": text, **params})
    assert caught.value.code == "INVALID_INPUT"
    assert caught.value.was_taken is False
    assert next(iter(caught.value.fields)) in caught.value.message
    return caught.value.fields


def warned(made: Made) -> set[str]:
    return {warning["path"] for warning in made.summary["warnings"]}
