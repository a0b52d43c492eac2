"""Signed forms: a browser may post one file under the conditions of the policy, and needs no key for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ALGORITHM = "OSS4-HMAC-SHA256"


@dataclass(frozen=True, kw_only=True)
class SigningKeys:
    """Long-lived keys, or temporary ones with their token. No repr shows them."""

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False, default="")


@dataclass(frozen=True, kw_only=True)
class FormRules:
    """What may be posted. `types` are exact content types; `fields` must come exactly as they stand here."""

    bucket: str
    key: str
    expires_at: datetime
    max_bytes: int
    types: Sequence[str] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


def form_fields(
    rules: FormRules, keys: SigningKeys, *, region: str, now: datetime, version: str = "v4"
) -> dict[str, str]:
    """Every field of the form but the file, which must come last. `now` and `expires_at` must be aware."""
    fields = {"key": rules.key, **rules.fields}
    if rules.types:
        fields["content-type"] = rules.types[0]
    if keys.security_token:
        fields["x-oss-security-token"] = keys.security_token
    if version == "v4":
        fields |= {
            "x-oss-signature-version": ALGORITHM,
            "x-oss-credential": f"{keys.access_key_id}/{scope(now, region=region)}",
            "x-oss-date": now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
        }
    policy = encode_policy(rules, fields)
    if version == "v4":
        secret = keys.access_key_secret
        return {**fields, "policy": policy, "x-oss-signature": sign_v4(policy, secret=secret, region=region, now=now)}
    signature = sign_v1(policy, secret=keys.access_key_secret)
    return {**fields, "OSSAccessKeyId": keys.access_key_id, "policy": policy, "Signature": signature}


def encode_policy(rules: FormRules, fields: Mapping[str, str]) -> str:
    """Base64 of the policy: every field is named in it, and nothing else may be sent."""
    conditions: list[Any] = [{"bucket": rules.bucket}, ["content-length-range", 1, rules.max_bytes]]
    for name, value in fields.items():
        if name == "content-type":
            conditions.append(["in", "$content-type", list(rules.types)])
        else:
            conditions.append(["eq", f"${name}", value])
    expires = rules.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    text = json.dumps({"expiration": expires, "conditions": conditions}, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(text.encode()).decode()


def scope(now: datetime, *, region: str) -> str:
    return f"{now.astimezone(UTC):%Y%m%d}/{region}/oss/aliyun_v4_request"


def sign_v1(policy: str, *, secret: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), policy.encode(), hashlib.sha1).digest()).decode()


def sign_v4(policy: str, *, secret: str, region: str, now: datetime) -> str:
    key = f"aliyun_v4{secret}".encode()
    for part in scope(now, region=region).split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, policy.encode(), hashlib.sha256).hexdigest()
