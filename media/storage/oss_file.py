"""A file of OSS, read where one stands: one open answer at a time, opened anew after a seek or a broken connection."""

from __future__ import annotations

import io
import os
from typing import Any

from oss2 import exceptions as faults
from requests import RequestException
from urllib3.exceptions import HTTPError


class OssFile(io.RawIOBase):
    """Wrapped in a BufferedReader. Every read is of the same version: OSS refuses it once the ETag has changed."""

    def __init__(self, bucket: Any, key: str, *, size_bytes: int, etag: str, attempts: int) -> None:
        super().__init__()
        self._bucket, self._key, self._etag = bucket, key, etag
        self._size, self._attempts = size_bytes, attempts
        self._position = 0
        self._answer: Any = None
        self._rest = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        position = max(base + offset, 0)
        if position != self._position:
            self._drop()
        self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        """Raises OSError when OSS does not give the bytes after all attempts."""
        if self._position >= self._size:
            return 0
        for attempt in range(1, self._attempts + 1):
            try:
                data = self._next(len(buffer))
                break
            except (faults.OssError, RequestException, HTTPError) as error:
                self._drop()
                if attempt == self._attempts or getattr(error, "status", 0) in (403, 404, 412):
                    raise OSError(f"{self._key} broke off: {type(error).__name__}") from None
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _next(self, limit: int) -> bytes:
        if not self._rest:
            if self._answer is None:
                byte_range = (self._position, self._size - 1)
                headers = {"If-Match": f'"{self._etag}"'}
                self._answer = self._bucket.get_object(self._key, byte_range=byte_range, headers=headers)
            self._rest = self._answer.read(max(limit, 65_536))
            if not self._rest:
                raise HTTPError("the answer ended early")
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data

    def _drop(self) -> None:
        if self._answer is not None:
            self._answer.resp.response.close()
        self._answer, self._rest = None, b""
