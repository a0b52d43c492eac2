"""Pictures that are none, or too much: each has its own code, and nothing is stored, held or run."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from abilities.models import Ability, Invocation, Task
from media.models import Asset
from tests.abilities.conftest import Api, png
from tests.simulators.files import File, FileServer

pytestmark = pytest.mark.django_db(transaction=True)


def bomb() -> bytes:
    """A few bytes that claim 60,000 by 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def large() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((120, 120), 90).save(buffer, "PNG")
    return buffer.getvalue()


CASES: list[tuple[Callable[[], bytes], str]] = [
    (bomb, "IMAGE_TOO_MANY_PIXELS"),
    (large, "IMAGE_TOO_LARGE"),
    (lambda: png(64, 64)[:-40], "IMAGE_TRUNCATED"),
    (lambda: b"<html>this is no picture at all</html>", "IMAGE_NOT_READABLE"),
    (lambda: b"", "IMAGE"),
]


def assert_refused(response: Any, code: str) -> None:
    answer = response.json()
    assert 400 <= response.status_code < 500, answer
    assert answer["detail"].startswith(code), answer
    assert not Task.objects.exists()
    assert not Invocation.objects.exists()
    assert not Asset.objects.exists()


@pytest.mark.parametrize(("make", "code"), CASES)
@pytest.mark.parametrize("door", ["invoke", "task"])
def test_a_bad_picture_in_the_body_is_refused(
    api: Api, upscale: Ability, settings: Any, make: Callable[[], bytes], code: str, door: str
) -> None:
    settings.FETCH_MAX_BYTES = 10_000
    text = base64.b64encode(make()).decode() or "data:image/png;base64,"
    path = f"/api/abilities/{upscale.id}/invoke" if door == "invoke" else "/api/ability-tasks"
    assert_refused(api.post(path, {"abilityId": upscale.id, "imageBase64": text}), code)


@pytest.mark.parametrize(("make", "code"), CASES[:4])
def test_a_bad_picture_behind_an_address_is_refused(
    api: Api, upscale: Ability, settings: Any, make: Callable[[], bytes], code: str
) -> None:
    settings.FETCH_MAX_BYTES = 10_000
    with FileServer() as server:
        server.files["/a.png"] = File(body=make(), headers={"Content-Type": "image/png"})
        body = {"abilityId": upscale.id, "imageUrl": server.url("/a.png")}
        assert_refused(api.post("/api/ability-tasks", body), code)
        assert len(server.journal) == 1


def test_of_two_pictures_with_one_bad_no_task_is_made(api: Api, upscale: Ability) -> None:
    body = {"images": [{"base64": base64.b64encode(png()).decode()}, {"base64": base64.b64encode(bomb()).decode()}]}
    response = api.post(f"/api/abilities/{upscale.id}/invoke", body)
    assert (response.status_code, list(response.json()["fields"])) == (422, ["image_url"])
    assert not Task.objects.exists()
