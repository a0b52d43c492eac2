"""Files in a bucket of Aliyun OSS: V4 signatures, large files in parts, repeats after faults, checksums."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

import oss2
from django.utils.http import content_disposition_header
from oss2 import exceptions as faults

from media.aliyun.config import OssConfig
from media.content_types import is_inline
from media.storage.base import KeyForbidden, NoSuchFile, Storage, StorageError, StoredFile, Written
from media.storage.oss_file import OssFile

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_LINK_S = 604_800
_MAX_KEY_BYTES = 1023
_REPEATED = frozenset({408, 429, -2, -3})
"""Besides 5xx: time-out, too many requests, and oss2's own numbers for the network and for a checksum that differs."""


class OssStorage(Storage):
    """One bucket. The connections are shared by all that are built from equal settings."""

    def __init__(self, config: OssConfig) -> None:
        self._config = config
        self._bucket = _open_bucket(config)

    def write(self, key: str, chunks: Iterable[bytes], *, content_type: str = "") -> Written:
        """Gathered on disk first (a retry must send the same bytes again), then sent whole or in parts.

        An object becomes visible only when it is complete; OSS's CRC-64 is compared with ours.
        """
        _check_key(key)
        headers = {"Content-Type": content_type} if content_type else {}
        with tempfile.TemporaryDirectory(prefix="podi-oss-") as folder:
            path = Path(folder, "file")
            written = _gather(path, chunks)
            with _storage_errors(f"cannot write {key}"):
                self._repeat(lambda: self._send(key, path, written, headers), what=f"write of {key}")
        return written

    def open(self, key: str) -> BinaryIO:
        _check_key(key)
        with _storage_errors(f"cannot read {key}"):
            head = self._repeat(lambda: self._bucket.head_object(key), what=f"look at {key}")
        raw = OssFile(self._bucket, key, size_bytes=head.content_length, etag=head.etag, attempts=self._config.attempts)
        return cast("BinaryIO", BufferedReader(raw, 256 * 1024))

    def stat(self, key: str) -> StoredFile | None:
        _check_key(key)
        try:
            with _storage_errors(f"cannot read {key}"):
                head = self._repeat(lambda: self._bucket.head_object(key), what=f"look at {key}")
        except NoSuchFile:
            return None
        modified_at = datetime.fromtimestamp(head.last_modified, tz=UTC)
        return StoredFile(key=key, size_bytes=head.content_length, modified_at=modified_at, etag=str(head.etag or ""))

    def delete(self, key: str) -> None:
        _check_key(key)
        with _storage_errors(f"cannot delete {key}"):
            self._repeat(lambda: self._bucket.delete_object(key), what=f"delete of {key}")

    def iter_files(self, prefix: str = "") -> Iterator[StoredFile]:
        with _storage_errors("cannot list"):
            for found in oss2.ObjectIteratorV2(self._bucket, prefix=prefix, max_keys=1000):
                modified_at = datetime.fromtimestamp(found.last_modified, tz=UTC)
                yield StoredFile(key=found.key, size_bytes=found.size, modified_at=modified_at)

    def sign_url(self, key: str, *, ttl_s: int, file_name: str, content_type: str) -> str | None:
        """What a browser does with the file is decided by our record of it, not by what its uploader claimed."""
        _check_key(key)
        parameters = {}
        if content_type:
            parameters["response-content-type"] = content_type
            name = file_name or key.rpartition("/")[2]
            disposition = content_disposition_header(not is_inline(content_type), name)
            parameters["response-content-disposition"] = disposition or "inline"
        link = _open_public_bucket(self._config).sign_url(
            "GET", key, min(ttl_s, MAX_LINK_S), params=parameters, slash_safe=True
        )
        return str(link)

    def key_of_url(self, url: str) -> str | None:
        try:
            given = urlsplit(url)
            for base in {self._config.public_base, self._config.bucket_url}:
                ours = urlsplit(base)
                path = f"{ours.path}/"
                if given.scheme in ("http", "https") and given.netloc == ours.netloc and given.path.startswith(path):
                    return unquote(given.path.removeprefix(path))
        except ValueError:
            return None
        return None

    def remove_unfinished(self, *, before: datetime) -> int:
        count = 0
        with _storage_errors("cannot remove unfinished uploads"):
            for upload in oss2.MultipartUploadIterator(self._bucket):
                if upload.initiation_date < before.timestamp():
                    self._bucket.abort_multipart_upload(upload.key, upload.upload_id)
                    count += 1
        return count

    def _send(self, key: str, path: Path, written: Written, headers: dict[str, str]) -> None:
        """In parts from the threshold on; a repeat sends only those still missing (the record is beside the file)."""
        if written.size_bytes < self._config.multipart_bytes:
            with path.open("rb") as file:
                self._bucket.put_object(key, file, headers=headers)
            return
        oss2.resumable_upload(
            self._bucket,
            key,
            str(path),
            store=oss2.ResumableStore(root=str(path.parent)),
            headers=headers,
            multipart_threshold=self._config.multipart_bytes,
            part_size=self._config.part_bytes,
            num_threads=self._config.threads,
        )

    def _repeat(self, work: Callable[[], T], *, what: str) -> T:
        for attempt in range(1, self._config.attempts + 1):
            try:
                return work()
            except faults.OssError as error:
                if attempt == self._config.attempts or not (error.status >= 500 or error.status in _REPEATED):
                    raise
                log.warning("%s failed (%s), attempt %d", what, _describe(error), attempt)
                time.sleep(min(self._config.retry_pause_s * 2 ** (attempt - 1), 6))
        raise AssertionError("the last attempt returns or raises")


