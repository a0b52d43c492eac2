"""Temporary keys from Aliyun STS: a signed RPC call of AssumeRole (version 2015-04-01)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from podi.base import http

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""The operator names this address; it may well be a private one."""
MAX_POLICY_BYTES = 2048
_SESSION_UNSAFE = re.compile(r"[^A-Za-z0-9.@_-]")


class StsError(Exception):
    """STS did not give keys. `code` is Aliyun's, or what went wrong on the way; the text carries no secret."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        super().__init__(f"{code}: {message}" if message else code)


@dataclass(frozen=True, kw_only=True)
class TemporaryKeys:
    """What STS gave; worthless after `expires_at` (aware)."""

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class RoleSession:
    """Who asks for which role, for how long, and what of it is left by `policy`."""

    role_arn: str
    session_name: str
    duration_s: int
    policy: Mapping[str, Any]


def session_name(user_id: str) -> str:
    """`podi-<userId>`: 2 to 64 letters, digits, `.@-_`."""
    return _SESSION_UNSAFE.sub("_", f"podi-{user_id}")[:64]


def upload_policy(*, bucket: str, folder: str) -> dict[str, Any]:
    """Writing below one folder of one bucket and nothing else. Sizes cannot be said in such a policy."""
    resource = f"acs:oss:*:*:{bucket}/{folder.strip('/')}/*"
    statement = {"Effect": "Allow", "Action": ["oss:PutObject", "oss:PostObject"], "Resource": [resource]}
    return {"Version": "1", "Statement": [statement]}


def assume_role(
    session: RoleSession, *, endpoint: str, access_key_id: str, access_key_secret: str, timeout_s: float = 10
) -> TemporaryKeys:
    """Ask STS. Raises StsError. `endpoint` may be http:// for a test."""
    policy = json.dumps(session.policy, separators=(",", ":"))
    if len(policy.encode()) > MAX_POLICY_BYTES:
        raise StsError("InvalidParameter.PolicyGrammar", "the policy is longer than 2048 bytes")
    parameters = {
        "Action": "AssumeRole",
        "RoleArn": session.role_arn,
        "RoleSessionName": session.session_name,
        "DurationSeconds": str(session.duration_s),
        "Policy": policy,
    }
    signed = sign_rpc(
        parameters,
        method="POST",
        version="2015-04-01",
        access_key_id=access_key_id,
        access_key_secret=access_key_secret,
        now=datetime.now(UTC),
        nonce=secrets.token_hex(16),
    )
    return _read_keys(*_post(endpoint, signed, timeout_s=timeout_s))


def sign_rpc(
    parameters: Mapping[str, str],
    *,
    method: str,
    version: str,
    access_key_id: str,
    access_key_secret: str,
    now: datetime,
    nonce: str,
    format: str = "JSON",
) -> dict[str, str]:
    """The parameters with the common ones and the Signature (HMAC-SHA1, version 1.0); `now` must be aware."""
    signed = {
        **parameters,
        "Format": format,
        "Version": version,
        "AccessKeyId": access_key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": nonce,
        "Timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    query = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(signed.items()))
    text = f"{method}&%2F&{_encode(query)}"
    digest = hmac.new(f"{access_key_secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return {**signed, "Signature": base64.b64encode(digest).decode()}


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _post(endpoint: str, parameters: Mapping[str, str], *, timeout_s: float) -> tuple[int, bytes]:
    body = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in parameters.items())
    try:
        answer = http.request(
            "POST",
            endpoint.rstrip("/") + "/",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            body=body.encode(),
            timeout_s=timeout_s,
            max_bytes=65_536,
            allowed_networks=EVERYWHERE,
        )
    except http.TimedOut:
        raise StsError("Timeout", "STS did not answer in time") from None
    except http.OutboundError as error:
        raise StsError("Unreachable", type(error).__name__) from None  # its text may hold the address with the call
    return answer.status, answer.body


def _read_keys(status: int, body: bytes) -> TemporaryKeys:
    try:
        answer = json.loads(body)
        if status != 200:
            raise StsError(str(answer.get("Code") or f"HTTP {status}")[:80])
        given = answer["Credentials"]
        keys = TemporaryKeys(
            access_key_id=str(given["AccessKeyId"]),
            access_key_secret=str(given["AccessKeySecret"]),
            security_token=str(given["SecurityToken"]),
            expires_at=datetime.fromisoformat(str(given["Expiration"]).replace("Z", "+00:00")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StsError("BrokenAnswer", f"STS answered {status} with something else than JSON keys") from None
    if keys.expires_at.tzinfo is None or not (keys.access_key_id and keys.access_key_secret and keys.security_token):
        raise StsError("BrokenAnswer", "STS left out a part of the keys")
    return keys
