"""The ASGI application: HTTP by Django, WebSockets by Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "podi.settings")
http_application = get_asgi_application()  # first: it sets Django up, and the consumers need the models

from podi.api_handler import answer_api_first  # noqa: E402
from podi.backpressure import hold_back  # noqa: E402
from podi.events.consumers import EventStream, NoSuchStream  # noqa: E402
from podi.health import answer_health_first  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": hold_back(answer_health_first(answer_api_first(http_application))),
        "websocket": SessionMiddlewareStack(
            URLRouter([path("api/notify/v1/stream", EventStream.as_asgi()), re_path("", NoSuchStream.as_asgi())])
        ),
    }
)
