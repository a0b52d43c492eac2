"""Keeping files: stored means written, read back and recorded; anything less leaves no trace."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from media import services as media
from media.errors import AssetMissing, AssetStoreFailed, AssetTooLarge, ImageTooManyPixels, OutputNotReadable
from media.models import Asset
from podi.base.models import User
from tests.media import pictures
from tests.media.conftest import stored_files

pytestmark = pytest.mark.django_db(transaction=True)


def test_R9_a_kept_file_lies_in_our_storage_measured_and_hashed(owner: User, files_folder: Path) -> None:
    data = pictures.make("PNG", (64, 48), dpi=(300, 300))
    asset = media.keep(data, owner=owner, file_name="a/b/cup.png", content_type="image/png")
    assert (asset.sha256, asset.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (asset.content_type, asset.width, asset.height, asset.dpi) == ("image/png", 64, 48, 300.0)
    assert (asset.file_name, asset.kind, asset.owner) == ("cup.png", "output", owner)
    assert (files_folder / asset.object_key).read_bytes() == data
    with media.open_asset(asset) as file:
        assert file.read() == data


@pytest.mark.parametrize("shape", ["bytes", "file", "chunks"])
def test_any_shape_of_source_is_kept_alike(shape: str) -> None:
    data = os.urandom(700_000)
    sources = {
        "bytes": data,
        "file": io.BytesIO(data),
        "chunks": (data[i : i + 9999] for i in range(0, len(data), 9999)),
    }
    asset = media.keep(sources[shape], owner=None, content_type="application/x-thing")
    assert asset.sha256 == hashlib.sha256(data).hexdigest()
    assert asset.content_type == "application/x-thing"


@pytest.mark.parametrize(
    ("data", "claimed", "found", "suffix"),
    [
        (pictures.make("JPEG"), "image/png", "image/jpeg", ".jpg"),
        (pictures.make("WEBP"), "", "image/webp", ".webp"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(40), "application/octet-stream", "video/mp4", ".mp4"),
        (b"plain words", "", "text/plain", ".txt"),
        (b'{"a": 1}', "", "application/json", ".json"),
        (b"<html><script>1</script></html>", "text/plain", "text/html", ".html"),
        (b"PK\x03\x04" + bytes(30), "text/plain", "application/zip", ".zip"),
        (b"\x01\x02\x03\x04", "text/html", "application/octet-stream", ".bin"),
    ],
)
def test_the_content_type_is_what_the_bytes_say(data: bytes, claimed: str, found: str, suffix: str) -> None:
    asset = media.keep(data, owner=None, content_type=claimed)
    assert asset.content_type == found
    assert asset.object_key.endswith(suffix)


def test_R14_names_are_our_own_and_never_the_callers(owner: User) -> None:
    first = media.keep(pictures.make(seed=1), owner=owner, file_name="../../etc/passwd")
    second = media.keep(pictures.make(seed=2), owner=owner, file_name="../../etc/passwd")
    assert first.object_key != second.object_key
    assert first.file_name == "passwd"
    prefix, user, day, name = first.object_key.split("/")
    assert (prefix, user) == ("uploads", owner.pk)
    assert day == first.created_at.astimezone(UTC).strftime("%Y%m%d")
    random, seconds = name.removesuffix(".png").split("-")
    assert len(random) == 8
    assert abs(int(seconds) - first.created_at.timestamp()) < 5


def test_R22_the_day_in_a_key_is_utc_whatever_the_time_zone() -> None:
    shanghai = datetime(2026, 3, 1, 2, 0, tzinfo=timezone(timedelta(hours=8)))
    assert media.object_key("u1", suffix=".png", now=shanghai).startswith("uploads/u1/20260228/")
    assert media.object_key(None, suffix="").startswith("uploads/anonymous/")
    assert media.object_key("../x/y", suffix=".png").split("/")[1] == "_x_y"


def test_equal_bytes_of_one_owner_are_stored_once(owner: User, stranger: User, files_folder: Path) -> None:
    data = pictures.make()
    first = media.keep(data, owner=owner)
    assert media.keep(data, owner=owner, file_name="other.png").pk == first.pk
    assert len(stored_files(files_folder)) == 1
    assert media.keep(data, owner=stranger).pk != first.pk
    assert media.keep(data, owner=None).pk == media.keep(data, owner=None).pk
    assert len(stored_files(files_folder)) == Asset.objects.count() == 3


def test_a_file_the_storage_lost_is_written_again_under_its_key(files_folder: Path) -> None:
    data = pictures.make()
    asset = media.keep(data, owner=None)
    (files_folder / asset.object_key).unlink()
    with pytest.raises(AssetMissing):
        media.open_asset(asset)
    assert media.keep(data, owner=None).pk == asset.pk
    assert (files_folder / asset.object_key).read_bytes() == data


def test_equal_bytes_kept_at_once_become_one_asset(owner: User, files_folder: Path) -> None:
    data, found, barrier = pictures.make(size=(200, 200)), [], threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        found.append(media.keep(data, owner=owner).pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == Asset.objects.count() == len(stored_files(files_folder)) == 1


def nothing_is_left(folder: Path) -> bool:
    return Asset.objects.count() == 0 and stored_files(folder) == []


@pytest.mark.parametrize(
    ("data", "claimed"),
    [
        (b"", "image/png"),
        (b"<html>502 Bad Gateway</html>", "image/png"),
        (b"oops", "video/mp4"),
        (pictures.make("PNG", (200, 150))[:900], "image/png"),
        (pictures.make("JPEG", (200, 150))[:3000], ""),
    ],
)
def test_R9_a_result_that_is_no_result_is_not_kept(data: bytes, claimed: str, files_folder: Path) -> None:
    with pytest.raises(OutputNotReadable):
        media.keep(data, owner=None, content_type=claimed)
    assert nothing_is_left(files_folder)


def test_limits_hold_for_bytes_and_pixels(settings: Settings, files_folder: Path) -> None:
    settings.MAX_OUTPUT_BYTES = 1000
    with pytest.raises(AssetTooLarge):
        media.keep((b"x" * 300 for _ in range(10)), owner=None)
    with pytest.raises(AssetTooLarge):
        media.keep(b"x" * 11, owner=None, max_bytes=10)
    with pytest.raises(ImageTooManyPixels):
        media.keep(pictures.bomb(), owner=None)
    assert nothing_is_left(files_folder)


def test_R9_a_source_that_breaks_off_leaves_nothing(files_folder: Path) -> None:
    def source() -> Iterator[bytes]:
        yield b"x" * 1000
        raise ConnectionResetError("the provider hung up")

    with pytest.raises(ConnectionResetError):
        media.keep(source(), owner=None)
    assert nothing_is_left(files_folder)


def test_R9_a_disk_that_fills_up_in_the_middle_fails_the_store(files_folder: Path) -> None:
    data = os.urandom(6_000_000)  # small enough to be gathered in memory, too large for the file
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, limits[1]))
    try:
        with pytest.raises(AssetStoreFailed) as caught:
            media.keep(data, owner=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (caught.value.code, caught.value.status, caught.value.retryable) == ("ASSET_STORE_FAILED", 503, True)
    assert nothing_is_left(files_folder)
    assert media.keep(data, owner=None).size_bytes == len(data)


def test_R9_a_disk_that_fills_up_while_gathering_fails_the_store(files_folder: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, limits[1]))
    try:
        with pytest.raises(AssetStoreFailed):
            media.keep((os.urandom(1_000_000) for _ in range(12)), owner=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert nothing_is_left(files_folder)


def test_R9_a_storage_that_cannot_be_written_fails_the_store(settings: Settings, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    settings.MEDIA_FILES_DIR = blocked / "files"
    with pytest.raises(AssetStoreFailed):
        media.keep(pictures.make(), owner=None)
    assert Asset.objects.count() == 0
    checked = media.self_check()
    assert not checked.ok
    assert checked.message.startswith("write")


def test_the_self_check_passes_and_leaves_nothing(files_folder: Path) -> None:
    assert media.self_check() == media.SelfCheck(ok=True)
    assert nothing_is_left(files_folder)
