"""An operator at work, in a real browser against real processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abilities.models import Ability, Task
from podi.base.models import User
from tests.abilities.conftest import png
from tests.flows.processes import Processes, wait_until

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(180),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed"),
]


@pytest.fixture
def processes(tmp_path: Path, transactional_db: None) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.kill()
    print(found.logs())


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A page of Debian's Chromium that keeps what went wrong in it. Playwright runs an event loop in this thread, which
    Django's guard against queries inside one does not know to be harmless."""
    sync_api = pytest.importorskip("playwright.sync_api")
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        found = browser.new_page(viewport={"width": 1400, "height": 900}, locale="en-US")
        found.set_default_timeout(30_000)
        found.troubles = []
        found.on("pageerror", lambda error: found.troubles.append(str(error)))
        found.on("console", lambda line: found.troubles.append(line.text) if line.type == "error" else None)
        yield found
        browser.close()


def log_in(page: Any, processes: Processes, operator: User) -> None:
    page.goto(f"{processes.url}/admin/")
    page.fill("#id_username", operator.username)
    page.fill("#id_password", "invented-password-2")
    page.click("#login-form [type=submit]")
    page.wait_for_selector(".podi-strip")


def natural_width(page: Any, selector: str) -> int:
    page.wait_for_function("(s) => document.querySelector(s)?.complete", arg=selector)
    return int(page.eval_on_selector(selector, "(image) => image.naturalWidth"))


def test_an_operator_runs_an_ability_and_sees_its_result(
    page: Any, processes: Processes, operator: User, upscale: Ability, tmp_path: Path
) -> None:
    picture = tmp_path / "design.png"
    picture.write_bytes(png(120, 80))
    processes.start("web", "worker", "poller")
    log_in(page, processes, operator)

    page.goto(f"{processes.url}/admin/abilities/ability/")
    with page.expect_websocket() as stream:
        page.click(f"a[href$='{upscale.pk}/test/']")
        page.set_input_files("input[type=file]", str(picture))
        assert natural_width(page, "[data-previews] img") == 120
        page.fill("[name=in-max_long_edge]", "48")
        page.click("[data-run]")
    assert "/api/notify/v1/stream" in stream.value.url
    page.wait_for_selector(".podi-result[data-state=succeeded]")
    assert natural_width(page, ".podi-outcome .podi-frame img") == 48
    assert "48 × 32 px" in page.inner_text(".podi-outcome")
    page.wait_for_selector(".podi-runs a:text('Use these inputs again')")

    task = Task.objects.get()
    assert (task.source, task.owner_id) == ("admin-test", operator.pk)
    page.click(".podi-outcome .podi-right")
    page.wait_for_selector(".podi-timeline rect")
    assert natural_width(page, ".podi-taskgrid .podi-frame img") == 48
    page.click("text=Use these inputs again")
    assert page.input_value("[name=in-max_long_edge]") == "48"
    assert natural_width(page, "[data-kept] img") > 0
    assert page.troubles == []


def test_a_page_follows_a_task_that_starts_later_without_being_loaded_again(
    page: Any, processes: Processes, operator: User, upscale: Ability, tmp_path: Path
) -> None:
    picture = tmp_path / "design.png"
    picture.write_bytes(png(60, 60))
    processes.start("web")
    log_in(page, processes, operator)
    page.goto(f"{processes.url}/admin/abilities/ability/{upscale.pk}/test/")
    page.set_input_files("input[type=file]", str(picture))
    page.click("[data-run]")
    page.wait_for_selector(".podi-result[data-state=queued]")
    task_id = Task.objects.get().pk
    page.goto(f"{processes.url}/admin/abilities/task/{task_id}/change/")
    assert page.is_visible("form[data-while=open]")
    processes.start("worker", "poller")
    page.wait_for_selector("#podi-live .podi-result[data-state=succeeded]")
    wait_until(lambda: not page.is_visible("form[data-while=open]"), what="the cancel button goes")
    assert page.troubles == []


def test_a_refusal_marks_its_fields_and_a_dry_run_makes_no_task(
    page: Any, processes: Processes, operator: User, upscale: Ability, tmp_path: Path
) -> None:
    picture = tmp_path / "it's a design.png"
    picture.write_bytes(png(60, 60))
    processes.start("web")
    log_in(page, processes, operator)
    page.goto(f"{processes.url}/admin/abilities/ability/{upscale.pk}/test/")
    page.fill("[name=in-max_long_edge]", "0")
    page.click("[data-run]")
    page.wait_for_selector(".podi-problem")
    assert page.locator(".podi-wrong").count() == 2
    page.fill("[name=in-max_long_edge]", "20")
    page.set_input_files("input[type=file]", str(picture))
    page.click("[data-dry]")
    page.wait_for_selector(".podi-outcome .podi-facts")
    assert page.locator(".podi-wrong").count() == 0
    curl = page.text_content("[data-curl]")
    assert '"max_long_edge": 20' in curl
    assert "base64 < 'it'\\''s a design.png'" in curl
    page.click(".podi-languages [value=zh-hans]")
    assert page.get_attribute("html", "lang") == "zh-hans"
    assert not Task.objects.exists()
