"""`manage.py check_oss`: does the bucket do all PODI needs, step by step, and what is wrong where it does not?"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import oss2
import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from media.aliyun import sts
from media.aliyun.config import MIB, OssConfig, read_config
from media.services.granting import assume_role_for, find_callback_url
from media.storage.base import Storage, StorageError
from media.storage.oss import OssStorage

HINTS = {
    "InvalidAccessKeyId": "OSS_ACCESS_KEY (OSS_AK) is not known to Aliyun.",
    "SignatureDoesNotMatch": "OSS_SECRET_KEY (OSS_SK) does not belong to the key id, or OSS_REGION is wrong.",
    "NoSuchBucket": "OSS_BUCKET does not exist at OSS_ENDPOINT.",
    "AccessDenied": "The key may not do this on OSS_BUCKET; look at its RAM policy.",
    "RequestTimeTooSkewed": "The clock of this machine is wrong by more than 15 minutes.",
    "cannot be reached": "OSS_ENDPOINT cannot be reached from here.",
    "EntityNotExist.Role": "OSS_ROLE_ARN names no role.",
    "NoPermission": "The key may not assume OSS_ROLE_ARN; it needs AliyunSTSAssumeRoleAccess and the role's trust.",
}


class Command(BaseCommand):
    help = "Tries everything PODI does with OSS and STS, in a folder of its own, and leaves nothing behind."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--skip-multipart", action="store_true", help="send no large file")

    def handle(self, *args: Any, **options: Any) -> None:
        config = read_config()
        self._say_settings(config)
        storage = OssStorage(config)
        folder = f"{settings.OSS_ROOT_PREFIX.strip('/')}/self-check/{secrets.token_hex(8)}".lstrip("/")
        keys = [f"{folder}/small.txt", f"{folder}/large.bin"]
        try:
            self._step("write, read back", lambda: self._round_trip(storage, keys[0], b"PODI self-check"))
            self._step("list", lambda: self._list(storage, folder, keys[0]))
            self._step("signed link", lambda: self._fetch(storage, keys[0]))
            if not options["skip_multipart"]:
                large = secrets.token_bytes(config.multipart_bytes + MIB)
                self._step("write in parts", lambda: self._round_trip(storage, keys[1], large))
            if settings.OSS_ROLE_ARN:
                self._step("temporary keys", lambda: self._try_role(config, folder))
            else:
                self.stdout.write("temporary keys: no OSS_ROLE_ARN; uploaders get a signed form")
        finally:
            for key in [*keys, f"{folder}/sts.txt"]:
                self._remove(storage, key)
        self.stdout.write(f"callback: {find_callback_url() or 'none, PODI is not reachable for OSS'}")
        self.stdout.write(self.style.SUCCESS("OSS does all that PODI needs."))

    def _say_settings(self, config: OssConfig) -> None:
        if not (config.access_key_id and config.access_key_secret):
            raise CommandError("OSS_ACCESS_KEY (or OSS_AK) and OSS_SECRET_KEY (or OSS_SK) must be set.")
        self.stdout.write(f"endpoint: {config.endpoint}, region {config.region}, bucket {config.bucket}")
        self.stdout.write(f"links begin with: {config.public_base}")
        if settings.MEDIA_STORAGE != "oss":
            self.stdout.write(f"MEDIA_STORAGE is {settings.MEDIA_STORAGE}: PODI does not use this bucket yet")

    def _step(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except (StorageError, sts.StsError, OSError, requests.RequestException) as error:
            text = str(error) if isinstance(error, StorageError | sts.StsError) else type(error).__name__
            hint = next((hint for code, hint in HINTS.items() if code in text), "")
            raise CommandError(f"{name}: {text}. {hint}".strip()) from None
        self.stdout.write(f"{name}: well")

    def _round_trip(self, storage: Storage, key: str, data: bytes) -> None:
        storage.write(key, [data], content_type="text/plain")
        with storage.open(key) as file:
            if file.read() != data:
                raise StorageError("the file came back different")

    def _list(self, storage: Storage, folder: str, key: str) -> None:
        if key not in [found.key for found in storage.iter_files(folder)]:
            raise StorageError("the file that was written is not listed")

    def _fetch(self, storage: Storage, key: str) -> None:
        link = storage.sign_url(key, ttl_s=60, file_name="small.txt", content_type="text/plain")
        answer = requests.get(str(link), timeout=settings.OSS_CONNECT_TIMEOUT)
        if answer.status_code != 200:
            code = answer.text.partition("<Code>")[2].partition("<")[0]
            raise StorageError(f"the link answered {answer.status_code} {code}; check OSS_PUBLIC_DOMAIN")

    def _try_role(self, config: OssConfig, folder: str) -> None:
        """The temporary keys must write in their folder, and must not elsewhere."""
        keys = assume_role_for(config, user_id="self-check")
        auth = oss2.ProviderAuthV4(
            oss2.credentials.StaticCredentialsProvider(keys.access_key_id, keys.access_key_secret, keys.security_token)
        )
        bucket = oss2.Bucket(
            auth, config.endpoint, config.bucket, region=config.region, is_path_style=config.is_path_style
        )
        try:
            bucket.put_object(f"{folder}/sts.txt", b"x")
        except oss2.exceptions.OssError as error:
            raise StorageError(f"temporary keys cannot write: {error.code or error.status}") from None
        outside = f"{folder.rpartition('/self-check/')[0]}/podi-outside-{secrets.token_hex(8)}/x.txt".lstrip("/")
        try:
            bucket.put_object(outside, b"x")
        except oss2.exceptions.AccessDenied:
            return
        except oss2.exceptions.OssError as error:
            raise StorageError(f"unexpected answer: {error.code or error.status}") from None
        OssStorage(config).delete(outside)
        raise StorageError("temporary keys can write outside of their folder; look at the role's policy")

    def _remove(self, storage: Storage, key: str) -> None:
        try:
            storage.delete(key)
        except StorageError as error:
            self.stderr.write(f"{key} was left behind: {error}")
