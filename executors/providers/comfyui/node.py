"""The calls to a ComfyUI server, one function each, with its answers checked for shape. No decisions here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from executors.providers.base import Endpoint, InputFile, ProviderRejected, ProviderUnintelligible
from executors.providers.comfyui.refusals import as_mapping, is_malformed, read_refusal
from executors.providers.transport import Answer, Transport, error_for

UPLOAD_TIMEOUT_S = 120.0
_SUFFIXES = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tiff"),
    (b"MM\x00*", ".tiff"),
)


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What a node runs and what waits, in the order in which it will run (a node lists them in heap order)."""

    running: tuple[str, ...]
    pending: tuple[str, ...]
    raw: Mapping[str, Any]

    @cached_property
    def places(self) -> dict[str, int]:
        """How many prompts run before each: 0 while it runs itself."""
        before = max(1, len(self.running))
        return dict.fromkeys(self.running, 0) | {ref: before + index for index, ref in enumerate(self.pending)}


class Node:
    """One ComfyUI server. Every call raises ProviderError as `transport` describes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.transport = Transport(endpoint)
        token = endpoint.secrets.get("token", "")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def post_prompt(self, body: Mapping[str, Any]) -> Answer:
        return self.transport.request("POST", "/prompt", idempotent=False, json=body, headers=self.headers)

    def read_queue(self) -> Queue:
        body = self._get_mapping("/queue")
        running, pending = body.get("queue_running"), body.get("queue_pending")
        if not isinstance(running, list) or not isinstance(pending, list):
            raise ProviderUnintelligible("The node's queue has no known shape.", code="COMFYUI_QUEUE_STATUS_INVALID")
        return Queue(running=_ids(running), pending=_ids(sorted(pending, key=_position)), raw=body)

    def read_history(self, ref: str) -> Mapping[str, Any] | None:
        """The entry of this ref; None when it waits, runs, is unknown or was deleted: a node answers all four alike.

        Raises ProviderUnintelligible (COMFYUI_HISTORY_INVALID, COMFYUI_HISTORY_HTTP_500) for an entry that this one
        run has made unreadable.
        """
        path = f"/history/{quote(ref, safe='')}"
        answer = self.transport.request("GET", path, idempotent=True, headers=self.headers)
        if is_malformed(answer):
            raise ProviderUnintelligible(
                "The node cannot print its history entry.", code="COMFYUI_HISTORY_HTTP_500", raw=answer.excerpt
            )
        body = self._read(answer)
        entry = body.get(ref) if isinstance(body, Mapping) else body
        if entry is not None and not isinstance(entry, Mapping):
            raise ProviderUnintelligible("The history entry has no known shape.", code="COMFYUI_HISTORY_INVALID")
        return entry

    def delete_pending(self, ref: str) -> None:
        self._post("/queue", {"delete": [ref]})

    def interrupt(self, ref: str) -> None:
        """Stops this ref if it is the running one. Without an id a node would stop whatever runs."""
        self._post("/interrupt", {"prompt_id": ref})

    def delete_history(self, ref: str) -> None:
        self._post("/history", {"delete": [ref]})

    def upload_image(self, file: InputFile, *, subfolder: str) -> str:
        """Stores a picture among the node's inputs and returns the name under which a loader finds it.

        The name comes from the content alone, so two jobs can never swap their inputs and a repeat stores nothing. The
        node may still answer another name (a broken earlier upload in the way); the answered one counts.
        """
        with file.open() as opened:
            content = opened.read()
        name = f"podi-{file.sha256}{_suffix_of(content)}"
        answer = self.transport.request(
            "POST",
            "/upload/image",
            idempotent=True,
            files={"image": (name, content, file.content_type or "application/octet-stream")},
            data={"type": "input", "subfolder": subfolder},
            headers=self.headers,
            timeout_s=UPLOAD_TIMEOUT_S,
        )
        if answer.status in (400, 413) or is_malformed(answer):
            raise read_refusal(answer)
        body = as_mapping(self._read(answer))
        if not isinstance(body.get("name"), str):
            raise ProviderUnintelligible("The node did not say how it named the upload.", raw=answer.excerpt)
        folder = str(body.get("subfolder") or "")
        return f"{folder}/{body['name']}" if folder else str(body["name"])

    def open_file(self, locator: Mapping[str, Any]) -> Iterator[bytes]:
        """The bytes of an output. All three parts are always sent: without the subfolder a node serves a namesake."""
        params = {key: str(locator.get(key) or "") for key in ("filename", "subfolder", "type")}
        try:
            yield from self.transport.stream("GET", "/view", params=params, headers=self.headers)
        except ProviderRejected as error:
            raise ProviderRejected(
                "The node no longer has this result.", code="COMFYUI_ASSETS_EMPTY", raw=error.raw
            ) from error

    def read_definition(self, class_type: str) -> Mapping[str, Any] | None:
        """The definition of one node type; None when the server does not have it (it answers 200 and nothing)."""
        found = self._get_mapping(f"/object_info/{quote(class_type, safe='')}").get(class_type)
        return found if isinstance(found, Mapping) else None

    def read_definitions(self) -> Mapping[str, Any]:
        """Every definition: hundreds of kilobytes and up to a second of the node's single HTTP thread."""
        return self._get_mapping("/object_info")

    def read_system_stats(self) -> Mapping[str, Any]:
        return self._get_mapping("/system_stats")

    def _get_mapping(self, path: str) -> Mapping[str, Any]:
        body = self._read(self.transport.request("GET", path, idempotent=True, headers=self.headers))
        if not isinstance(body, Mapping):
            raise ProviderUnintelligible(f"The node's answer to {path} has no known shape.", raw=str(body)[:500])
        return body

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        answer = self.transport.request("POST", path, idempotent=True, json=body, headers=self.headers)
        if not answer.is_ok:
            raise error_for(answer, idempotent=True)

    def _read(self, answer: Answer) -> Any:
        if not answer.is_ok:
            raise error_for(answer, idempotent=True)
        return answer.json()


def _position(item: Any) -> tuple[float, str]:
    return (float(item[0]), str(item[1])) if isinstance(item, list) and len(item) > 1 else (0.0, "")


def _ids(items: list[Any]) -> tuple[str, ...]:
    return tuple(str(item[1]) for item in items if isinstance(item, list) and len(item) > 1)


def _suffix_of(content: bytes) -> str:
    """The file name's ending, from the content: what a customer's file was called says nothing."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _SUFFIXES if content.startswith(magic)), ".png")
