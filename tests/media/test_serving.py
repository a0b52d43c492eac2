"""Links to kept files, and what is served behind them."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import AsyncClient, Client
from django.utils import timezone
from pytest_django import Settings

from media import services as media
from media.links import make_link
from media.models import Asset
from podi.base.models import User
from tests.media import pictures

pytestmark = pytest.mark.django_db(transaction=True)


def local(url: str) -> str:
    """The path and query of an absolute link, as the test client wants them."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def body(response: object) -> bytes:
    return b"".join(response.streaming_content)  # type: ignore[attr-defined]


@pytest.fixture
def asset(owner: User) -> Asset:
    return media.keep(pictures.make(size=(300, 200)), owner=owner, file_name="红 cup.png")


def test_a_link_serves_the_file_with_all_that_belongs_to_it(client: Client, asset: Asset) -> None:
    response = client.get(local(media.url(asset, ttl_s=600)))
    with media.open_asset(asset) as file:
        assert body(response) == file.read()
    headers = response.headers
    assert response.status_code == 200
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Length"] == str(asset.size_bytes)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["ETag"] == f'"{asset.sha256}"'
    assert headers["Cache-Control"].startswith("private, max-age=5")
    assert headers["Content-Disposition"] == "inline; filename*=utf-8''%E7%BA%A2%20cup.png"
    assert headers["Accept-Ranges"] == "bytes"


def test_R22_a_link_is_absolute_and_made_anew_at_every_read(asset: Asset, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://podi.example"
    first = media.url(asset, ttl_s=600)
    assert first.startswith(f"https://podi.example/files/{asset.object_key}?expires=")
    expires = int(parse_qs(urlsplit(first).query)["expires"][0])
    assert abs(expires - timezone.now().timestamp() - 600) < 3
    assert media.own_asset_of_url(first) == asset
    settings.PUBLIC_URL = "https://moved.example"
    assert media.url(asset).startswith("https://moved.example/files/")
    assert media.own_asset_of_url(first) is None


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC", "America/Los_Angeles"])
def test_R22_expiry_does_not_depend_on_the_time_zone(
    client: Client, asset: Asset, settings: Settings, zone: str
) -> None:
    settings.TIME_ZONE = zone
    settings.USE_TZ = True
    with timezone.override(zone):
        assert client.get(local(media.url(asset, ttl_s=60))).status_code == 200
        assert client.get(local(media.url(asset, ttl_s=-1))).status_code == 410


def test_R22_an_expired_link_is_refused_and_a_new_one_works(client: Client, asset: Asset) -> None:
    old = make_link(asset.object_key, ttl_s=300, now=timezone.now() - timedelta(seconds=301))
    response = client.get(local(old))
    assert (response.status_code, response.json()["detail"]) == (410, "FILE_LINK_EXPIRED")
    assert response.headers["Cache-Control"] == "no-store"
    assert client.get(local(media.url(asset))).status_code == 200


def test_an_altered_link_is_refused(client: Client, asset: Asset, stranger: User) -> None:
    other = media.keep(pictures.make(seed=9), owner=stranger)
    good = local(media.url(asset, ttl_s=600))
    path, query = good.split("?")
    values = {name: found[0] for name, found in parse_qs(query).items()}
    wrong = [
        path,
        f"{path}?expires={values['expires']}",
        f"{path}?signature={values['signature']}",
        f"{path}?expires={int(values['expires']) + 1}&signature={values['signature']}",
        f"{path}?expires=0{values['expires']}&signature={values['signature']}",
        f"{path}?expires={values['expires']}&signature={values['signature'][:-1]}x",
        f"{path}?expires={values['expires']}&signature=",
        f"{path}?expires=never&signature={values['signature']}",
        f"/files/{other.object_key}?{query}",
        f"/files/{asset.object_key}x?{query}",
    ]
    for address in wrong:
        response = client.get(address)
        assert (response.status_code, response.json()["detail"]) == (403, "FILE_LINK_INVALID"), address


@pytest.mark.parametrize(
    "key", ["../secret", "uploads/../../secret", "/etc/passwd", "uploads//x", ".unfinished/x", "a\\b", "a\nb", "x/./y"]
)
def test_a_signed_key_that_leads_out_of_the_store_is_still_no_file(
    client: Client, files_folder: Path, key: str
) -> None:
    files_folder.mkdir(parents=True)
    (files_folder.parent / "secret").write_text("secret")
    response = client.get(local(make_link(key, ttl_s=60, now=timezone.now())))
    assert response.status_code in (403, 404)
    Asset.objects.create(object_key=key, sha256="0" * 64, size_bytes=6, content_type="text/plain")
    response = client.get(local(make_link(key, ttl_s=60, now=timezone.now())))
    assert response.status_code in (403, 404, 503)
    assert b"secret" not in response.content


def test_a_link_inside_the_store_that_leads_out_is_not_followed(client: Client, files_folder: Path) -> None:
    files_folder.mkdir(parents=True)
    (files_folder.parent / "secret").write_text("secret")
    (files_folder / "way").symlink_to(files_folder.parent / "secret")
    Asset.objects.create(object_key="way", sha256="0" * 64, size_bytes=6, content_type="text/plain")
    assert client.get(local(make_link("way", ttl_s=60, now=timezone.now()))).status_code == 503


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        ("bytes=0-99", 206, 0, 99),
        ("bytes=100-", 206, 100, 999),
        ("bytes=-10", 206, 990, 999),
        ("bytes=990-5000", 206, 990, 999),
        ("bytes=-5000", 206, 0, 999),
        ("bytes=5-1", 200, 0, 999),
        ("bytes=0-1,5-6", 200, 0, 999),
        ("lines=0-1", 200, 0, 999),
        ("bytes=-", 200, 0, 999),
    ],
)
def test_a_part_of_a_file_is_served(client: Client, header: str, status: int, start: int, end: int) -> None:
    data = os.urandom(1000)
    asset = media.keep(data, owner=None)
    response = client.get(local(media.url(asset)), headers={"range": header})
    assert (response.status_code, body(response)) == (status, data[start : end + 1])
    assert response.headers["Content-Length"] == str(end - start + 1)
    assert response.headers.get("Content-Range") == (f"bytes {start}-{end}/1000" if status == 206 else None)


