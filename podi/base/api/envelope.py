"""The one shape of every refusal: `{"detail": CODE, "message", "retryable", "fields", "requestId", ...details}`."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from django.core import exceptions as django_errors
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions as drf_errors
from rest_framework.response import Response
from rest_framework.views import set_rollback

from podi.base import errors
from podi.base.api.request_id import read_request_id
from podi.base.phrases import tell, tell_all

log = logging.getLogger(__name__)

API_PREFIX: Final = "/api/"
_SIMPLE: Final[tuple[tuple[type[Exception], type[errors.PodiError]], ...]] = (
    (drf_errors.ParseError, errors.MalformedJson),
    (drf_errors.NotAuthenticated, errors.AuthorizationRequired),
    (drf_errors.AuthenticationFailed, errors.InvalidToken),
    (drf_errors.PermissionDenied, errors.Forbidden),
    (drf_errors.NotFound, errors.NotFound),
    (drf_errors.MethodNotAllowed, errors.MethodNotAllowed),
    (drf_errors.NotAcceptable, errors.NotAcceptable),
    (drf_errors.UnsupportedMediaType, errors.UnsupportedMediaType),
    (Http404, errors.NotFound),
    (django_errors.PermissionDenied, errors.Forbidden),
    (django_errors.RequestDataTooBig, errors.PayloadTooLarge),
    (django_errors.BadRequest, errors.BadRequest),
    (django_errors.SuspiciousOperation, errors.BadRequest),
    (drf_errors.APIException, errors.BadRequest),
)


def handle(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler. What nobody expected is logged with its request id and answered as INTERNAL_ERROR."""
    request = context["request"]
    error = translate(exc)
    if error is None:
        log.error("unexpected error, request %s", read_request_id(request), exc_info=exc)
        got_request_exception.send(sender=handle, request=request._request)  # test clients and error reporters listen
        error = errors.PodiError()
    set_rollback()
    return Response(body(error, request_id=read_request_id(request)), status=error.status, headers=headers(error))


def answer(error: errors.PodiError, *, request: HttpRequest) -> JsonResponse:
    """The same answer for a view that is not DRF's."""
    return JsonResponse(body(error, request_id=read_request_id(request)), status=error.status, headers=headers(error))


def body(error: errors.PodiError, *, request_id: str) -> dict[str, Any]:
    """The wire form of an error; also what a WebSocket or a batch answer puts inside itself."""
    return {
        **{_camel(key): value for key, value in error.details.items()},
        "detail": error.detail,
        "message": tell(error.text),
        "retryable": error.retryable,
        "fields": tell_all(error.fields),
        "requestId": request_id,
    }


def headers(error: errors.PodiError) -> dict[str, str]:
    sent = {}
    if error.retry_after_s is not None:
        sent["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 401:
        sent["WWW-Authenticate"] = 'Bearer realm="podi"'
    return sent


def translate(exc: Exception) -> errors.PodiError | None:
    """A PodiError for what Django and DRF raise; None for what nobody expected."""
    if isinstance(exc, errors.PodiError):
        return exc
    if isinstance(exc, drf_errors.ValidationError):
        return errors.InvalidInput(fields=dict(_flatten(exc.detail)))
    if isinstance(exc, drf_errors.Throttled):
        return errors.RateLimited(retry_after_s=getattr(exc, "wait", None))
    for theirs, ours in _SIMPLE:
        if isinstance(exc, theirs):
            return ours()
    return None


def _flatten(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """DRF's nested messages as `field.inner.0 -> sentence`; what belongs to no field is under `body`."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from _flatten(inner, ".".join(part for part in (path, name) if part))
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        for index, inner in enumerate(detail):
            yield from _flatten(inner, f"{path}.{index}" if path else str(index))
    elif isinstance(detail, list):
        yield path or "body", " ".join(map(str, detail))
    else:
        yield path or "body", str(detail)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


@csrf_exempt
def unknown_path(request: HttpRequest) -> HttpResponse:
    """The last route under /api/: nothing here."""
    return answer(errors.NotFound(), request=request)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return answer(errors.NotFound(), request=request)
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return answer(errors.PodiError(), request=request)
    return defaults.server_error(request)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return answer(translate(exception) or errors.BadRequest(), request=request)
    return defaults.bad_request(request, exception)
