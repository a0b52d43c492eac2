"""Images that callers give: every way to be wrong has its own code, names the field, and leaves no trace."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from media import services as media
from media.models import Asset
from podi.base.errors import PodiError
from podi.base.models import User
from tests.media import pictures
from tests.media.conftest import stored_files
from tests.simulators.files import File, FileServer

pytestmark = pytest.mark.django_db(transaction=True)


def refused(value: str, code: str, *, owner: User | None = None, also_dry: bool = True) -> PodiError:
    """Taking it fails with this code and this field, in the dry run as well, and nothing is recorded."""
    before = Asset.objects.count()
    with pytest.raises(PodiError) as caught:
        media.take_input(value, owner=owner, field="imageUrl")
    assert caught.value.code == code
    assert list(caught.value.fields) == ["imageUrl"]
    assert Asset.objects.count() == before
    if also_dry:
        with pytest.raises(PodiError) as dry:
            media.check_input(value, field="imageUrl")
        assert dry.value.code == code
    return caught.value


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_an_image_behind_an_address_is_fetched_and_kept(server: FileServer, owner: User) -> None:
    data = pictures.make("JPEG")
    server.files["/shop/cup.jpg"] = File(body=data, headers={"Content-Type": "text/plain"})
    asset = media.take_input(server.url("/shop/cup.jpg?v=2"), owner=owner, field="imageUrl")
    assert (asset.kind, asset.content_type, asset.file_name) == ("input", "image/jpeg", "cup.jpg")
    with media.open_asset(asset) as file:
        assert file.read() == data


def test_a_redirect_is_followed_and_a_name_is_resolved(server: FileServer) -> None:
    server.files["/a"] = File(status=302, headers={"Location": server.url("/b")})
    server.files["/b"] = File(body=pictures.make())
    assert media.take_input(server.url("/a", host="localhost"), owner=None, field="x").width == 40


@pytest.mark.parametrize(
    "shape",
    [
        "{b}",
        "data:image/png;base64,{b}",
        "DATA:image/png;charset=utf-8;BASE64,{b}",
        "data:;base64,{b}",
        "  {b}\n",
        "{lines}",
        "{safe}",
        "{bare}",
    ],
)
def test_base64_is_taken_in_every_usual_spelling(shape: str) -> None:
    data = pictures.make(size=(37, 29))
    text = b64(data)
    lines = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    safe = base64.urlsafe_b64encode(data).decode()
    value = shape.format(b=text, lines=lines, safe=safe, bare=text.rstrip("="))
    media.check_input(value, field="image")
    assert media.take_input(value, owner=None, field="image").size_bytes == len(data)


@pytest.mark.parametrize("value", ["", "   ", "\n", None, 7, "data:image/png;base64,"])
def test_nothing_is_not_an_image(value: str) -> None:
    refused(value, "IMAGE_REQUIRED")


@pytest.mark.parametrize(
    "value", ["@@@@", "data:image/png;base64,$$$", "abc=def=", "a", "data:image/png", b64(b"x" * 40) + "!"]
)
def test_wrong_base64_is_told(value: str) -> None:
    refused(value, "IMAGE_BASE64_INVALID")


@pytest.mark.parametrize("value", ["a red cup, studio light", "a red cup", "example.com/a.png", "C:\\a b.png"])
def test_R13_a_sentence_is_not_an_image(value: str) -> None:
    assert refused(value, "IMAGE_URL_INVALID" if ":" not in value else "URL_FORBIDDEN")


@pytest.mark.parametrize("data", [b"hello world, this is text", os.urandom(300), b"<html></html>"])
def test_bytes_that_are_no_image_are_told(server: FileServer, data: bytes) -> None:
    server.files["/a.png"] = File(body=data, headers={"Content-Type": "image/png"})
    refused(b64(data), "IMAGE_NOT_READABLE")
    refused(server.url("/a.png"), "IMAGE_NOT_READABLE", also_dry=False)


def test_an_image_that_is_cut_off_is_told(server: FileServer) -> None:
    data = pictures.make(size=(200, 150))
    data = data[: len(data) // 2]
    server.files["/a.png"] = File(body=data)
    refused(b64(data), "IMAGE_TRUNCATED")
    refused(server.url("/a.png"), "IMAGE_TRUNCATED", also_dry=False)


def test_a_bomb_is_told_by_its_header(server: FileServer) -> None:
    server.files["/a.png"] = File(body=pictures.bomb())
    error = refused(b64(pictures.bomb()), "IMAGE_TOO_MANY_PIXELS")
    assert error.details["max_pixels"] == 100_000_000
    refused(server.url("/a.png"), "IMAGE_TOO_MANY_PIXELS", also_dry=False)


def test_a_format_we_do_not_take_is_told() -> None:
    refused(b64(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "IMAGE_FORMAT_UNSUPPORTED")
    refused("data:image/svg+xml,%3Csvg%3E%3C/svg%3E", "IMAGE_FORMAT_UNSUPPORTED")


def test_too_many_bytes_are_refused_declared_or_not(server: FileServer, settings: Settings) -> None:
    settings.FETCH_MAX_BYTES = 2000
    body = os.urandom(5000)
    server.files["/declared"] = File(body=body)
    server.files["/chunked"] = File(body=body, is_chunked=True)
    server.files["/undeclared"] = File(body=body, declared=-1)
    server.files["/lie"] = File(body=body, declared=999_999_999)
    for path in server.files:
        error = refused(server.url(path), "IMAGE_TOO_LARGE", also_dry=False)
        assert error.details["max_bytes"] == 2000
    refused(b64(body), "IMAGE_TOO_LARGE")
    refused("data:image/svg+xml," + "%20" * 5000, "IMAGE_TOO_LARGE")


@pytest.mark.parametrize(
    "file",
    [
        File(status=404),
        File(status=500),
        File(status=204),
        File(body=b"x" * 50, declared=5000),
        File(raw=b"garbage\r\n\r\n"),
        File(status=302, headers={"Location": "/a"}),
        File(body=b"x", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_a_download_that_fails_may_be_tried_again(server: FileServer, file: File) -> None:
    server.files["/a"] = file
    error = refused(server.url("/a"), "IMAGE_DOWNLOAD_FAILED", also_dry=False)
    assert (error.status, error.retryable) == (502, True)


def test_a_server_that_is_away_or_drips_is_a_failed_download(server: FileServer, settings: Settings) -> None:
    settings.FETCH_TIMEOUT_S = 0.3
    server.files["/a"] = File(body=pictures.make(), drip="body", drip_s=0.02)
    begun = time.monotonic()
    refused(server.url("/a"), "IMAGE_DOWNLOAD_FAILED", also_dry=False)
    refused("http://127.0.0.1:1024/a", "IMAGE_DOWNLOAD_FAILED", also_dry=False)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "value",
    [
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "http://u:p@example.com/",
        "http://example.com:25/",
        "javascript:1",
    ],
)
def test_addresses_we_do_not_go_to_are_forbidden(value: str) -> None:
    refused(value, "URL_FORBIDDEN")


def test_an_inner_address_is_forbidden_also_behind_a_name_or_a_redirect(server: FileServer, settings: Settings) -> None:
    server.files["/a"] = File(body=pictures.make())
    server.files["/away"] = File(status=302, headers={"Location": "http://10.0.0.1/a"})
    refused(server.url("/away"), "URL_FORBIDDEN", also_dry=False)
    settings.FETCH_ALLOWED_NETWORKS = []
    seen = len(server.journal)
    refused(server.url("/a"), "URL_FORBIDDEN")
    refused(server.url("/a", host="localhost"), "URL_FORBIDDEN", also_dry=False)
    assert len(server.journal) == seen


def test_an_address_that_cannot_be_read_is_invalid() -> None:
    for value in ("http://", "http://[::1", "https://exa mple.com/a.png", "http://a:99999/"):
        refused(value, "IMAGE_URL_INVALID")


def test_a_dry_run_visits_nothing_and_stores_nothing(server: FileServer, files_folder: Path) -> None:
    media.check_input(server.url("/a.png"), field="x")
    media.check_input(b64(pictures.make()), field="x")
    assert server.journal == []
    assert stored_files(files_folder) == []


def test_our_own_link_is_taken_without_http_and_only_for_own_files(owner: User, stranger: User, operator: User) -> None:
    asset = media.keep(pictures.make(), owner=owner)
    link = media.url(asset)
    media.check_input(link, field="x")
    assert media.take_input(link, owner=owner, field="x") == asset
    assert media.take_input(link, owner=operator, field="x") == asset
    refused(link, "URL_FORBIDDEN", owner=stranger, also_dry=False)
    refused(link, "URL_FORBIDDEN", owner=None, also_dry=False)


def test_our_own_link_altered_expired_or_of_no_image_is_refused(owner: User) -> None:
    asset = media.keep(pictures.make(), owner=owner)
    text = media.keep(b"words", owner=owner)
    refused(media.url(asset)[:-1] + "~", "URL_FORBIDDEN", owner=owner)
    refused(media.url(asset).partition("?")[0], "URL_FORBIDDEN", owner=owner)
    refused(media.url(asset, ttl_s=-1), "IMAGE_URL_INVALID", owner=owner)
    refused(media.url(text), "IMAGE_NOT_READABLE", owner=owner, also_dry=False)
    link = media.url(asset)
    assert media.remove_asset(asset)
    refused(link, "IMAGE_URL_INVALID", owner=owner)