def test_a_part_outside_the_file_and_a_part_of_another_version(client: Client) -> None:
    asset = media.keep(os.urandom(1000), owner=None)
    address = local(media.url(asset))
    response = client.get(address, headers={"range": "bytes=1000-"})
    assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */1000")
    assert client.get(address, headers={"range": "bytes=-0"}).status_code == 416
    changed = {"range": "bytes=0-1", "if-range": '"another"'}
    assert client.get(address, headers=changed).status_code == 200


def test_a_file_the_client_has_is_not_sent_again(client: Client, asset: Asset) -> None:
    response = client.get(local(media.url(asset)), headers={"if-none-match": f'W/"{asset.sha256}"'})
    assert (response.status_code, response.content) == (304, b"")


def test_head_tells_the_size_and_other_methods_are_refused(client: Client, asset: Asset) -> None:
    response = client.head(local(media.url(asset)))
    assert (response.status_code, response.headers["Content-Length"]) == (200, str(asset.size_bytes))
    assert client.post(local(media.url(asset))).status_code == 405


@pytest.mark.parametrize(
    ("data", "inline", "content_type"),
    [
        (pictures.make("JPEG"), True, "image/jpeg"),
        (b"words", True, "text/plain; charset=utf-8"),
        (b"<html><script>alert(1)</script></html>", False, "text/html; charset=utf-8"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", False, "image/svg+xml"),
        (b"PK\x03\x04" + bytes(30), False, "application/zip"),
    ],
)
def test_what_could_carry_a_script_is_only_offered_for_saving(
    client: Client, data: bytes, inline: bool, content_type: str
) -> None:
    response = client.get(local(media.url(media.keep(data, owner=None, file_name='a"b;c.exe'))))
    assert response.headers["Content-Disposition"].startswith("inline" if inline else "attachment")
    assert response.headers["Content-Type"] == content_type
    assert ".exe" not in response.headers["Content-Disposition"]


def test_a_file_that_is_gone_or_damaged_is_said_to_be(client: Client, asset: Asset, files_folder: Path) -> None:
    path = files_folder / asset.object_key
    path.write_bytes(path.read_bytes()[:100])
    assert client.get(local(media.url(asset))).json()["detail"] == "ASSET_FILE_MISSING"
    path.unlink()
    assert client.get(local(media.url(asset))).status_code == 503


async def test_under_asgi_a_file_is_streamed_and_not_gathered(async_client: AsyncClient) -> None:
    from asgiref.sync import sync_to_async

    data = os.urandom(1_000_000)
    asset = await sync_to_async(media.keep)(data, owner=None)
    link = local(await sync_to_async(media.url)(asset))
    response = await async_client.get(link, headers={"range": "bytes=10-"})
    assert response.is_async
    chunks = [chunk async for chunk in response.streaming_content]
    assert len(chunks) > 2
    assert b"".join(chunks) == data[10:]


def test_nginx_may_do_the_sending(client: Client, asset: Asset, settings: Settings) -> None:
    settings.FILES_ACCEL_PREFIX = "/_files/"
    response = client.get(local(media.url(asset)))
    assert response.headers["X-Accel-Redirect"] == f"/_files/{asset.object_key}"
    assert (response.content, response.headers["Content-Type"]) == (b"", "image/png")


def test_a_changed_secret_key_keeps_open_links_where_told(client: Client, asset: Asset, settings: Settings) -> None:
    link = local(media.url(asset))
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-invented-secret-key-of-enough-length"
    assert client.get(link).status_code == 403
    settings.SECRET_KEY_FALLBACKS = [old]
    assert client.get(link).status_code == 200
