"""`manage.py check` speaks up about settings that are allowed but dangerous."""

from __future__ import annotations

from typing import Any

import pytest

from podi.base.checks import check_access_settings, is_private_host

SAFE = {
    "PUBLIC_URL": "https://podi.example.com",
    "DEBUG": False,
    "ALLOWED_HOSTS": ["podi.example.com"],
    "TRUSTED_PROXIES": ["127.0.0.1"],
    "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SERVICE_API_TOKEN": "invented-service-token-that-is-long-enough",
}


@pytest.mark.parametrize(
    ("change", "ids"),
    [
        ({}, []),
        ({"PUBLIC_URL": "podi.example.com"}, ["podi.E011"]),
        ({"DEBUG": True}, ["podi.E012"]),
        ({"ALLOWED_HOSTS": ["*"]}, ["podi.W011"]),
        ({"PUBLIC_URL": "http://podi.example.com"}, ["podi.W012"]),
        ({"SECURE_PROXY_SSL_HEADER": None}, ["podi.W013"]),
        ({"SESSION_COOKIE_SECURE": False}, ["podi.W014"]),
        ({"TRUSTED_PROXIES": ["nginx"]}, ["podi.E013"]),
        ({"TRUSTED_PROXIES": ["0.0.0.0/0"]}, ["podi.E014"]),
        ({"SERVICE_API_TOKEN": "short"}, ["podi.W015"]),
        ({"SECRET_KEY": "same" * 9, "JWT_SECRET_KEY": "same" * 9}, ["podi.E015"]),
        ({"PUBLIC_URL": "http://localhost:8099", "DEBUG": True, "ALLOWED_HOSTS": ["*"]}, []),
    ],
)
def test_each_danger_has_its_id(settings: Any, change: dict[str, Any], ids: list[str]) -> None:
    for name, value in {**SAFE, **change}.items():
        setattr(settings, name, value)
    assert [message.id for message in check_access_settings(None)] == ids


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("10.1.2.3", True),
        ("::1", True),
        ("podi.lan", True),
        ("8.8.8.8", False),
        ("a.example.com", False),
    ],
)
def test_private_hosts_are_known(host: str, expected: bool) -> None:
    assert is_private_host(host) is expected
