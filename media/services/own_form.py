"""The signed form of our own upload address, shaped like the one of OSS. The row of the upload makes it one-time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC

from django.conf import settings
from django.utils import timezone

from media.errors import MediaUploadUnauthorized
from media.models import Upload

PATH = "/api/media/v1/uploads"


def url() -> str:
    return f"{settings.PUBLIC_URL}{PATH}"


def fields(upload: Upload) -> dict[str, str]:
    """What to send before the file."""
    policy = {
        "upload": upload.pk,
        "expiration": upload.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [
            ["eq", "$key", upload.object_key],
            ["content-length-range", 1, upload.max_bytes],
            ["in", "$content-type", [upload.content_type]],
        ],
    }
    text = base64.b64encode(json.dumps(policy, separators=(",", ":")).encode()).decode()
    return {"key": upload.object_key, "policy": text, "signature": _sign(text)}


def find_upload(policy: str, signature: str) -> Upload:
    """The upload of a form we signed and that has not expired. Raises MediaUploadUnauthorized."""
    if not hmac.compare_digest(_sign(policy).encode(), signature.encode()):
        raise MediaUploadUnauthorized(reason="invalid")
    try:
        named = json.loads(base64.b64decode(policy, validate=True))["upload"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise MediaUploadUnauthorized(reason="invalid") from None
    upload = Upload.objects.select_related("owner").filter(pk=named, method=Upload.Method.DIRECT).first()
    if upload is None or not upload.owner.is_active:
        raise MediaUploadUnauthorized(reason="invalid")
    if upload.expires_at <= timezone.now():
        raise MediaUploadUnauthorized(reason="expired")
    return upload


def _sign(policy: str) -> str:
    """Under a key of its own, derived from the secret: the secret itself signs upload keys."""
    key = hmac.new(settings.UPLOAD_TOKEN_SECRET.encode(), b"media.own_form", hashlib.sha256).digest()
    return hmac.new(key, policy.encode(), hashlib.sha256).hexdigest()
