"""Recording facts: with the change or not at all, in few queries; and what a callback may be."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from podi.base.errors import PodiError, UrlForbidden
from podi.events import services
from podi.events.errors import CallbackHeadersInvalid, CallbackUrlInvalid
from podi.events.models import Delivery, Event
from tests.events.facts import fact, record, user


@pytest.mark.django_db(transaction=True)
def test_a_fact_is_refused_outside_a_transaction() -> None:
    with pytest.raises(RuntimeError):
        services.record(fact())
    with pytest.raises(RuntimeError):
        services.record_all([fact()])
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_a_fact_is_one_query_and_two_with_a_callback(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    owner = user()
    with django_assert_num_queries(1):
        services.record(fact(owner, taskId="a"))
    with django_assert_num_queries(2):
        services.record(fact(owner, callback=services.Callback(url="http://127.0.0.1/x")))
    with django_assert_num_queries(1):
        services.record_all([fact(owner, taskId=str(number)) for number in range(50)])


@pytest.mark.django_db
def test_many_facts_take_no_callbacks() -> None:
    with pytest.raises(ValueError, match="record"):
        services.record_all([fact(), fact(callback=services.Callback(url="http://127.0.0.1/x"))])
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_the_history_of_a_subject_is_in_order() -> None:
    first, _other, second = record(taskId="a", n=1), record(taskId="b"), record(taskId="a", n=2)
    assert list(services.history(("task", "a"))) == [first, second]


@pytest.mark.django_db(transaction=True)
def test_recording_does_not_fail_when_the_channel_layer_is_dead(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    with transaction.atomic():
        services.record(fact())
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("", CallbackUrlInvalid),
        ("not an address", CallbackUrlInvalid),
        ("/hook", CallbackUrlInvalid),
        ("ftp://shop.example/hook", CallbackUrlInvalid),
        ("javascript:alert(1)", CallbackUrlInvalid),
        ("http://", CallbackUrlInvalid),
        ("http://user:pass@shop.example/hook", CallbackUrlInvalid),
        ("http://shop.example:99999/", CallbackUrlInvalid),
        ("http://shop.example/a b", CallbackUrlInvalid),
        ("http://shop.example/\r\nX: y", CallbackUrlInvalid),
        ("https://shop.example/" + "x" * 500, CallbackUrlInvalid),
        ("http://10.0.0.1/hook", UrlForbidden),
        ("http://169.254.169.254/latest", UrlForbidden),
        ("http://[::1]/hook", UrlForbidden),
        ("http://[::ffff:10.0.0.1]/hook", UrlForbidden),
        ("http://0.0.0.0/", UrlForbidden),
        ("http://shop.example:25/", UrlForbidden),
    ],
)
def test_an_unusable_callback_address_is_refused(url: str, error: type[PodiError]) -> None:
    with pytest.raises(error):
        services.check_callback(url, {})


def test_loopback_is_refused_unless_it_was_opened(settings: Any) -> None:
    services.check_callback("http://127.0.0.1:8000/hook", {})  # opened for the tests
    settings.FETCH_ALLOWED_NETWORKS = []
    for url in ("http://127.0.0.1:8000/hook", "http://localhost/hook"):
        with pytest.raises(UrlForbidden):
            services.check_callback(url, {})


def test_a_usable_callback_passes() -> None:
    services.check_callback("https://shop.example/hook?order=7", {"Authorization": "Bearer invented", "X-Shop-Id": "7"})


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-id": "x"},
        {"Webhook-Signature": "x"},
        {"Host": "elsewhere"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Type": "text/plain"},
        {"bad name": "x"},
        {"": "x"},
        {"X-Line": "a\r\nX-Injected: b"},
        {"X-Text": "名"},
        {"X-Number": 7},
        {"X-Long": "x" * 2000},
        {f"X-{number}": "x" for number in range(21)},
        {f"X-{number}": "x" * 1000 for number in range(5)},
    ],
)
def test_unusable_callback_headers_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(CallbackHeadersInvalid):
        services.check_callback("https://shop.example/hook", headers)
