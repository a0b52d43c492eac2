"""Addresses of events and deliveries; the stream's is in `podi/asgi.py`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from podi.events.api import views

_notify: list[URLPattern | URLResolver] = [
    path("event", views.DebugEventView.as_view()),
    path("events", views.EventsView.as_view()),
    path("deliveries", views.DeliveriesView.as_view()),
    path("deliveries/<str:delivery_id>/resend", views.ResendView.as_view()),
    path("webhook-secret", views.WebhookSecretView.as_view()),
]
urlpatterns: list[URLPattern | URLResolver] = [path("api/notify/v1/", include(_notify))]
