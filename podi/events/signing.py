"""Signatures of callbacks, by the Standard Webhooks rules. Secrets are derived, never stored."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from standardwebhooks import Webhook


def derive_secret(key: str, *, owner_id: str, generation: int) -> str:
    """The `whsec_...` text of one owner under one platform key; `owner_id` "" is for deliveries without an owner."""
    info = f"podi webhook {generation} {owner_id}".encode()
    material = HKDF(algorithm=SHA256(), length=32, salt=b"podi.events.signing", info=info).derive(key.encode())
    return "whsec_" + base64.b64encode(material).decode()


def sign(body: str, *, message_id: str, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers. One signature for each secret, so that a receiver may hold any of them.

    `at` is aware UTC.
    """
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
