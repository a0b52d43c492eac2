"""The files of an order as materials of drafts: what they are, their names in the archive, how long they last."""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyJianYingDraft as library
from PIL import Image

from executors.providers.base import InputFile, Order
from executors.providers.jianying.nodes import rejection
from executors.providers.jianying.plan import Crop, Plan
from executors.providers.jianying.probe import Facts, ProbeFailed, probe
from executors.providers.jianying.segments import PICTURE_US
from executors.providers.jianying.simple import PICTURES

# JianYing puts the folder of the opened draft in its place; the same constant in every version.
DRAFT_FOLDER = "##_draftpath_placeholder_0E685133-18CE-45ED-8CB8-2904A212EC80_##"
FOLDER = "materials"
_PICTURE = re.compile(rf"{PICTURES}\[(\d+)\]")
_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/tiff": ".tif",
    "image/bmp": ".bmp",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/x-flv": ".flv",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/aac": ".aac",
}


@dataclass(frozen=True, kw_only=True)
class MaterialFile:
    """One file of the archive. `duration_us`: of a film its pictures, of a picture three hours."""

    file: InputFile
    kind: str
    """photo, video or audio."""
    duration_us: int
    width: int = 0
    height: int = 0
    has_sound_only: bool = False

    @property
    def name(self) -> str:
        """Made of the content, so that nothing of a foreign name reaches a file system."""
        suffix = ".m4a" if self.has_sound_only else _SUFFIXES.get(self.file.content_type, ".bin")
        return f"{self.file.sha256[:24]}{suffix}"

    @property
    def path(self) -> str:
        return f"{DRAFT_FOLDER}/{FOLDER}/{self.name}"


def gather(order: Order, plan: Plan) -> Mapping[str, MaterialFile]:
    """Every file of the plan by its field. Raises ProviderRejected where one is missing or is not what it should be."""
    files: dict[str, InputFile] = {}
    problems: dict[str, str] = {}
    for field in plan.kinds:
        file = _file_of(order, field)
        if file is None:
            problems[field] = "This file did not come with the order."
        else:
            files[field] = file
    if problems:
        raise rejection(problems)
    facts = _probe_all({field: file for field, file in files.items() if not file.content_type.startswith("image/")})
    found: dict[str, MaterialFile] = {}
    for field, file in files.items():
        kinds = plan.kinds[field]
        material = _picture(file) if field not in facts else _film_or_sound(file, facts[field], wants="audio" in kinds)
        problem = _problem_of(material, kinds)
        if problem:
            problems[field] = problem
        found[field] = material
    if problems:
        raise rejection(problems)
    return found


def _file_of(order: Order, field: str) -> InputFile | None:
    if numbered := _PICTURE.fullmatch(field):
        pictures = order.files_of(PICTURES)
        position = int(numbered[1])
        return pictures[position] if position < len(pictures) else None
    return next(iter(order.files_of(field)), None)


def _problem_of(material: MaterialFile, kinds: tuple[str, ...]) -> str:
    if material.duration_us <= 0:
        return "This file cannot be read as a picture, a film or a sound."
    if "audio" in kinds and material.kind != "audio":
        return "JianYing takes no film as a sound; send the sound alone." if material.kind == "video" else "No sound."
    if "audio" not in kinds and material.kind == "audio":
        return "This file has no pictures."
    return ""


def _picture(file: InputFile) -> MaterialFile:
    """A picture was decoded when it was kept. One that moves plays like a film."""
    width, height = file.width or 0, file.height or 0
    if file.content_type == "image/gif":
        with file.open() as stream, Image.open(stream) as image:
            moves = getattr(image, "n_frames", 1) > 1
            length_ms = 0.0
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                length_ms += float(image.info.get("duration") or 100)
        if moves:
            length_us = round(length_ms * 1000)
            return MaterialFile(file=file, kind="video", duration_us=length_us, width=width, height=height)
    return MaterialFile(file=file, kind="photo", duration_us=PICTURE_US, width=width, height=height)


def _film_or_sound(file: InputFile, facts: Facts, *, wants: bool) -> MaterialFile:
    if facts.width and facts.height:
        return MaterialFile(file=file, kind="video", duration_us=facts.video_us, width=facts.width, height=facts.height)
    only_sound = wants and file.content_type.startswith("video/")
    return MaterialFile(file=file, kind="audio", duration_us=facts.audio_us, has_sound_only=only_sound)


def _probe_all(files: Mapping[str, InputFile]) -> dict[str, Facts]:
    """MediaInfo wants files: they lie in a folder of their own while it looks."""
    if not files:
        return {}
    with tempfile.TemporaryDirectory(prefix="podi-draft-") as folder:
        paths = []
        for position, file in enumerate(files.values()):
            path = Path(folder) / f"{position}{_SUFFIXES.get(file.content_type, '.bin')}"
            with file.open() as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
            paths.append(path)
        try:
            return dict(zip(files, probe(paths), strict=True))
        except ProbeFailed:
            pass
        return _probe_each(dict(zip(files, paths, strict=True)))


def _probe_each(paths: Mapping[str, Path]) -> dict[str, Facts]:
    """One of them kills the program: ask for each alone, so that the right one is blamed."""
    found: dict[str, Facts] = {}
    for field, path in paths.items():
        try:
            found[field] = probe([path])[0]
        except ProbeFailed:
            raise rejection({field: "This file cannot be read; it may be damaged."}) from None
    return found


def video_material(material: MaterialFile, crop: Crop | None) -> Any:
    """The library's own object without its look into the file, which we took already."""
    made: Any = library.VideoMaterial.__new__(library.VideoMaterial)
    made.material_id = uuid.uuid4().hex
    made.local_material_id = ""
    made.material_name = material.name
    made.path = material.path
    made.duration = material.duration_us
    made.width, made.height = material.width, material.height
    made.crop_settings = _crop_settings(crop) if crop else library.CropSettings()
    made.material_type = material.kind
    return made


def audio_material(material: MaterialFile) -> Any:
    made: Any = library.AudioMaterial.__new__(library.AudioMaterial)
    made.material_id = uuid.uuid4().hex
    made.material_name = material.name
    made.path = material.path
    made.duration = material.duration_us
    return made


def _crop_settings(crop: Crop) -> Any:
    return library.CropSettings(
        upper_left_x=crop.left,
        upper_left_y=crop.top,
        upper_right_x=crop.right,
        upper_right_y=crop.top,
        lower_left_x=crop.left,
        lower_left_y=crop.bottom,
        lower_right_x=crop.right,
        lower_right_y=crop.bottom,
    )
