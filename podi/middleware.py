"""Django's middleware for pages, out of the way of the API.

A call under /api/ is authenticated by its token and answers JSON: it needs no session, CSRF token, message or static
file, and under ASGI each of these costs a hop to a thread. For pages everything is as in Django.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import translation
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware

API_PREFIX: Final = "/api/"
Handler = Callable[[HttpRequest], Any]


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_PREFIX)


@sync_and_async_middleware
def api_middleware(get_response: Handler) -> Handler:
    """What the API keeps of all of them: the caller's language for messages, and no sniffing of content types."""
    if iscoroutinefunction(get_response):
        handler: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            if not is_api(request):
                return await handler(request)
            with translation.override(translation.get_language_from_request(request)):
                return _finish(await handler(request))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        if not is_api(request):
            response = get_response(request)
            return response
        with translation.override(translation.get_language_from_request(request)):
            response = get_response(request)
        return _finish(response)

    return answer


def _finish(response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


class PagesOnly:
    """Mixed in before a middleware of Django's: a call of the API goes straight on, without a thread."""

    get_response: Handler

    def __call__(self, request: HttpRequest) -> Any:
        if is_api(request):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class PageSecurity(PagesOnly, SecurityMiddleware):
    pass


class PageSession(PagesOnly, SessionMiddleware):
    pass


class PageLocale(PagesOnly, LocaleMiddleware):
    pass


class PageCommon(PagesOnly, CommonMiddleware):
    pass


class PageCsrf(PagesOnly, CsrfViewMiddleware):
    """Its look at the view is a hook of its own, which Django would also run in a thread."""

    def __init__(self, get_response: Handler) -> None:
        super().__init__(get_response)
        look = super().process_view

        def process_view(request: HttpRequest, *arguments: Any) -> Any:
            return None if is_api(request) else look(request, *arguments)

        async def process_view_async(request: HttpRequest, *arguments: Any) -> Any:
            return None if is_api(request) else await sync_to_async(look, thread_sensitive=True)(request, *arguments)

        hook: Any = process_view_async if iscoroutinefunction(get_response) else process_view
        self.process_view = hook  # type: ignore[method-assign]


class PageAuthentication(PagesOnly, AuthenticationMiddleware):
    pass


class PageMessages(PagesOnly, MessageMiddleware):
    pass


class PageFrames(PagesOnly, XFrameOptionsMiddleware):
    pass


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise knows no async and would make everything inside it synchronous; this one steps aside instead."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        super().__init__(get_response)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if not request.path_info.startswith(self.static_prefix):
            return self.get_response(request)
        return self._serve_async(request) if self._is_async else super().__call__(request)

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        found = self.find_file if self.autorefresh else self.files.get
        static_file = await sync_to_async(found, thread_sensitive=False)(request.path_info)
        if static_file is None:
            answer: HttpResponseBase = await self.get_response(request)
            return answer
        return await sync_to_async(_read_static, thread_sensitive=False)(static_file, request)


def _read_static(static_file: Any, request: HttpRequest) -> HttpResponse:
    """Whole, since a synchronous stream cannot be sent asynchronously; the largest of them is two megabytes."""
    found = static_file.get_response(request.method, request.META)
    body = b""
    if found.file is not None:
        with found.file as file:
            body = file.read()
    response = HttpResponse(body, status=int(found.status))
    del response["content-type"]
    for key, value in found.headers:
        response[key] = value
    return response
