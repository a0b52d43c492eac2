"""JianYing drafts as a provider: the work runs here, in the worker, and no network is used."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from executors.providers.base import (
    Examined,
    Health,
    NamedFile,
    Order,
    Output,
    Parameter,
    Phase,
    Provider,
    ProviderRejected,
    Report,
    Usage,
)

if TYPE_CHECKING:
    from executors.providers.jianying.materials import MaterialFile
    from executors.providers.jianying.plan import Draft, Plan

OPERATION = "draft_generate"
TAG = "jianying-draft"
MIB = 1024 * 1024
DEFAULT_MAX_ARCHIVE_MIB = 450
_LIBRARY = "pyJianYingDraft"


class JianYingProvider(Provider):
    """`order.params` hold the exported document as text (`content`), or the fields of the simple form.

    Rejects with INVALID_INPUT and the path of each wrong place, DRAFT_TOO_LARGE, DRAFT_UNSUPPORTED.
    """

    kind = "jianying"
    label = "JianYing drafts"
    parameters = (
        Parameter(
            name="max_archive_mib",
            label="Largest archive (MiB)",
            type="number",
            default=DEFAULT_MAX_ARCHIVE_MIB,
            help="All drafts of one call together, with their materials.",
        ),
    )
    needs_executor = False
    runs_here = True
    finishes_on_submit = True
    is_repeatable = True

    @classmethod
    def examine(cls, operation: str, params: Mapping[str, Any], *, pictures: Sequence[str] = ()) -> Examined:
        plan = _read(operation, params, pictures=len(pictures))
        from executors.providers.jianying.drafts import facts_of
        from executors.providers.jianying.parts import INPUT_SCHEME

        named = {
            material.field: NamedFile(field=material.field, url=material.url, kinds=plan.kinds[material.field])
            for draft in plan.drafts
            for material in draft.materials.values()
            if not material.url.startswith(INPUT_SCHEME)
        }
        return Examined(files=tuple(named.values()), facts=facts_of(plan))

    def submit(self, order: Order) -> Report:
        from executors.providers.jianying.materials import gather
        from executors.providers.jianying.simple import PICTURES

        started = time.perf_counter()
        plan = _read(order.operation, order.params, pictures=len(order.files_of(PICTURES)))
        files = gather(order, plan)
        self._check_size(plan, files)
        outputs: list[Output] = []
        summaries = []
        for number, draft in enumerate(plan.drafts, start=1):
            archive, summary = _make(draft, files, seed=f"{order.task_id}/{number}")
            outputs += [archive, Output(kind="text", text=_as_text(summary), content_type="application/json", tag=TAG)]
            summaries.append(summary)
        return Report(
            phase=Phase.SUCCEEDED,
            progress=1.0,
            outputs=tuple(outputs),
            usage=Usage(seconds=round(time.perf_counter() - started, 3)),
            metadata={"drafts": summaries},
            raw={"request": {"action": OPERATION, "drafts": len(plan.drafts), "files": len(files)}},
        )

    def probe(self) -> Health:
        """Whether the library and MediaInfo can be used here."""
        import pymediainfo

        try:
            found = version(_LIBRARY)
        except PackageNotFoundError:
            return Health(is_up=False, message=f"{_LIBRARY} is not installed.")
        if not pymediainfo.MediaInfo.can_parse():
            return Health(is_up=False, message="MediaInfo cannot be loaded.", version=f"{_LIBRARY} {found}")
        return Health(is_up=True, version=f"{_LIBRARY} {found}", latency_ms=0.0)

    def _check_size(self, plan: Plan, files: Mapping[str, MaterialFile]) -> None:
        limit_mib = int(self.endpoint.options.get("max_archive_mib") or DEFAULT_MAX_ARCHIVE_MIB)
        size = sum(files[field].file.size_bytes for draft in plan.drafts for field in draft.materials)
        if size > limit_mib * MIB:
            message = f"The materials have {size / MIB:.0f} MiB; an archive may have {limit_mib} MiB."
            raise ProviderRejected(message, code="DRAFT_TOO_LARGE")


def _read(operation: str, params: Mapping[str, Any], *, pictures: int) -> Plan:
    if operation != OPERATION:
        raise ProviderRejected(f"There is no draft operation named {operation!r}.", code="DRAFT_UNSUPPORTED")
    from executors.providers.jianying.drafts import read_content
    from executors.providers.jianying.nodes import rejection
    from executors.providers.jianying.simple import FIELDS, PICTURES, read_form

    content = params.get("content")
    if not content:
        if not pictures:
            raise rejection({"content": "Send an exported draft as `content`, or pictures as `images`."})
        return read_form(params, pictures=pictures)
    beside = [name for name in FIELDS if params.get(name)] + ([PICTURES] if pictures else [])
    if beside:
        raise rejection(dict.fromkeys(beside, "Only without `content`: the document says it itself."))
    unit = params.get("time_unit") or "us"
    if unit not in ("us", "ms"):
        raise rejection({"time_unit": "Must be us (microseconds) or ms (milliseconds)."})
    text = content if isinstance(content, str) else json.dumps(content)
    return read_content(text, unit="ms" if unit == "ms" else "us")


def _make(draft: Draft, files: Mapping[str, MaterialFile], *, seed: str) -> tuple[Output, dict[str, Any]]:
    from executors.providers.jianying import archive
    from executors.providers.jianying.building import Builder

    builder = Builder(files={field: files[field] for field in draft.materials}, draft=draft)
    script = builder.build()
    folder = archive.folder_name(draft.name, seed=seed)
    content = archive.content_of(script, seed=seed)
    meta = archive.meta_of(folder=folder, duration_us=script.duration, seed=seed)
    file = archive.write_zip(folder, {archive.CONTENT: content, archive.META: meta}, builder.files.values())
    summary = _summary(draft, folder=folder, duration_us=script.duration, builder=builder)
    name = f"{folder}.zip"
    return Output(kind="file", name=name, content_type="application/zip", file=file, tag=TAG), summary


def _summary(draft: Draft, *, folder: str, duration_us: int, builder: Any) -> dict[str, Any]:
    warnings = [warning.as_json() for warning in (*draft.warnings, *builder.warnings)]
    return {
        "name": draft.name,
        "folder": folder,
        "durationUs": duration_us,
        "durationSeconds": round(duration_us / 1e6, 3),
        "width": draft.width,
        "height": draft.height,
        "fps": draft.fps,
        "tracks": [{"type": track.kind, "segments": len(track.segments)} for track in draft.tracks],
        "segments": len(draft.segments),
        "materials": len({file.name for file in builder.files.values()}),
        "warnings": warnings,
    }


def _as_text(summary: Mapping[str, Any]) -> str:
    return json.dumps(summary, ensure_ascii=False)
