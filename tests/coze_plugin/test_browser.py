"""The import dialog's view: another site's page reads the document in a real browser; and the admin's two buttons."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from abilities.models import Ability
from podi.base.models import User
from tests.flows.processes import Processes
from tests.flows.test_admin_browser import log_in, page, processes

__all__ = ["page", "processes"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

READ = """async (url) => {
  try { return Object.keys((await (await fetch(url, {credentials: 'omit'})).json()).paths) }
  catch (error) { return 'refused by the browser' }
}"""


class _OtherSite(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>another site</title>")

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def other_site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _OtherSite)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_another_sites_page_reads_the_document_where_an_operator_allows_it(
    page: Any,
    processes: Processes,
    operator: User,
    upscale: Ability,
    other_site: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COZE_DOCUMENT_ORIGINS", other_site)
    processes.start("web")
    document = f"{processes.url}/api/coze/podi/openapi.json"
    page.goto(other_site)
    assert "/api/coze/podi/tools/podi/upscale_resize" in page.evaluate(READ, document)
    page.goto(other_site.replace("127.0.0.1", "localhost"))
    assert page.evaluate(READ, document) == "refused by the browser"

    page.troubles.clear()
    log_in(page, processes, operator)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{processes.url}/admin/coze_plugin/tool/")
    page.click(".coze-main [data-coze-copy]")
    assert page.evaluate("navigator.clipboard.readText()") == document
    page.click("[data-coze-check]")
    page.wait_for_selector("[data-coze-outcome].podi-is-succeeded")
    assert "3" in page.inner_text("[data-coze-outcome]")
    page.click(".podi-toggle.podi-is-active")
    page.wait_for_selector(".podi-toggle.podi-is-inactive")
    for number in range(1, 6):
        assert page.eval_on_selector(
            f"img[src*='step-{number}']", "(i) => { i.loading = 'eager'; return i.decode().then(() => i.naturalWidth) }"
        )
    assert page.troubles == []
