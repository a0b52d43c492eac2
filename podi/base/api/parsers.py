"""JSON as strictly as RFC 8259 lets one read it, under a limit of bytes and of depth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

from podi.base.errors import MalformedJson, PayloadTooLarge

MAX_DEPTH: Final = 32


class StrictJsonParser(BaseParser):
    """DRF's default parser: PAYLOAD_TOO_LARGE over DATA_UPLOAD_MAX_MEMORY_SIZE, else what `parse_json` refuses."""

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read() if limit is None else stream.read(limit + 1)
        if limit is not None and len(raw) > limit:
            raise PayloadTooLarge(limit_bytes=limit)
        return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """Raises MalformedJson: not UTF-8, not JSON, NaN or Infinity, a key twice in one object, nested deeper than 32."""
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_refuse_duplicates
        )
    except RecursionError as error:
        raise MalformedJson(_too_deep()) from error
    except ValueError as error:  # also JSONDecodeError, UnicodeDecodeError and integers of absurd length
        raise MalformedJson() from error
    _check_depth(value)
    if "\\u" in text:
        _check_text(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(_("JSON knows no NaN and no Infinity."))


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise MalformedJson(_("A number is too large."))
    return value


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedJson(_("A key stands twice in one object."))
    return found


def _too_deep() -> str:
    return _("The JSON is nested deeper than %(depth)d levels.") % {"depth": MAX_DEPTH}


def _check_depth(value: Any) -> None:
    level = [value]
    for _depth in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise MalformedJson(_too_deep())


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_text(value: Any) -> None:
    """Half a surrogate pair cannot be stored or sent on."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedJson(_("A text contains half a character (a lone surrogate).")) from error
