"""What an upload key is exchanged for: temporary keys, a signed form, or a form for our own address.

The long-lived keys of OSS stay here. They only sign.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from media import keys
from media.aliyun import callbacks, sts
from media.aliyun.config import OssConfig, read_config
from media.aliyun.post_policy import FormRules, SigningKeys, form_fields
from media.content_types import suffix_of
from media.errors import MediaStsInvalidParam, MediaStsUnavailable
from media.models import Upload, UploadKey
from media.services import own_form
from media.services.storing import object_key
from media.services.upload_keys import find_upload_key, give_back_upload_key, spend_upload_key
from podi.base.checks import is_private_host

CALLBACK_PATH = "/api/media/v1/oss-callback"
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+_-]{0,63}")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


@dataclass(frozen=True, kw_only=True)
class UploadWish:
    """What a caller wants to upload, in its own words."""

    task_id: str
    action: str
    file_name: str
    content_type: str
    size_bytes: int
    channel: str = ""


@dataclass(frozen=True, kw_only=True)
class Form:
    """POST these fields, then `file`, as multipart/form-data to `url`."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What to answer. `keys` only where they are temporary; `config` only where the store is OSS."""

    upload: Upload
    form: Form
    keys: sts.TemporaryKeys | None = field(default=None, repr=False)
    config: OssConfig | None = None
    callback_url: str = ""


def open_upload(text: str, wish: UploadWish) -> Grant:
    """Exchange an upload key for one upload; the key is spent by it.

    Raises MediaUploadUnauthorized, UploadBlocked; MediaStsInvalidParam and MediaStsUnavailable give the key back.
    """
    key = find_upload_key(text)
    content_type = check_wish(wish)
    used_at = spend_upload_key(key)
    now = timezone.now()
    if settings.MEDIA_STORAGE != "oss":
        upload = _record(key, wish, content_type, method=Upload.Method.DIRECT, expires_at=_grant_end(now))
        return Grant(upload=upload, form=Form(url=own_form.url(), fields=own_form.fields(upload)))
    config = read_config()
    temporary = None
    if settings.OSS_ROLE_ARN:
        try:
            temporary = assume_role_for(config, user_id=key.user_id)
        except sts.StsError as error:
            give_back_upload_key(key, used_at=used_at)
            raise MediaStsUnavailable(sts_code=error.code) from error
    method = Upload.Method.STS if temporary else Upload.Method.FORM
    expires_at = temporary.expires_at if temporary else _grant_end(now)
    upload = _record(key, wish, content_type, method=method, expires_at=expires_at)
    callback_url = find_callback_url()
    form = _oss_form(upload, config, temporary, callback_url=callback_url, now=now)
    return Grant(upload=upload, form=form, keys=temporary, config=config, callback_url=callback_url)


def check_wish(wish: UploadWish) -> str:
    """The content type in lower case, without parameters. Raises MediaStsInvalidParam, naming every wrong field."""
    content_type = wish.content_type.partition(";")[0].strip().lower()
    wrong: dict[str, str | Promise] = {}
    if not wish.task_id.strip():
        wrong["taskId"] = _("Name what the file is for.")
    if not wish.action.strip():
        wrong["action"] = _("Name what the file is for.")
    if not keys.file_name_of(wish.file_name):
        wrong["fileName"] = _("This is not a file name.")
    if not _TYPE.fullmatch(content_type) or not is_allowed_type(content_type):
        wrong["mimeType"] = _("Files of this type are not taken.")
    if not 1 <= wish.size_bytes <= settings.UPLOAD_MAX_BYTES:
        wrong["fileSize"] = _("The size must be from 1 to %(bytes)d bytes.") % {"bytes": settings.UPLOAD_MAX_BYTES}
    if wrong:
        raise MediaStsInvalidParam(fields=wrong)
    return content_type


def is_allowed_type(content_type: str) -> bool:
    return any(fnmatchcase(content_type, allowed) for allowed in settings.UPLOAD_TYPES)


def find_callback_url() -> str:
    """Where OSS may report an upload; empty where it could not reach us."""
    base = settings.OSS_CALLBACK_HOST
    if base:
        base = base if "://" in base else f"{urlsplit(settings.PUBLIC_URL).scheme}://{base}"
    elif not is_private_host(urlsplit(settings.PUBLIC_URL).hostname or ""):
        base = settings.PUBLIC_URL
    return f"{base}{CALLBACK_PATH}?answer=json" if base else ""


def _grant_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.UPLOAD_GRANT_TTL_S)


def _record(key: UploadKey, wish: UploadWish, content_type: str, *, method: str, expires_at: datetime) -> Upload:
    name = keys.file_name_of(wish.file_name)
    suffix = suffix_of(content_type)
    named = f".{name.rpartition('.')[2].lower()}" if "." in name else ""
    if suffix == ".bin" and _SUFFIX.fullmatch(named):
        suffix = named
    return Upload.objects.create(
        owner_id=key.user_id,
        object_key=object_key(key.user_id, suffix=suffix),
        method=method,
        task_id=wish.task_id.strip()[:128],
        action=wish.action.strip()[:64],
        channel=wish.channel.strip()[:64],
        file_name=name,
        content_type=content_type,
        max_bytes=wish.size_bytes,
        expires_at=expires_at,
    )


def assume_role_for(config: OssConfig, *, user_id: str) -> sts.TemporaryKeys:
    """Keys that write in the folder of this user and nowhere else. Raises sts.StsError."""
    folder = "/".join(part for part in (settings.OSS_ROOT_PREFIX.strip("/"), keys.owner_folder(user_id)) if part)
    session = sts.RoleSession(
        role_arn=settings.OSS_ROLE_ARN,
        session_name=sts.session_name(user_id),
        duration_s=settings.OSS_STS_DURATION,
        policy=sts.upload_policy(bucket=config.bucket, folder=folder),
    )
    return sts.assume_role(
        session,
        endpoint=settings.OSS_STS_ENDPOINT or f"https://sts.{config.region}.aliyuncs.com",
        access_key_id=config.access_key_id,
        access_key_secret=config.access_key_secret,
    )


def _oss_form(
    upload: Upload, config: OssConfig, temporary: sts.TemporaryKeys | None, *, callback_url: str, now: datetime
) -> Form:
    """For one key, size and type, and only while nothing lies under the key: so it works once."""
    signing = SigningKeys(
        access_key_id=temporary.access_key_id if temporary else config.access_key_id,
        access_key_secret=temporary.access_key_secret if temporary else config.access_key_secret,
        security_token=temporary.security_token if temporary else "",
    )
    fixed = {"success_action_status": "200", "x-oss-forbid-overwrite": "true"}
    if callback_url:
        fixed["callback"] = callbacks.request_field(callback_url)
    rules = FormRules(
        bucket=config.bucket,
        key=upload.object_key,
        expires_at=min(upload.expires_at, _grant_end(now)),
        max_bytes=upload.max_bytes,
        types=(upload.content_type,),
        fields=fixed,
    )
    fields = form_fields(rules, signing, region=config.region, now=now, version=config.signature_version)
    return Form(url=config.bucket_url + "/", fields=fields)
