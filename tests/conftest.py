"""Fixtures that several apps' tests share."""

import pytest

from tests.browser import find_chromium, is_required


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests need Chromium; CI sets PODI_REQUIRE_BROWSER=1, and there they run or fail."""
    if find_chromium() or is_required():
        return
    skip = pytest.mark.skip(reason="no Chromium here (Debian: apt-get install chromium)")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(skip)
