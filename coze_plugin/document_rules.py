"""The rules that Coze's importer and run time have for a document (docs/coze.md). Pure: a document in, sentences out.

It knows what our own documents can contain: bodies and answers, no parameters, no references, no components.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

TYPES: Final = frozenset({"string", "integer", "number", "boolean", "array", "object"})
FORMATS: Final = frozenset(
    f"{kind}_url" for kind in ("file", "image", "doc", "ppt", "code", "excel", "zip", "video", "audio", "txt")
)
_SCHEMA_KEYS: Final = frozenset(
    {
        "type",
        "description",
        "format",
        "enum",
        "default",
        "minimum",
        "maximum",
        "items",
        "properties",
        "required",
        "example",
    }
)
_OPERATION_KEYS: Final = frozenset({"operationId", "summary", "description", "requestBody", "responses", "tags"})
MAX_NAME, MAX_SUMMARY, MAX_DESCRIPTION, MAX_TITLE, MAX_SERVER_BYTES = 30, 600, 300, 30, 512
_MAX_PATH: Final = 512


def find_problems(document: Mapping[str, Any]) -> list[str]:
    """One sentence for each broken rule, beginning with the place. Empty when Coze takes and keeps all of it."""
    return [f"{place}: {text}" for place, text in _document(document)]


def find_server_problem(url: str) -> Literal["", "address", "private", "plain"]:
    """Why others could not call this: an IP address, a name of no public host, no https. Empty when they can."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
        return "address"
    except ValueError:
        pass  # a name, as it should be
    if "." not in host or host.endswith((".local", ".internal", ".localhost")):
        return "private"
    return "" if urlsplit(url).scheme == "https" else "plain"


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value satisfies a schema of these documents; undeclared keys do not."""
    kind = schema["type"]
    if "enum" in schema and value not in schema["enum"]:
        return False
    if kind == "array":
        return isinstance(value, list) and all(fits(item, schema["items"]) for item in value)
    if kind == "object":
        properties = schema.get("properties", {})
        return (
            isinstance(value, dict)
            and set(schema.get("required", ())) <= set(value) <= set(properties)
            and all(fits(inner, properties[name]) for name, inner in value.items())
        )
    if kind in ("integer", "number"):
        is_kind = isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
        return is_kind and schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return isinstance(value, bool if kind == "boolean" else str)


def _document(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not re.fullmatch(r"3\.0\.\d+", str(document.get("openapi"))):
        yield "openapi", "must be 3.0.x"
    if set(document) - {"openapi", "info", "servers", "paths"}:
        yield "document", "has keys that are of no use to Coze"
    info = document.get("info") or {}
    for key in ("title", "description", "version"):
        if not info.get(key):
            yield f"info.{key}", "is empty"
    if not re.fullmatch(rf"[A-Za-z0-9_ \u4e00-\u9fa5]{{1,{MAX_TITLE}}}", str(info.get("title", ""))):
        yield "info.title", "letters, digits, _, blanks or Chinese, at most 30"
    if len(str(info.get("description", ""))) > MAX_SUMMARY:
        yield "info.description", f"longer than {MAX_SUMMARY} characters"
    yield from _servers(document.get("servers"))
    paths = document.get("paths") or {}
    if not paths:
        yield "paths", "has no tool"
    names = [operation.get("operationId") for item in paths.values() for operation in item.values()]
    for path, item in paths.items():
        if not path.startswith("/") or len(path) > _MAX_PATH or "{" in path:
            yield path, "must begin with /, have no {} and at most 512 characters"
        for method, operation in item.items():
            if method not in ("get", "post", "put", "delete", "patch"):
                yield f"{path}.{method}", "Coze knows no such method"
            if names.count(operation.get("operationId")) > 1:
                yield f"{path}.{method}", "its operationId is used twice"
            yield from _operation(f"{path}.{method}", operation)


def _servers(servers: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(servers, list) or len(servers) != 1:
        yield "servers", "exactly one is needed"
        return
    url = str(servers[0].get("url", ""))
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url.encode()) > MAX_SERVER_BYTES:
        yield "servers.0.url", "must be an absolute address of at most 512 bytes"
    if url.endswith("/") or "{" in url:
        yield "servers.0.url", "must not end with / or contain {}"


def _operation(place: str, operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if set(operation) - _OPERATION_KEYS:
        yield place, "has keys that are of no use to Coze"
    if not re.fullmatch(rf"[A-Za-z0-9_]{{1,{MAX_NAME}}}", str(operation.get("operationId", ""))):
        yield place, f"operationId {operation.get('operationId')!r}: letters, digits and _, at most 30"
    if not 0 < len(str(operation.get("summary", ""))) <= MAX_SUMMARY:
        yield place, f"its summary is empty or longer than {MAX_SUMMARY} characters"
    yield from _content(f"{place}.requestBody", operation.get("requestBody") or {}, is_request=True)
    responses = operation.get("responses") or {}
    if set(responses) != {"200"} or not responses["200"].get("description") or "headers" in responses["200"]:
        yield f"{place}.responses", "exactly 200, with a description and without headers"
        return
    yield from _content(f"{place}.responses.200", responses["200"], is_request=False)


def _content(place: str, holder: Mapping[str, Any], *, is_request: bool) -> Iterator[tuple[str, str]]:
    content = holder.get("content") or {}
    schema = (content.get("application/json") or {}).get("schema") or {}
    if list(content) != ["application/json"] or schema.get("type") != "object":
        yield place, "must be one JSON object"
        return
    if is_request and schema.get("required") and holder.get("required") is not True:
        yield place, "has required fields but is itself optional"
    problems = list(_schema(place, schema, is_request=is_request, is_root=True))
    yield from problems
    example = content["application/json"].get("example")
    if example is not None and not problems and not fits(example, schema):
        yield place, "its example does not satisfy its schema"


def _schema(
    place: str, schema: Mapping[str, Any], *, is_request: bool, is_root: bool = False
) -> Iterator[tuple[str, str]]:
    kind, description = schema.get("type"), str(schema.get("description", ""))
    if not isinstance(kind, str) or kind not in TYPES:
        yield place, f"type {kind!r}"
        return
    if unknown := {key for key in schema if key not in _SCHEMA_KEYS and not key.startswith("x-")}:
        yield place, f"keys that Coze refuses or ignores: {', '.join(sorted(unknown))}"
    if is_request and not is_root and not 0 < len(description) <= MAX_DESCRIPTION:
        yield place, f"its description is empty or longer than {MAX_DESCRIPTION} characters"
    yield from _strings(place, schema)
    if unsaid := [value for value in schema.get("enum", ()) if str(value) not in description]:
        yield place, f"the model does not see these values: {unsaid}"
    if "default" in schema and kind not in ("array", "object") and not fits(schema["default"], schema):
        yield place, "its default does not satisfy it"
    if kind == "array" and not isinstance(schema.get("items"), dict):
        yield place, "has no items"
    elif kind == "array":
        yield from _schema(f"{place}[]", schema["items"], is_request=is_request)
    if kind == "object":
        properties = schema.get("properties") or {}
        if not properties:
            yield place, "an object without properties arrives empty"
        if missing := set(schema.get("required", ())) - set(properties):
            yield place, f"required but not declared: {', '.join(sorted(missing))}"
        for name, inner in properties.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                yield f"{place}.{name}", "a field name has letters, digits, _ and - only"
            yield from _schema(f"{place}.{name}", inner, is_request=is_request)


def _strings(place: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found, assist = schema.get("format"), schema.get("x-assist-type")
    if found is not None and found not in FORMATS:
        yield place, f"format {found!r}"
    if assist is not None and (schema.get("type") != "string" or found != f"{assist}_url"):
        yield place, f"x-assist-type {assist!r} needs a string of format {assist}_url"
