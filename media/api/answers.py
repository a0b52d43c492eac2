"""The shapes of the upload endpoints: what they read and what they answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from rest_framework import serializers

from media import services as media
from media.aliyun import callbacks
from media.models import Upload

PRIVATE: Final = {"Cache-Control": "no-store"}


class UploadKeyIn(serializers.Serializer[None]):
    userId = serializers.CharField(max_length=128, help_text="one's own id or user name")


class UploadKeyOut(serializers.Serializer[None]):
    uploadKey = serializers.CharField(help_text="opens one upload, once")
    expiresAt = serializers.DateTimeField()
    expiresIn = serializers.IntegerField(help_text="seconds")


class StsIn(serializers.Serializer[None]):
    uploadKey = serializers.CharField(max_length=2048)
    taskId = serializers.CharField(max_length=128, allow_blank=True)
    action = serializers.CharField(max_length=64, allow_blank=True)
    fileName = serializers.CharField(max_length=1024, allow_blank=True)
    mimeType = serializers.CharField(max_length=128, allow_blank=True)
    fileSize = serializers.IntegerField(help_text="bytes; the file may not be larger")
    channel = serializers.CharField(max_length=64, required=False, allow_blank=True, allow_null=True)


class CredentialsOut(serializers.Serializer[None]):
    accessKeyId = serializers.CharField(help_text="empty where isTemporary is false: PODI never sends long-lived keys")
    accessKeySecret = serializers.CharField()
    securityToken = serializers.CharField()
    endpoint = serializers.CharField()
    publicDomain = serializers.CharField()
    bucket = serializers.CharField()
    region = serializers.CharField()
    expiration = serializers.IntegerField(help_text="milliseconds since 1970")
    isTemporary = serializers.BooleanField(help_text="true: keys of STS; false: use `upload`")
    rootPrefix = serializers.CharField()


class CallbackOut(serializers.Serializer[None]):
    url = serializers.CharField()
    body = serializers.CharField()
    contentType = serializers.CharField()


class UploadFormOut(serializers.Serializer[None]):
    method = serializers.CharField(help_text="POST, as multipart/form-data")
    url = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text="send these, then `fileField`"
    )
    fileField = serializers.CharField()
    putUrl = serializers.CharField(allow_null=True, help_text="or PUT the file here; null in OSS")
    maxBytes = serializers.IntegerField()
    contentType = serializers.CharField()
    expiresAt = serializers.DateTimeField()


class StsOut(serializers.Serializer[None]):
    ossCredentials = CredentialsOut()
    objectKey = serializers.CharField()
    host = serializers.CharField()
    uploadId = serializers.CharField()
    upload = UploadFormOut(help_text="a form for exactly this file; works with and without temporary keys")
    callback = CallbackOut(allow_null=True, help_text="for the `callback` option of Aliyun's SDKs")


class FormIn(serializers.Serializer[None]):
    key = serializers.CharField(max_length=512)
    policy = serializers.CharField(max_length=4096)
    signature = serializers.CharField(max_length=128)
    file = serializers.FileField(allow_empty_file=True)


class UploadOut(serializers.Serializer[None]):
    uploadId = serializers.CharField()
    objectKey = serializers.CharField()
    state = serializers.ChoiceField(choices=Upload.State.choices)
    url = serializers.CharField(required=False, help_text="a link to the file, once it is kept")
    contentType = serializers.CharField(required=False)
    size = serializers.IntegerField(required=False)
    width = serializers.IntegerField(required=False, allow_null=True)
    height = serializers.IntegerField(required=False, allow_null=True)


class CallbackMetaIn(serializers.Serializer[None]):
    taskId = serializers.CharField()
    action = serializers.CharField()
    userId = serializers.CharField(required=False)


class OssCallbackIn(serializers.Serializer[None]):
    """As OSS posts it, signed; a form with the same names is read as well."""

    bucket = serializers.CharField()
    object = serializers.CharField()
    size = serializers.IntegerField()
    mimeType = serializers.CharField()
    meta = CallbackMetaIn()


def moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def grant(given: media.Grant) -> dict[str, Any]:
    upload = given.upload
    return {
        "ossCredentials": _credentials(given),
        "objectKey": upload.object_key,
        "host": given.config.bucket_url if given.config else settings.PUBLIC_URL,
        "uploadId": upload.pk,
        "upload": {
            "method": "POST",
            "url": given.form.url,
            "fields": dict(given.form.fields),
            "fileField": "file",
            "putUrl": None if given.config else _put_url(given.form),
            "maxBytes": upload.max_bytes,
            "contentType": upload.content_type,
            "expiresAt": moment(upload.expires_at),
        },
        "callback": {
            "url": given.callback_url,
            "body": callbacks.BODY,
            "contentType": "application/x-www-form-urlencoded",
        }
        if given.callback_url
        else None,
    }


def upload(found: Upload) -> dict[str, Any]:
    """Also what OSS hands on to the uploader as the answer to the callback."""
    answer: dict[str, Any] = {"uploadId": found.pk, "objectKey": found.object_key, "state": found.state}
    asset = found.asset
    if asset is not None:
        answer |= {
            "url": media.url(asset),
            "contentType": asset.content_type,
            "size": asset.size_bytes,
            "width": asset.width,
            "height": asset.height,
        }
    return answer


def _credentials(given: media.Grant) -> dict[str, Any]:
    """The contract's shape in every mode. Only what STS gave is ever put into it."""
    keys, config = given.keys, given.config
    return {
        "accessKeyId": keys.access_key_id if keys else "",
        "accessKeySecret": keys.access_key_secret if keys else "",
        "securityToken": keys.security_token if keys else "",
        "endpoint": config.browser_endpoint if config else settings.PUBLIC_URL,
        "publicDomain": config.public_base if config else f"{settings.PUBLIC_URL}/files",
        "bucket": config.bucket if config else "",
        "region": f"oss-{config.region}" if config else "",
        "expiration": int((keys.expires_at if keys else given.upload.expires_at).timestamp() * 1000),
        "isTemporary": keys is not None,
        "rootPrefix": settings.OSS_ROOT_PREFIX.strip("/"),
    }


def _put_url(form: media.Form) -> str:
    query = urlencode({"policy": form.fields["policy"], "signature": form.fields["signature"]})
    return f"{form.url}?{query}"
