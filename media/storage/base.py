"""What a place for files must be able to do. Keys are relative paths with `/`; every problem is a StorageError."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO


class StorageError(Exception):
    """The store did not do it: full, away, forbidden. Nothing half-done is visible under the key."""


class NoSuchFile(StorageError):
    """There is no file under this key."""


class KeyForbidden(StorageError):
    """The key does not name a file inside the store."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written: bytes counted and hashed on the way in."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    key: str
    size_bytes: int
    modified_at: datetime
    etag: str = ""
    """The store's own mark of this version, where it has one; without quotes."""


class Storage(ABC):
    """Built for each use from settings; must be safe to use from several threads and processes."""

    @abstractmethod
    def write(self, key: str, chunks: Iterable[bytes], *, content_type: str = "") -> Written:
        """Store all chunks or nothing; a file already under the key is replaced in one step. Lasting on return.

        What `chunks` itself raises comes through unchanged.
        """

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """The file, at byte 0, seekable. Raises NoSuchFile."""

    @abstractmethod
    def stat(self, key: str) -> StoredFile | None:
        """None when there is no such file."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the file; no error when it is not there."""

    @abstractmethod
    def iter_files(self, prefix: str = "") -> Iterator[StoredFile]:
        """Every file whose key begins with the prefix."""

    def sign_url(self, key: str, *, ttl_s: int, file_name: str, content_type: str) -> str | None:
        """A link the store itself serves and lets expire; None where PODI serves the file."""
        return None

    def key_of_url(self, url: str) -> str | None:
        """The key behind an address of the store itself, signed or not; None for any other address."""
        return None

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what broken-off writes left behind before that moment; how many there were."""
        return 0
