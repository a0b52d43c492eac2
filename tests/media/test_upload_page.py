"""The upload page in a real browser: by our own address, and straight into a simulated bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from media.models import Asset, Upload
from podi.base.models import User
from tests.flows.conftest import operator as desk_operator
from tests.flows.processes import Processes
from tests.flows.test_admin_browser import log_in, page, processes
from tests.media import pictures
from tests.simulators.oss import OssServer
from tests.simulators.sts import ROLE, StsServer

__all__ = ["desk_operator", "page", "processes"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]
PAGE = "/admin/media/asset/upload/"


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def upload(page: Any, address: str, *files: Path) -> None:
    page.goto(address + PAGE)
    page.set_input_files("#podi-upload input[type=file]", [str(file) for file in files])
    page.click("#podi-upload [type=submit]")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    good, bad = tmp_path / "cup.png", tmp_path / "bad.png"
    good.write_bytes(pictures.make(size=(64, 48)))
    bad.write_bytes(pictures.make()[:200])
    return [good, bad]


@pytest.mark.browser
def test_a_browser_uploads_to_our_own_address(
    page: Any, processes: Processes, desk_operator: User, files: list[Path]
) -> None:
    processes.start("web")
    log_in(page, processes, desk_operator)
    page.troubles.clear()
    upload(page, processes.url, *files)
    page.wait_for_selector("#podi-uploads [data-object-key]")
    page.wait_for_selector("#podi-uploads .podi-error")
    assert "64 × 48" in page.inner_text("#podi-uploads [data-object-key]")
    assert "UPLOAD_NOT_READABLE" in page.inner_text("#podi-uploads .podi-error")
    asset = Asset.objects.get()
    assert (asset.owner_id, asset.kind, asset.file_name) == (desk_operator.pk, "upload", "cup.png")
    assert [line for line in page.troubles if "400" not in line] == []


@pytest.mark.browser
@pytest.mark.parametrize("role", ["", ROLE])
def test_a_browser_uploads_straight_into_the_bucket(
    page: Any,
    processes: Processes,
    desk_operator: User,
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    role: str,
) -> None:
    with OssServer() as oss, StsServer(oss) as sts:
        environment(
            monkeypatch,
            OSS_ENDPOINT=oss.endpoint,
            OSS_BUCKET=oss.bucket,
            OSS_AK=oss.root.key_id,
            OSS_SK=oss.root.secret,
            OSS_ROLE_ARN=role,
            OSS_STS_ENDPOINT=sts.endpoint,
            OSS_CALLBACK_HOST=processes.url,
            OSS_CALLBACK_KEY_URLS=oss.endpoint + "/",
        )
        processes.start("web")
        log_in(page, processes, desk_operator)
        upload(page, processes.url, files[0])
        page.wait_for_selector("#podi-uploads [data-object-key]")
        assert [status for status, _ in oss.callbacks] == [200]
        found = Upload.objects.get()
        assert (found.state, found.method) == ("kept", "sts" if role else "form")
        assert oss.objects[found.object_key].data == files[0].read_bytes()
        assert page.troubles == []


def test_the_page_is_for_operators(client: Client, owner: User, operator: User) -> None:
    client.force_login(owner)
    for path in (PAGE, PAGE + "key/", PAGE + "result/"):
        assert client.post(path).status_code == 302
    client.force_login(operator)
    assert client.get(PAGE).status_code == 200
    assert PAGE.encode() in client.get("/admin/media/asset/").content
    assert client.get(PAGE + "key/").status_code == 405
    answer = client.post(PAGE + "result/", {"objectKey": "uploads/none.png"})
    assert (answer.status_code, answer.json()["detail"]) == (403, "MEDIA_DOWNLOAD_DENIED")
