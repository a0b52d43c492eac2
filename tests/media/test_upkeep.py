"""Signed downloads by key, retention, the storage folder, the admin, the commands."""

from __future__ import annotations

import io
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from pytest_django.live_server_helper import LiveServer
from rest_framework_simplejwt.tokens import AccessToken

from abilities.models import TaskAsset
from media import services as media
from media.models import Asset
from media.storage.base import KeyForbidden, NoSuchFile
from media.storage.local import LocalStorage
from podi.base.models import User
from tests.media import pictures
from tests.media.conftest import stored_files

pytestmark = pytest.mark.django_db(transaction=True)
DOWNLOAD = "/api/media/v1/signed-download"


def ask(client: Client, user: User | None, **body: object) -> tuple[int, dict[str, object]]:
    headers = {"authorization": f"Bearer {AccessToken.for_user(user)}"} if user else {}
    response = client.post(DOWNLOAD, body, content_type="application/json", headers=headers)
    return response.status_code, response.json()


def test_R22_a_signed_download_is_really_signed_and_works(client: Client, owner: User) -> None:
    asset = media.keep(pictures.make(), owner=owner)
    status, answer = ask(client, owner, objectKey=asset.object_key, ttl=60)
    assert status == 200
    assert list(answer) == ["url"]
    assert media.own_asset_of_url(str(answer["url"])) == asset


def test_a_signed_download_is_for_own_files_and_for_operators(
    client: Client, owner: User, stranger: User, operator: User
) -> None:
    asset = media.keep(pictures.make(), owner=owner)
    assert ask(client, None, objectKey=asset.object_key)[0] == 401
    status, answer = ask(client, stranger, objectKey=asset.object_key)
    assert (status, answer["detail"]) == (403, "MEDIA_DOWNLOAD_DENIED")
    assert ask(client, stranger, objectKey="uploads/nobody/x.png")[1]["detail"] == "MEDIA_DOWNLOAD_DENIED"
    assert ask(client, operator, objectKey=asset.object_key)[0] == 200


def test_a_signed_download_checks_its_fields(client: Client, owner: User) -> None:
    status, answer = ask(client, owner, objectKey="  ")
    assert (status, answer["detail"]) == (400, "objectKey is required")
    for ttl in (59, 3601, "soon"):
        status, answer = ask(client, owner, objectKey="x", ttl=ttl)
        assert (status, list(answer["fields"])) == (422, ["ttl"])  # type: ignore[call-overload]


def age(asset: Asset, *, days: int) -> None:
    Asset.objects.filter(pk=asset.pk).update(last_used_at=timezone.now() - timedelta(days=days))


def test_what_nobody_used_goes_and_what_is_used_again_stays(owner: User, files_folder: Path) -> None:
    data = [pictures.make(seed=seed) for seed in range(4)]
    fresh, old, again, check = (media.keep(each, owner=owner) for each in data)
    Asset.objects.filter(pk=check.pk).update(kind="check")
    for asset in (old, again, check):
        age(asset, days=30)
    media.thumbnail(old)
    assert media.keep(data[2], owner=owner) == again
    assert media.sweep(timezone.now()).unused == 1
    assert set(Asset.objects.all()) == {fresh, again, check}
    assert len(stored_files(files_folder)) == 3


def test_what_a_task_refers_to_is_never_removed(owner: User, task_of: object) -> None:
    asset = media.keep(pictures.make(), owner=owner)
    TaskAsset.objects.create(task=task_of(owner), asset=asset, asset_type="output")  # type: ignore[operator]
    age(asset, days=300)
    assert media.remove_unused(timezone.now()) == 0
    assert not media.remove_asset(asset)
    with media.open_asset(asset) as file:
        assert file.read(4) == b"\x89PNG"


@pytest.fixture
def task_of() -> object:
    from abilities.models import Ability, Task

    def make(owner: User) -> Task:
        ability = Ability.objects.create(id="podi_probe", provider="podi", capability_key="probe", display_name="Probe")
        now = timezone.now()
        return Task.objects.create(ability=ability, owner=owner, provider="podi", created_at=now, deadline_at=now)

    return make


def test_files_without_a_row_are_reported_and_removed_only_on_demand(files_folder: Path) -> None:
    known = media.keep(pictures.make(), owner=None)
    orphan = files_folder / "uploads" / "x" / "lost.png"
    young = files_folder / "uploads" / "x" / "young.png"
    orphan.parent.mkdir(parents=True)
    for path in (orphan, young):
        path.write_bytes(b"x")
    long_ago = time.time() - 3 * 86400
    os.utime(orphan, (long_ago, long_ago))
    os.utime(files_folder / known.object_key, (long_ago, long_ago))
    out = io.StringIO()
    call_command("sweep_media", stdout=out)
    assert "orphan: uploads/x/lost.png" in out.getvalue()
    assert [file.key for file in media.find_orphans(timezone.now())] == ["uploads/x/lost.png"]
    assert orphan.exists()
    call_command("sweep_media", "--delete-orphans", stdout=out)
    assert not orphan.exists()
    assert young.exists()
    assert (files_folder / known.object_key).exists()


