"""Where files lie. MEDIA_STORAGE chooses the store; another one joins as a module here and a line below."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from media.aliyun.config import read_config
from media.storage.base import Storage
from media.storage.local import LocalStorage


def open_storage() -> Storage:
    """The store the settings choose."""
    if settings.MEDIA_STORAGE == "local":
        return LocalStorage(Path(settings.MEDIA_FILES_DIR))
    if settings.MEDIA_STORAGE == "oss":
        from media.storage.oss import OssStorage  # oss2 takes long to import and is not needed elsewhere

        return OssStorage(read_config())
    raise ImproperlyConfigured(f"MEDIA_STORAGE is {settings.MEDIA_STORAGE!r}; it can be: local, oss.")
