"""The bearer token for Coze: a fixed one, or one swapped for an assertion that an OAuth app signs."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import jwt

from executors.providers.base import Endpoint, ProviderRefusedKey
from executors.providers.transport import Transport, error_for

ASSERTION_S = 600
TOKEN_S = 3600
RENEW_BEFORE_S = 120
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Tokens:
    """Safe to use from several threads; a swapped token is kept until shortly before it expires."""

    def __init__(self, endpoint: Endpoint, transport: Transport) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._lock = threading.Lock()
        self._swapped = ""
        self._expires_at = 0.0

    def header(self) -> dict[str, str]:
        """Raises ProviderRefusedKey COZE_NOT_CONFIGURED, COZE_TOKEN_REFUSED, or what the exchange raises."""
        if token := self._endpoint.secrets.get("token"):
            return {"Authorization": f"Bearer {token}"}
        with self._lock:
            if time.time() > self._expires_at - RENEW_BEFORE_S:
                self._swap()
            return {"Authorization": f"Bearer {self._swapped}"}

    def drop(self) -> None:
        """Coze refused the swapped token: the next call gets a new one."""
        with self._lock:
            self._expires_at = 0.0

    def _swap(self) -> None:
        answer = self._transport.request(
            "POST",
            "/api/permission/oauth2/token",
            idempotent=True,
            headers={"Authorization": f"Bearer {self._assertion()}"},
            json={"grant_type": GRANT, "duration_seconds": TOKEN_S},
        )
        body: Any = answer.json() if answer.is_ok or answer.body.lstrip().startswith(b"{") else {}
        token = body.get("access_token") if isinstance(body, dict) else None
        if not token:
            if not answer.is_ok and not 400 <= answer.status < 500:
                raise error_for(answer, idempotent=True)
            reason = str((body.get("error_message") if isinstance(body, dict) else "") or f"HTTP {answer.status}")
            raise ProviderRefusedKey(
                f"Coze gave no token to the OAuth app: {reason[:200]}.", code="COZE_TOKEN_REFUSED", raw=answer.excerpt
            )
        self._swapped = str(token)
        # `expires_in` is a moment (Unix seconds), whatever its name says; a small number would be a span after all.
        moment = float(body.get("expires_in") or 0)
        self._expires_at = moment if moment > 1_000_000_000 else time.time() + (moment or TOKEN_S)

    def _assertion(self) -> str:
        options, secrets = self._endpoint.options, self._endpoint.secrets
        app_id, key_id, key = options.get("oauth_app_id"), options.get("oauth_key_id"), secrets.get("oauth_private_key")
        if not (app_id and key_id and key):
            raise ProviderRefusedKey(
                "This executor has no Coze token. Set a token, or app id, key id and private key of an OAuth app.",
                code="COZE_NOT_CONFIGURED",
            )
        now = int(time.time())
        claims = {
            "iss": str(app_id),
            "aud": urlsplit(self._endpoint.base_url).hostname or "",
            "iat": now,
            "exp": now + ASSERTION_S,
            "jti": uuid.uuid4().hex,
        }
        problem = ""
        try:
            return jwt.encode(claims, key.replace("\\n", "\n"), algorithm="RS256", headers={"kid": str(key_id)})
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            problem = type(error).__name__
        # Outside the handler: the library's error may carry the key.
        raise ProviderRefusedKey(
            f"The private key of the Coze OAuth app cannot be read ({problem}).", code="COZE_NOT_CONFIGURED"
        )
