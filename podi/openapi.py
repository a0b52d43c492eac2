"""`/openapi.json`: made once per process and language, since making it costs half a second of work."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final

from django.http import HttpResponse
from django.utils.translation import get_language
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

DATABASE_BOUNDS: Final = frozenset(
    {2**63 - 1, -(2**63), 2**64 - 1, 2**32 - 1, 2**31 - 1, -(2**31), 2**16 - 1, 2**15 - 1, -(2**15)}
)


def drop_database_bounds(result: Any, **kwargs: Any) -> Any:
    """Integer ranges of the database's columns are no part of the contract, and every database has others."""
    if isinstance(result, dict):
        for key in ("maximum", "minimum"):
            if isinstance(result.get(key), int) and result[key] in DATABASE_BOUNDS:
                del result[key]
        if result.get("format") == "int64":
            del result["format"]
        for inner in result.values():
            drop_database_bounds(inner)
    elif isinstance(result, list):
        for inner in result:
            drop_database_bounds(inner)
    return result


class OpenApiView(APIView):
    """The document itself is not part of the document."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse | Response:
        body, tag = render_document(get_language() or "")
        if request.headers.get("If-None-Match") == tag:
            return HttpResponse(status=304, headers={"ETag": tag})
        return HttpResponse(body, content_type="application/json", headers={"ETag": tag, "Cache-Control": "no-cache"})


@lru_cache(maxsize=8)
def render_document(language: str) -> tuple[bytes, str]:
    """The document in the active language, and its ETag."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    body: bytes = OpenApiJsonRenderer().render(schema, renderer_context={})
    return body, f'"{hashlib.sha256(body).hexdigest()[:24]}"'
