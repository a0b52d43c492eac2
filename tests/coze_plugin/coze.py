"""Coze as a caller: its headers, its forced types, and how it cuts an answer (reference facts of docs/coze.md)."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

TOKEN = "invented-service-token-for-tests-only"
HEADERS = {
    "user-agent": "Coze/1.0",
    "x-tt-logid": "021700000000000000000000000000000000000000000000abc",
    "x-aiplugin-connector-identifier": "7340000000000000000",
    "x-aiplugin-bot-id": "7350000000000000000",
    "x-aiplugin-conversation-id": "7360000000000000000",
}
PREFIX = "/api/coze/podi"


class Coze:
    """Calls like Coze's backend: Bearer token, JSON body with the forced top-level types, empty query values."""

    def __init__(self, *, token: str = TOKEN, address: str = "203.0.113.9") -> None:
        self.client = Client(REMOTE_ADDR=address)
        self.headers = HEADERS | ({"authorization": f"Bearer {token}"} if token else {})

    def tool(self, provider: str, key: str, body: Any = None, **headers: str) -> Any:
        return self.post(f"/tools/{provider}/{key}?limit=&page=", body, **headers)

    def task(self, task_id: str, **body: Any) -> Any:
        return self.post("/tasks/get", {"taskId": task_id, **body})

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        text = b"" if body is None else json.dumps(body, ensure_ascii=False)
        return self.client.post(
            PREFIX + path, text, content_type="application/json", headers={**self.headers, **headers}
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(PREFIX + path, headers={**self.headers, **headers})


def forced(value: Any, schema: dict[str, Any]) -> Any:
    """A top-level body value in its declared type, as Coze forces it."""
    kind = schema["type"]
    if kind == "integer":
        return int(value) if str(value).strip().lstrip("-").isdigit() else 0
    if kind == "number":
        try:
            return float(value)
        except ValueError:
            return 0
    if kind == "string" and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value


def cut(value: Any, schema: dict[str, Any], *, is_debug: bool, path: str = "") -> Any:
    """An answer as Coze hands it on. In the debug run a null or a wrong type fails, elsewhere it is emptied."""
    kind = schema["type"]
    right = {
        "string": lambda: isinstance(value, str),
        "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda: isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": lambda: isinstance(value, bool),
        "array": lambda: isinstance(value, list),
        "object": lambda: isinstance(value, dict),
    }[kind]()
    if not right:
        assert not is_debug, f"{path}: {value!r} is no {kind}: the debug run fails"
        return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(kind)
    if kind == "array":
        return [cut(item, schema["items"], is_debug=is_debug, path=f"{path}[]") for item in value]
    if kind == "object":
        properties = schema.get("properties", {})
        return {
            name: cut(value[name], inner, is_debug=is_debug, path=f"{path}.{name}")
            for name, inner in properties.items()
            if name in value
        }
    return value


def answer_schema_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    operation = document["paths"][PREFIX + path]["post"]
    return operation["responses"]["200"]["content"]["application/json"]["schema"]
