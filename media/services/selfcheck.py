"""Whether files really can be kept and shown: asked by readiness and by `manage.py doctor_media`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.utils import timezone

from media import links
from media.errors import FileLinkExpired, FileLinkInvalid
from media.services.storing import object_key
from media.storage import open_storage
from media.storage.base import StorageError


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """`message` names the step that failed; empty when all is well."""

    ok: bool
    message: str = ""


def self_check() -> SelfCheck:
    """Write a small file, read it back, sign a link, read the file by that link, delete it. Leaves nothing behind."""
    key, content = object_key("self-check", suffix=".txt"), secrets.token_hex(16).encode()
    step = "write"
    try:
        storage = open_storage()
        storage.write(key, [content], content_type="text/plain")
        try:
            step = "sign"
            signed = storage.sign_url(key, ttl_s=60, file_name="", content_type="text/plain")
            found = _key_of_own_link(key) if signed is None else storage.key_of_url(signed)
            if found is None:
                return SelfCheck(ok=False, message="PODI_PUBLIC_URL does not give links that we recognise")
            step = "read back"
            with storage.open(found) as file:
                if file.read() != content:
                    return SelfCheck(ok=False, message="read back: the file came back different")
        finally:
            step = f"{step}, delete" if step != "read back" else "delete"
            storage.delete(key)
    except (StorageError, OSError, FileLinkInvalid, FileLinkExpired) as error:
        return SelfCheck(ok=False, message=f"{step}: {error}")
    return SelfCheck(ok=True)


def _key_of_own_link(key: str) -> str | None:
    now = timezone.now()
    link = links.read_link(links.make_link(key, ttl_s=60, now=now))
    if link is None:
        return None
    links.check_link(link, now=now)
    return link.key