@lru_cache(maxsize=8)
def _open_bucket(config: OssConfig) -> Any:
    return _bucket(config, config.endpoint, is_cname=False)


@lru_cache(maxsize=8)
def _open_public_bucket(config: OssConfig) -> Any:
    """For links: the bucket's own domain where there is one. Nothing is sent through it."""
    if config.public_domain:
        return _bucket(config, config.public_domain, is_cname=True)
    return _bucket(config, config.browser_endpoint, is_cname=False)


def _bucket(config: OssConfig, endpoint: str, *, is_cname: bool) -> Any:
    auth = oss2.make_auth(config.access_key_id, config.access_key_secret, config.signature_version)
    return oss2.Bucket(
        auth,
        endpoint,
        config.bucket,
        is_cname=is_cname,
        connect_timeout=config.connect_timeout_s,
        session=oss2.Session(pool_size=32),
        enable_crc=True,
        region=config.region,
        is_path_style=config.is_path_style and not is_cname,
    )


def _gather(path: Path, chunks: Iterable[bytes]) -> Written:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise StorageError(f"cannot gather: {error.strerror or error}") from error
        try:
            file.flush()
        except OSError as error:
            raise StorageError(f"cannot gather: {error.strerror or error}") from error
    return Written(size_bytes=size, sha256=digest.hexdigest())


def _check_key(key: str) -> None:
    """The rules of the local folder, so that a key is good in both or in neither."""
    if not key or len(key.encode()) > _MAX_KEY_BYTES or "\\" in key or any(ord(char) < 32 for char in key):
        raise KeyForbidden(repr(key[:80]))
    if any(not part or part.startswith(".") for part in key.split("/")):
        raise KeyForbidden(repr(key[:80]))


@contextmanager
def _storage_errors(what: str) -> Iterator[None]:
    """oss2's errors of the block as ours; without the body of the answer, which repeats what was signed."""
    try:
        yield
    except (faults.NoSuchKey, faults.NotFound) as error:
        if isinstance(error, faults.NoSuchBucket):
            raise StorageError(f"{what}: {_describe(error)}") from None
        raise NoSuchFile(what) from None
    except faults.OssError as error:
        raise StorageError(f"{what}: {_describe(error)}") from None
    except (RuntimeError, SyntaxError):  # oss2 raises these for XML that it cannot read
        raise StorageError(f"{what}: the answer cannot be read") from None
    except OSError as error:
        raise StorageError(f"{what}: {os.strerror(error.errno) if error.errno else type(error).__name__}") from None


def _describe(error: Any) -> str:
    if error.status == -2:
        return "OSS cannot be reached"
    if error.status == -3:
        return "the checksums differ"
    return f"{error.code or 'status'} {error.status}, request {error.request_id or 'unknown'}"
