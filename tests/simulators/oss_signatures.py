"""The checks of a simulated OSS: signatures recomputed by oss2's own signers, session policies, form policies."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import oss2
from oss2.credentials import StaticCredentialsProvider
from requests.structures import CaseInsensitiveDict


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, kw_only=True)
class Account:
    """A pair of keys; temporary ones have a token, an end and a policy that limits them."""

    key_id: str
    secret: str
    token: str = ""
    expires_at: datetime | None = None
    policy: Mapping[str, Any] | None = None


def check_request(
    account_of: Any,
    *,
    method: str,
    bucket: str,
    key: str,
    params: dict[str, str],
    headers: Mapping[str, str],
    region: str,
) -> Account:
    """Whose request it is. Raises Refused."""
    header = headers.get("authorization", "")
    if header.startswith("OSS4-HMAC-SHA256 "):
        return _check_v4(account_of, header, method, bucket, key, params, headers, region)
    if "x-oss-signature" in params:
        return _check_v4_link(account_of, method, bucket, key, params, headers, region)
    if header.startswith("OSS ") or "Signature" in params:
        return _check_v1(account_of, header, method, bucket, key, params, headers)
    raise Refused(403, "AccessDenied", "no signature")


def _request(method: str, params: Mapping[str, str], headers: Mapping[str, str], region: str | None) -> Any:
    return SimpleNamespace(
        method=method,
        params=dict(params),
        headers=CaseInsensitiveDict({k: v for k, v in headers.items() if k != "authorization"}),
        region=region,
        product="oss",
        cloudbox_id=None,
    )


def _credentials(account: Account) -> Any:
    return StaticCredentialsProvider(account.key_id, account.secret, account.token or None).get_credentials()


def _check_v1(account_of: Any, header: str, method: str, bucket: str, key: str, params: Any, headers: Any) -> Account:
    given = dict(params)
    sent = dict(headers)
    if header:
        key_id, _, signature = header[4:].partition(":")
        moment = datetime.strptime(sent.get("x-oss-date") or sent["date"], "%a, %d %b %Y %H:%M:%S GMT")
        _check_clock(moment.replace(tzinfo=UTC))
        token = sent.get("x-oss-security-token", "")
    else:
        key_id, signature, expires = given.pop("OSSAccessKeyId"), given.pop("Signature"), given.pop("Expires")
        if int(expires) < datetime.now(UTC).timestamp():
            raise Refused(403, "AccessDenied", "Request has expired.")
        sent["date"] = expires
        token = given.get("security-token", "")
    account = account_of(key_id, token)
    auth = oss2.Auth(account.key_id, account.secret)
    request = _request(method, given, sent, None)
    _equal(auth._ProviderAuth__make_signature(request, bucket, key, _credentials(account)), signature)
    return account


def _check_v4(
    account_of: Any, header: str, method: str, bucket: str, key: str, params: Any, headers: Any, region: str
) -> Account:
    parts = dict(part.strip().split("=", 1) for part in header.removeprefix("OSS4-HMAC-SHA256 ").split(","))
    key_id = _check_scope(parts["Credential"], headers["x-oss-date"], region)
    _check_clock(_v4_time(headers["x-oss-date"]))
    account = account_of(key_id, headers.get("x-oss-security-token", ""))
    extra = [name for name in parts.get("AdditionalHeaders", "").split(";") if name]
    expected = _v4(account, _request(method, params, headers, region), bucket, key, extra, headers["x-oss-date"])
    _equal(expected, parts["Signature"])
    return account


def _check_v4_link(
    account_of: Any, method: str, bucket: str, key: str, params: Any, headers: Any, region: str
) -> Account:
    given = dict(params)
    signature = given.pop("x-oss-signature")
    date = given["x-oss-date"]
    key_id = _check_scope(given["x-oss-credential"], date, region)
    if _v4_time(date) + timedelta(seconds=int(given["x-oss-expires"])) < datetime.now(UTC):
        raise Refused(403, "AccessDenied", "Request has expired.")
    account = account_of(key_id, given.get("x-oss-security-token", ""))
    extra = [name for name in given.get("x-oss-additional-headers", "").split(";") if name]
    signed = {k: v for k, v in headers.items() if k in extra or k.startswith(("x-oss-", "content-"))}
    signed.pop("content-length", None)
    _equal(_v4(account, _request(method, given, signed, region), bucket, key, extra, date), signature)
    return account


def _v4(account: Account, request: Any, bucket: str, key: str, extra: list[str], date: str) -> str:
    auth = oss2.AuthV4(account.key_id, account.secret)
    make = auth._ProviderAuthV4__make_signature
    return str(make(request, bucket, key, set(extra), _credentials(account), date))


def _check_scope(credential: str, date: str, region: str) -> str:
    key_id, _, scope = credential.partition("/")
    if scope != f"{date[:8]}/{region}/oss/aliyun_v4_request":
        raise Refused(403, "SignatureDoesNotMatch", "scope")
    return key_id


def _v4_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _check_clock(moment: datetime) -> None:
    if abs(datetime.now(UTC) - moment) > timedelta(minutes=15):
        raise Refused(403, "RequestTimeTooSkewed")


def _equal(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected, given):
        raise Refused(403, "SignatureDoesNotMatch")


def check_session(account: Account, *, action: str, bucket: str, key: str) -> None:
    """What temporary keys may do is what their policy lists. Raises Refused."""
    if account.expires_at is not None and account.expires_at < datetime.now(UTC):
        raise Refused(403, "SecurityTokenExpired")
    if account.policy is None:
        return
    resource = f"acs:oss:*:*:{bucket}/{key}"
    for statement in account.policy["Statement"]:
        actions, resources = statement["Action"], statement["Resource"]
        if action in actions and any(fnmatch.fnmatchcase(resource, each) for each in resources):
            return
    raise Refused(403, "AccessDenied", f"{action} on {key} is not in the session's policy")


def check_form(account_of: Any, fields: Mapping[str, str], *, bucket: str, size: int, region: str) -> Account:
    """PostObject: the signature of the policy (by hand; ali-oss vouches for the same sums), then each condition."""
    policy = fields.get("policy", "")
    if not policy:
        raise Refused(403, "AccessDenied", "no policy")
    token = fields.get("x-oss-security-token", "")
    if fields.get("x-oss-signature-version") == "OSS4-HMAC-SHA256":
        key_id = _check_scope(fields["x-oss-credential"], fields["x-oss-date"], region)
        account = account_of(key_id, token)
        signing = f"aliyun_v4{account.secret}".encode()
        for part in (fields["x-oss-date"][:8], region, "oss", "aliyun_v4_request"):
            signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
        _equal(hmac.new(signing, policy.encode(), hashlib.sha256).hexdigest(), fields["x-oss-signature"])
    else:
        account = account_of(fields.get("OSSAccessKeyId", ""), token)
        digest = hmac.new(account.secret.encode(), policy.encode(), hashlib.sha1).digest()
        _equal(base64.b64encode(digest).decode(), fields.get("Signature", ""))
    _check_conditions(json.loads(base64.b64decode(policy)), fields, bucket=bucket, size=size)
    return account


_FREE = {"policy", "ossaccesskeyid", "signature", "x-oss-signature", "file", "submit"}


def _check_conditions(policy: Any, fields: Mapping[str, str], *, bucket: str, size: int) -> None:
    if datetime.fromisoformat(policy["expiration"].replace("Z", "+00:00")) < datetime.now(UTC):
        raise Refused(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    named = set(_FREE)
    for condition in policy["conditions"]:
        rule = [["eq", f"${k}", v] for k, v in condition.items()] if isinstance(condition, dict) else [condition]
        for operator, name, *values in rule:
            if operator == "content-length-range":
                _check_size(int(name), int(values[0]), size)
                continue
            name = name.lstrip("$").lower()
            named.add(name)
            given = bucket if name == "bucket" else fields.get(name, "")
            expected = values[0]
            is_met = {
                "eq": lambda g, e: g == e,
                "starts-with": lambda g, e: g.startswith(e),
                "in": lambda g, e: g in e,
            }[operator](given, expected)
            if not is_met:
                raise Refused(403, "AccessDenied", f"Invalid according to Policy: {name}")
    if unlisted := {name.lower() for name in fields} - named:
        raise Refused(403, "AccessDenied", f"Invalid according to Policy: Extra input fields: {sorted(unlisted)}")


def _check_size(least: int, most: int, size: int) -> None:
    if size > most:
        raise Refused(400, "EntityTooLarge")
    if size < least:
        raise Refused(400, "EntityTooSmall")
