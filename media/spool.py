"""Bytes on their way in: gathered under a limit, counted and hashed, in memory while small and on disk when not."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from media.content_types import HEAD_BYTES
from media.errors import AssetStoreFailed, AssetTooLarge

CHUNK_BYTES = 256 * 1024
_IN_MEMORY_BYTES = 8 * 1024 * 1024

Source = bytes | BinaryIO | Iterable[bytes]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A file that nothing refers to yet. `file` may be read and sought; it is gone after the `with`."""

    file: BinaryIO
    size_bytes: int
    sha256: str
    head: bytes

    def iter_chunks(self) -> Iterator[bytes]:
        """From the start, as often as wanted."""
        self.file.seek(0)
        while chunk := self.file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def spool(source: Source, *, max_bytes: int) -> Iterator[Draft]:
    """Gather a source. Raises AssetTooLarge, AssetStoreFailed (disk full), and what the source itself raises."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as spooled:
        file = cast("BinaryIO", spooled)
        digest, size = hashlib.sha256(), 0
        for chunk in _chunks(source):
            size += len(chunk)
            if size > max_bytes:
                raise AssetTooLarge(max_bytes=max_bytes)
            digest.update(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise AssetStoreFailed() from error
        file.seek(0)
        yield Draft(file=file, size_bytes=size, sha256=digest.hexdigest(), head=file.read(HEAD_BYTES))


def _chunks(source: Source) -> Iterable[bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        return (bytes(source),)
    if hasattr(source, "read"):
        return iter(lambda: cast("BinaryIO", source).read(CHUNK_BYTES), b"")
    return source
