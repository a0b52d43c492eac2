"""Upload callbacks of OSS: what we ask it to post, and whether a post really is from it (RSA, MD5, PKCS#1 v1.5)."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from podi.base import http

BODY = "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&mimeType=${mimeType}"
KEY_TTL_S = 3600.0
_MAX_KEYS = 16
_MAX_KEY_BYTES = 16_384
_OFFICIAL_HOST = "gosspublic.alicdn.com"


class NotFromOss(Exception):
    """Nothing of this post may be believed. The text says why and carries nothing of it."""


class KeyUnavailable(Exception):
    """The public key could not be fetched; the same post may be good later."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """A post as it came: path as in the address, query without `?`, the raw body, and the two headers."""

    path: str
    query: str
    body: bytes
    authorization: str
    key_url: str


def request_field(url: str) -> str:
    """The `callback` field (or x-oss-callback header) that asks OSS to report an upload to `url`."""
    text = {"callbackUrl": url, "callbackBody": BODY, "callbackBodyType": "application/x-www-form-urlencoded"}
    return base64.b64encode(json.dumps(text).encode()).decode()


class Verifier:
    """Checks posts; keeps public keys for an hour. Only addresses under `key_urls` are ever fetched."""

    def __init__(self, *, key_urls: Sequence[str], allowed_networks: Sequence[str] = (), timeout_s: float = 3) -> None:
        self._key_urls = tuple(key_urls)
        self._networks = tuple(allowed_networks)
        self._timeout_s = timeout_s
        self._keys: OrderedDict[str, tuple[float, rsa.RSAPublicKey]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, post: Post) -> None:
        """Raises NotFromOss or KeyUnavailable."""
        if not post.authorization or not post.key_url:
            raise NotFromOss("authorization or x-oss-pub-key-url is missing")
        signature = _from_base64(post.authorization)
        address = self._key_address(_from_base64(post.key_url))
        verify(post, signature, self._key(address))

    def _key_address(self, raw: bytes) -> str:
        address = raw.decode("ascii", errors="replace").strip()
        if not any(address.startswith(allowed) for allowed in self._key_urls) or "@" in address or ".." in address:
            raise NotFromOss("the public key lies at an address that is not Aliyun's")
        # The official host also answers https; over http anybody on the way could hand us a key.
        if urlsplit(address).hostname == _OFFICIAL_HOST:
            return "https://" + address.partition("://")[2]
        return address

    def _key(self, address: str) -> rsa.RSAPublicKey:
        with self._lock:
            found = self._keys.get(address)
        if found and found[0] > time.monotonic():
            return found[1]
        key = load_key(self._fetch(address))
        with self._lock:
            self._keys[address] = (time.monotonic() + KEY_TTL_S, key)
            while len(self._keys) > _MAX_KEYS:
                self._keys.popitem(last=False)
        return key

    def _fetch(self, address: str) -> bytes:
        try:
            answer = http.request(
                "GET",
                address,
                timeout_s=self._timeout_s,
                max_bytes=_MAX_KEY_BYTES,
                allowed_networks=self._networks,
            )
        except http.OutboundError as error:
            raise KeyUnavailable(type(error).__name__) from error
        if answer.status != 200:
            raise KeyUnavailable(f"status {answer.status}")
        return answer.body


def load_key(text: bytes) -> rsa.RSAPublicKey:
    """A public RSA key as PEM. Raises KeyUnavailable."""
    try:
        key = serialization.load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnavailable("what was fetched is no public key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeyUnavailable("what was fetched is no RSA key")
    return key


def verify(post: Post, signature: bytes, key: rsa.RSAPublicKey) -> None:
    """Raises NotFromOss unless the key signed decoded path, query as it came, a line break, and the raw body."""
    text = unquote(post.path) + (f"?{post.query}" if post.query else "")
    try:
        key.verify(signature, text.encode() + b"\n" + post.body, padding.PKCS1v15(), hashes.MD5())
    except InvalidSignature:
        raise NotFromOss("the signature does not fit") from None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotFromOss("a header is not base64") from None
