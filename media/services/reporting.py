"""OSS reports an upload: believed when Aliyun's key signed it and the object really is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from urllib.parse import parse_qsl

from django.conf import settings
from django.utils import timezone

from media import keys
from media.aliyun.callbacks import KeyUnavailable, NotFromOss, Post, Verifier
from media.aliyun.config import read_config
from media.errors import MediaCallbackInvalid, MediaCallbackUnverified, UploadTooLarge
from media.models import Upload
from media.services.receiving import remove_object
from media.storage import open_storage
from media.storage.base import KeyForbidden, StorageError, StoredFile

State = Upload.State
LATE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the post says, nothing of it checked against the store yet."""

    bucket: str
    object_key: str
    size_bytes: int
    content_type: str
    etag: str = ""
    task_id: str = ""
    action: str = ""


def record_report(post: Post) -> Upload:
    """Check a post and note the upload it reports. The same report again changes nothing.

    Raises MediaCallbackInvalid (nothing is noted) and MediaCallbackUnverified (it may be sent again).
    """
    if settings.MEDIA_STORAGE != "oss":
        raise MediaCallbackInvalid(reason="storage")
    _check_signature(post)
    report = _read(post.body)
    if report.bucket != read_config().bucket:
        raise MediaCallbackInvalid(reason="bucket")
    upload = Upload.objects.filter(object_key=report.object_key).first() or _unannounced(report)
    if upload.state == State.KEPT and upload.size_bytes == report.size_bytes:
        return upload  # a replay; what lies there may meanwhile be gone, being a second copy
    found = _look_at(report)
    if found.size_bytes > upload.max_bytes:
        _refuse(upload)
        raise MediaCallbackInvalid(reason="size")
    _note(upload, found)
    return upload


def _check_signature(post: Post) -> None:
    verifier = _verifier(tuple(settings.OSS_CALLBACK_KEY_URLS), tuple(settings.FETCH_ALLOWED_NETWORKS))
    try:
        verifier.check(post)
    except NotFromOss as error:
        raise MediaCallbackInvalid(reason="signature") from error
    except KeyUnavailable as error:
        raise MediaCallbackUnverified() from error


@lru_cache(maxsize=4)
def _verifier(key_urls: tuple[str, ...], networks: tuple[str, ...]) -> Verifier:
    """One in a process, so that its keys are fetched once an hour."""
    return Verifier(key_urls=key_urls, allowed_networks=networks)


def _read(body: bytes) -> Report:
    """JSON as in the contract, or the form that we ask OSS for."""
    try:
        text = body.decode()
        given = json.loads(text) if text.lstrip().startswith("{") else dict(parse_qsl(text, keep_blank_values=True))
        meta = given.get("meta") or {}
        meta = json.loads(meta) if isinstance(meta, str) else meta
        return Report(
            bucket=_text(given, "bucket"),
            object_key=_text(given, "object"),
            size_bytes=int(given["size"]),
            content_type=_text(given, "mimeType", required=False),
            etag=_text(given, "etag", required=False).strip('"').upper(),
            task_id=_text(meta, "taskId", required=False)[:128],
            action=_text(meta, "action", required=False)[:64],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MediaCallbackInvalid(reason="body") from None


def _text(given: Mapping[str, object], name: str, *, required: bool = True) -> str:
    value = given[name] if required else given.get(name, "")
    if not isinstance(value, str) or (required and not value):
        raise ValueError(name)
    return value


def _unannounced(report: Report) -> Upload:
    """Temporary keys write anywhere in their user's folder; such a file is taken while they may still be open."""
    prefix = settings.OSS_ROOT_PREFIX.strip("/")
    head = f"{prefix}/" if prefix else ""
    folder, _, rest = report.object_key.removeprefix(head).partition("/")
    if not report.object_key.startswith(head) or not rest:
        raise MediaCallbackInvalid(reason="object")
    sessions = Upload.objects.filter(method=Upload.Method.STS, expires_at__gt=timezone.now() - LATE)
    session = sessions.filter(owner_id=folder).exclude(state=State.REFUSED).order_by("-expires_at").first()
    if session is None:
        raise MediaCallbackInvalid(reason="object")
    upload, _created = Upload.objects.get_or_create(
        object_key=report.object_key,
        defaults={
            "owner_id": session.owner_id,
            "method": Upload.Method.STS,
            "task_id": report.task_id or session.task_id,
            "action": report.action or session.action,
            "file_name": keys.file_name_of(report.object_key),
            "content_type": report.content_type.partition(";")[0].strip().lower()[:128],
            "max_bytes": settings.UPLOAD_MAX_BYTES,
            "expires_at": session.expires_at,
        },
    )
    return upload


def _look_at(report: Report) -> StoredFile:
    """What really lies there. Raises MediaCallbackInvalid where the report says otherwise."""
    try:
        found = open_storage().stat(report.object_key)
    except KeyForbidden:
        raise MediaCallbackInvalid(reason="object") from None
    except StorageError as error:
        raise MediaCallbackUnverified() from error
    if found is None or found.size_bytes != report.size_bytes:
        raise MediaCallbackInvalid(reason="object")
    if report.etag and found.etag and report.etag != found.etag.upper():
        raise MediaCallbackInvalid(reason="etag")
    return found


def _note(upload: Upload, found: StoredFile) -> None:
    """Only from a state in which nothing has come yet; a replay finds `received` and changes nothing."""
    waiting = Upload.objects.filter(pk=upload.pk, state__in=[State.GRANTED, State.EXPIRED])
    waiting.update(state=State.RECEIVED, size_bytes=found.size_bytes, etag=found.etag, received_at=timezone.now())
    upload.refresh_from_db()
    if upload.state == State.REFUSED:
        raise MediaCallbackInvalid(reason="refused")


def _refuse(upload: Upload) -> None:
    open_states = [State.GRANTED, State.RECEIVED, State.EXPIRED]
    refused = Upload.objects.filter(pk=upload.pk, state__in=open_states).update(
        state=State.REFUSED, refusal=UploadTooLarge.code
    )
    if refused:
        remove_object(upload.object_key)
