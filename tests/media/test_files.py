"""Films and sounds that callers name: the same guards as for images, kinds by the bytes, and no trace of a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from media import services as media
from media.content_types import sniff
from media.models import Asset
from podi.base.errors import PodiError
from podi.base.models import User
from tests.media import pictures
from tests.media.conftest import stored_files
from tests.simulators.files import File, FileServer
from tests.simulators.films import mp4, wav

pytestmark = pytest.mark.django_db(transaction=True)
FIELD = "tracks[0].segments[0].material_url"
ALL = ("image", "video", "audio")


def refused(url: str, code: str, *, owner: User | None = None, kinds: tuple[str, ...] = ALL) -> PodiError:
    before = Asset.objects.count()
    with pytest.raises(PodiError) as caught:
        media.take_file(url, owner=owner, field=FIELD, kinds=kinds)
    assert (caught.value.code, list(caught.value.fields)) == (code, [FIELD])
    assert Asset.objects.count() == before
    return caught.value


@pytest.mark.parametrize(
    ("data", "content_type", "suffix"),
    [
        (mp4(), "video/mp4", ".mp4"),
        (mp4(brand=b"qt  "), "video/quicktime", ".mov"),
        (mp4(has_pictures=False, brand=b"M4A "), "audio/mp4", ".m4a"),
        (wav(0.1), "audio/wav", ".wav"),
        (b"fLaC" + bytes(100), "audio/flac", ".flac"),
        (b"\xff\xfb\x90\x64" + bytes(400), "audio/mpeg", ".mp3"),
        (b"\xff\xf1\x50\x80" + bytes(100), "audio/aac", ".aac"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" + bytes(50), "video/x-matroska", ".mkv"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm" + bytes(50), "video/webm", ".webm"),
    ],
)
def test_films_and_sounds_are_known_by_their_bytes(
    server: FileServer, owner: User, data: bytes, content_type: str, suffix: str
) -> None:
    server.files["/x.exe"] = File(body=data, headers={"Content-Type": "text/plain"})
    asset = media.take_file(server.url("/x.exe?token=1"), owner=owner, field=FIELD, kinds=ALL)
    assert (asset.kind, asset.content_type, asset.file_name) == ("input", content_type, "x.exe")
    assert asset.object_key.endswith(suffix)
    with media.open_asset(asset) as file:
        assert file.read() == data


@pytest.mark.parametrize(
    "head", [b"\xff\xff\xff\xff", b"\xff\xfb\xf0\x00", b"\xff\xe8\x90\x00", b"\xff\xfe\x00\x00", b"\xff"]
)
def test_one_sync_word_alone_is_no_sound(head: bytes) -> None:
    assert sniff(head + bytes(50)) == "application/octet-stream"


def test_an_image_must_be_intact_here_too(server: FileServer, owner: User) -> None:
    server.files["/a.png"] = File(body=pictures.make())
    asset = media.take_file(server.url("/a.png"), owner=owner, field=FIELD, kinds=("image",))
    assert (asset.width, asset.height) == (40, 30)
    server.files["/cut.png"] = File(body=pictures.make()[:60])
    refused(server.url("/cut.png"), "FILE_TYPE_UNSUPPORTED")


def test_an_image_bomb_is_refused(server: FileServer, settings: Settings) -> None:
    server.files["/big.png"] = File(body=pictures.make())
    settings.MAX_IMAGE_PIXELS = 100
    refused(server.url("/big.png"), "FILE_TOO_LARGE")


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (wav(0.1), ("video", "image")),
        (mp4(), ("audio",)),
        (pictures.make(), ("audio", "video")),
        (b"<html>not here</html>", ALL),
        (b"", ALL),
        (b"PK\x03\x04" + bytes(50), ALL),
    ],
)
def test_another_kind_of_file_is_refused(
    server: FileServer, files_folder: Path, data: bytes, kinds: tuple[str, ...]
) -> None:
    server.files["/x"] = File(body=data)
    refused(server.url("/x"), "FILE_TYPE_UNSUPPORTED", kinds=kinds)
    assert stored_files(files_folder) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://10.0.0.7/film.mp4", "URL_FORBIDDEN"),
        ("http://169.254.169.254/latest", "URL_FORBIDDEN"),
        ("file:///etc/passwd", "URL_FORBIDDEN"),
        ("ftp://files.example/a.mp4", "URL_FORBIDDEN"),
        ("data:video/mp4;base64,AAAA", "URL_FORBIDDEN"),
        ("http://", "FILE_URL_INVALID"),
        ("a.mp4", "FILE_URL_INVALID"),
    ],
)
def test_a_forbidden_address_is_told_without_a_visit(url: str, code: str) -> None:
    with pytest.raises(PodiError) as caught:
        media.check_file(url, field=FIELD)
    assert (caught.value.code, list(caught.value.fields)) == (code, [FIELD])


def test_a_redirect_into_a_private_network_is_refused(server: FileServer) -> None:
    server.files["/a"] = File(status=302, headers={"Location": "http://10.0.0.7/film.mp4"})
    refused(server.url("/a"), "URL_FORBIDDEN")


def test_limits_of_bytes_hold_whatever_was_declared(server: FileServer, settings: Settings, files_folder: Path) -> None:
    server.files["/honest"] = File(body=mp4() + bytes(5000))
    server.files["/chunked"] = File(body=mp4() + bytes(5000), is_chunked=True)
    settings.FETCH_MAX_MEDIA_BYTES = 3000
    assert refused(server.url("/honest"), "FILE_TOO_LARGE").details["max_bytes"] == 3000
    refused(server.url("/chunked"), "FILE_TOO_LARGE")
    assert stored_files(files_folder) == []


def test_a_caller_may_only_lower_the_limit(server: FileServer, settings: Settings) -> None:
    server.files["/a.mp4"] = File(body=mp4())
    settings.FETCH_MAX_MEDIA_BYTES = 100
    with pytest.raises(PodiError) as caught:
        media.take_file(server.url("/a.mp4"), owner=None, field=FIELD, kinds=ALL, max_bytes=10**9)
    assert caught.value.code == "FILE_TOO_LARGE"


def test_what_cannot_be_fetched_may_be_tried_again(server: FileServer, settings: Settings) -> None:
    settings.FETCH_MEDIA_TIMEOUT_S = 0.4
    server.files["/cut"] = File(body=mp4(), cut_after=50)
    server.files["/slow"] = File(body=mp4(), drip="body", drip_s=0.1)
    for path in ("/gone", "/cut", "/slow"):
        assert refused(server.url(path), "FILE_DOWNLOAD_FAILED").retryable


def test_a_link_of_our_own_is_taken_without_http_and_only_by_its_owner(owner: User, stranger: User) -> None:
    kept = media.keep(mp4(), owner=owner, file_name="mine.mp4")
    assert media.take_file(media.url(kept), owner=owner, field=FIELD, kinds=("video",)).pk == kept.pk
    media.check_file(media.url(kept), field=FIELD)
    refused(media.url(kept), "URL_FORBIDDEN", owner=stranger)
    refused(media.url(kept), "FILE_TYPE_UNSUPPORTED", owner=owner, kinds=("audio",))
    refused(media.url(kept) + "0", "URL_FORBIDDEN", owner=owner)
    refused(media.url(kept, ttl_s=-5), "FILE_URL_INVALID", owner=owner)
