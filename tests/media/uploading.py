"""A client of the upload endpoints, for tests."""

from __future__ import annotations

from typing import Any

import requests
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from podi.base.models import User

KEY, STS, UPLOADS = "/api/media/v1/upload-key", "/api/media/v1/sts", "/api/media/v1/uploads"
DOWNLOAD, CALLBACK = "/api/media/v1/signed-download", "/api/media/v1/oss-callback"


def post(client: Client, path: str, body: object, user: User | None = None) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {AccessToken.for_user(user)}"} if user else {}
    response = client.post(path, body, content_type="application/json", headers=headers)
    return response.status_code, response.json() if response.content else None


def key_of(client: Client, user: User) -> str:
    status, answer = post(client, KEY, {"userId": user.pk}, user)
    assert status == 200, answer
    return str(answer["uploadKey"])


def wish(upload_key: str, **changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "uploadKey": upload_key,
        "taskId": "task-1",
        "action": "print",
        "fileName": "杯子.png",
        "mimeType": "image/png",
        "fileSize": 5000,
    }
    return {**values, **changes}


def grant_for(client: Client, user: User, **changes: object) -> dict[str, Any]:
    status, answer = post(client, STS, wish(key_of(client, user), **changes))
    assert status == 200, answer
    return dict(answer)


def send_form(grant: dict[str, Any], data: bytes, **changes: str) -> requests.Response:
    """As a browser does it: every field, then the file."""
    fields = [(name, (None, value)) for name, value in {**grant["upload"]["fields"], **changes}.items()]
    parts: Any = [*fields, ("file", ("a.png", data, "image/png"))]
    return requests.post(grant["upload"]["url"], files=parts, timeout=10)
