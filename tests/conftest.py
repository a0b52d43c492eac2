"""Fixtures that several apps' tests share."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django_q.brokers import get_broker

from tests.browser import find_chromium, is_required


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests need Chromium; CI sets PODI_REQUIRE_BROWSER=1, and there they run or fail."""
    if find_chromium() or is_required():
        return
    skip = pytest.mark.skip(reason="no Chromium here (Debian: apt-get install chromium)")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _empty_redis_queue() -> Iterator[None]:
    """Rings in Redis outlive the rows of a test, which are rolled back or flushed: the next one begins without them."""
    yield
    if settings.REDIS_URL:
        get_broker().delete_queue()
