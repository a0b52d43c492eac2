"""Files that a task's inputs name by address are fetched by the process that runs it, before its provider is asked.

Each is kept as soon as it is here, so an attempt that breaks off costs only the file it was at.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from abilities import lifecycle
from abilities.models import Invocation, Task, TaskAsset
from media import services as media
from media.errors import FilesTakeTooLong, FileTooLarge
from podi.base.errors import PodiError

JOB_BUDGET_S = 180.0
"""A job of django-q2 is ended after 300 s; what is missing then is fetched by the next attempt."""
PROGRESS_SHARE = 0.8
MIN_PROGRESS_STEP = 0.05


def fetch_named(task: Task, invocation: Invocation) -> bool:
    """False when the caller cancelled the task in the meantime, which then has ended.

    Raises media errors whose sentence names the place in the inputs, FileTooLarge for all files together, and
    FilesTakeTooLong.
    """
    named: list[dict[str, Any]] = task.inputs.get("named") or []
    if not named:
        return True
    rows = list(task.assets.select_related("asset").filter(asset_type=TaskAsset.Type.INPUT))
    here = {row.field for row in rows}
    ends_at = time.monotonic() + JOB_BUDGET_S
    first = len(task.inputs.get("files") or [])
    for position, entry in enumerate(named):
        if entry["field"] in here:
            continue
        if Task.objects.filter(pk=task.pk, cancel_requested_at__isnull=False).exists():
            lifecycle.cancel(task, invocation)
            return False
        used_bytes = sum(row.asset.size_bytes for row in rows)
        rows.append(_fetch(task, entry, position=first + position, used_bytes=used_bytes, ends_at=ends_at))
        progress = PROGRESS_SHARE * (position + 1) / len(named)
        if progress - task.progress >= MIN_PROGRESS_STEP:
            lifecycle.note_progress(task, progress)
    task.input_rows = sorted(rows, key=lambda row: row.position)  # type: ignore[attr-defined]  # as in `_attach`
    return True


def _fetch(task: Task, entry: dict[str, Any], *, position: int, used_bytes: int, ends_at: float) -> TaskAsset:
    left_s = ends_at - time.monotonic()
    if left_s <= 1:
        raise FilesTakeTooLong(retry_after_s=1)
    field, url = entry["field"], entry["url"]
    room = settings.FETCH_MAX_TASK_BYTES - used_bytes
    try:
        if room <= 0:
            sentence = _("The files of one task may have %(bytes)d bytes together.")
            raise FileTooLarge(fields={field: sentence % {"bytes": settings.FETCH_MAX_TASK_BYTES}})
        asset = media.take_file(
            url, owner=task.owner, field=field, kinds=entry["kinds"], max_bytes=room, timeout_s=left_s
        )
    except PodiError as error:
        if found := error.fields.get(field):
            error.text = f"{field}: {found}"  # a task ends with a code and one sentence: it must say where
        raise
    row, _new = TaskAsset.objects.get_or_create(
        task=task,
        asset_type=TaskAsset.Type.INPUT,
        field=field,
        position=position,
        defaults={"asset": asset, "source_url": url.partition("?")[0]},
    )
    return row
