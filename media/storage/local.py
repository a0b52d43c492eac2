"""Files in a folder of this machine (or of a shared file system)."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from media.storage.base import KeyForbidden, NoSuchFile, Storage, StorageError, StoredFile, Written

_UNFINISHED = ".unfinished"
_MAX_KEY_CHARS = 512


class LocalStorage(Storage):
    """One folder. Folders inside it whose name begins with a dot are ours, not files of the store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, key: str, chunks: Iterable[bytes], *, content_type: str = "") -> Written:
        """Into a file of its own first, flushed to disk, then renamed: a crash at any line leaves no half file."""
        path = self._path(key)
        draft = self._root / _UNFINISHED / uuid.uuid4().hex
        digest, size = hashlib.sha256(), 0
        try:
            with _StorageErrors(f"cannot write {key}"):
                draft.parent.mkdir(parents=True, exist_ok=True)
                file = draft.open("xb")
            with file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    with _StorageErrors(f"cannot write {key}"):
                        file.write(chunk)
                with _StorageErrors(f"cannot write {key}"):
                    file.flush()
                    os.fsync(file.fileno())
            with _StorageErrors(f"cannot write {key}"):
                _make_folder(path.parent)
                draft.replace(path)
                _sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        return Written(size_bytes=size, sha256=digest.hexdigest())

    def open(self, key: str) -> BinaryIO:
        path = self._path(key)
        try:
            return path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NoSuchFile(key) from None
        except OSError as error:
            raise StorageError(f"cannot read {key}: {error.strerror}") from error

    def stat(self, key: str) -> StoredFile | None:
        path = self._path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(f"cannot read {key}: {error.strerror}") from error
        return _stored(key, found) if path.is_file() else None

    def delete(self, key: str) -> None:
        with _StorageErrors(f"cannot delete {key}"), suppress(FileNotFoundError, NotADirectoryError):
            self._path(key).unlink()

    def iter_files(self, prefix: str = "") -> Iterator[StoredFile]:
        for folder, names, files in os.walk(self._root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(files):
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix) and not name.startswith("."):
                    with suppress(FileNotFoundError):  # removed while we looked
                        yield _stored(key, path.stat())

    def remove_unfinished(self, *, before: datetime) -> int:
        count = 0
        folder = self._root / _UNFINISHED
        for path in folder.iterdir() if folder.is_dir() else ():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    count += 1
        return count

    def _path(self, key: str) -> Path:
        """Where the key lies. Raises KeyForbidden for whatever could lead out of the root, by name or by link."""
        parts = key.split("/")
        if not key or len(key) > _MAX_KEY_CHARS or "\\" in key or any(ord(char) < 32 for char in key):
            raise KeyForbidden(repr(key[:80]))
        if any(not part or part.startswith(".") for part in parts) or PurePosixPath(key).is_absolute():
            raise KeyForbidden(repr(key[:80]))
        root = self._root.resolve()
        path = root.joinpath(*parts)
        if not path.resolve().is_relative_to(root):
            raise KeyForbidden(repr(key[:80]))
        return path


class _StorageErrors:
    """Turns the system's errors of the block into StorageError, and only those of the block."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise StorageError(f"{self._what}: {error.strerror or error}") from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A rename lasts only when its folder is on disk as well."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _stored(key: str, found: os.stat_result) -> StoredFile:
    return StoredFile(key=key, size_bytes=found.st_size, modified_at=datetime.fromtimestamp(found.st_mtime, tz=UTC))