def test_drafts_of_broken_off_writes_are_swept(files_folder: Path) -> None:
    drafts = files_folder / ".unfinished"
    drafts.mkdir(parents=True)
    (drafts / "old").write_bytes(b"x")
    (drafts / "new").write_bytes(b"x")
    os.utime(drafts / "old", (time.time() - 86400,) * 2)
    assert media.sweep(timezone.now()).unfinished == 1
    assert [path.name for path in drafts.iterdir()] == ["new"]


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "../a", "a/../b", ".a/b", "a/.b", "a\\b", "a\0b", "a" * 600, "way/out"]
)
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "way").symlink_to(tmp_path)
    storage = LocalStorage(tmp_path / "root")
    for attempt in (storage.open, storage.stat, storage.delete, lambda key: storage.write(key, [b"x"])):
        with pytest.raises(KeyForbidden):
            attempt(key)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "out").exists()


def test_a_file_is_replaced_in_one_step_and_listed_and_deleted(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("a/b.txt", [b"one"])
    with storage.open("a/b.txt") as before:
        storage.write("a/b.txt", [b"three"])
        assert before.read() == b"one"
    assert [(file.key, file.size_bytes) for file in storage.iter_files("a/")] == [("a/b.txt", 5)]
    storage.delete("a/b.txt")
    storage.delete("a/b.txt")
    assert storage.stat("a/b.txt") is None
    with pytest.raises(NoSuchFile):
        storage.open("a")


def test_the_admin_shows_files_and_lets_nobody_edit_them(
    client: Client, operator: User, owner: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    assets = [media.keep(pictures.make(seed=seed), owner=owner, file_name="cup.png") for seed in range(5)]
    media.keep(b"words", owner=owner)
    address = f"/admin/media/asset/{assets[0].pk}/"
    assert client.get(f"{address[:-1]}/thumbnail").status_code == 302
    client.force_login(operator)
    with django_assert_max_num_queries(8):
        page = client.get("/admin/media/asset/")
    assert page.status_code == 200
    assert "40×30" in page.content.decode().replace("\u00a0", "").replace(" ", "")
    assert client.get("/admin/media/asset/", {"q": "cup", "content": "image/"}).status_code == 200
    detail = client.get(f"{address}change/")
    assert detail.status_code == 200
    assert b"/files/uploads/" in detail.content
    assert client.post(f"{address}change/", {"kind": "x"}).status_code == 403
    assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/media/asset/add/").status_code == 403


def test_thumbnails_are_for_staff_and_made_once(
    client: Client, operator: User, owner: User, files_folder: Path
) -> None:
    asset = media.keep(pictures.make(size=(600, 400)), owner=owner)
    address = f"/admin/media/asset/{asset.pk}/thumbnail"
    client.force_login(owner)
    assert client.get(address).status_code == 302
    client.force_login(operator)
    first = client.get(address)
    assert (first.status_code, first.headers["Content-Type"]) == (200, "image/webp")
    (files_folder / asset.object_key).unlink()
    assert client.get(address).content == first.content
    text = media.keep(b"words", owner=owner)
    assert client.get(f"/admin/media/asset/{text.pk}/thumbnail").status_code == 404


def test_the_doctor_fetches_a_link_from_outside(live_server: LiveServer, settings: Settings) -> None:
    out = io.StringIO()
    settings.PUBLIC_URL = live_server.url
    call_command("doctor_media", stdout=out)
    assert f"links: {live_server.url} serves them" in out.getvalue()
    assert Asset.objects.count() == 0


def test_the_doctor_names_what_is_wrong(settings: Settings, tmp_path: Path) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:1024"
    with pytest.raises(CommandError, match="PODI_PUBLIC_URL"):
        call_command("doctor_media", stdout=io.StringIO())
    assert Asset.objects.count() == 0
    call_command("doctor_media", "--no-http", stdout=io.StringIO())
    (tmp_path / "blocked").write_text("x")
    settings.MEDIA_FILES_DIR = tmp_path / "blocked" / "files"
    with pytest.raises(CommandError, match="storage: write"):
        call_command("doctor_media", stdout=io.StringIO())
