"""Uploads on the default store: keys, the exchange, our own address."""

from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from media import services as media
from media.errors import MediaUploadUnauthorized
from media.models import Asset, Upload, UploadBlock, UploadKey
from podi.base.models import User
from tests.media import pictures
from tests.media.conftest import stored_files
from tests.media.uploading import DOWNLOAD, KEY, STS, UPLOADS, grant_for, key_of, post, wish

pytestmark = pytest.mark.django_db(transaction=True)


def send(client: Client, grant: dict[str, Any], data: bytes, **changes: str) -> tuple[int, Any]:
    fields = {**grant["upload"]["fields"], **changes}
    response = client.post(UPLOADS, {**fields, "file": SimpleUploadedFile("a.png", data)})
    return response.status_code, response.json()


def test_an_upload_key_is_for_oneself_and_its_answer_is_the_contracts(
    client: Client, owner: User, stranger: User, operator: User, settings: Settings
) -> None:
    status, answer = post(client, KEY, {"userId": owner.pk}, owner)
    assert status == 200
    assert set(answer) == {"uploadKey", "expiresAt", "expiresIn"}
    assert answer["expiresIn"] == 3600
    assert answer["expiresAt"].endswith("Z")
    claims = jwt.decode(answer["uploadKey"], settings.UPLOAD_TOKEN_SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["scope"], claims["exp"] - claims["iat"]) == (owner.pk, "upload", 3600)
    assert post(client, KEY, {"userId": "ann"}, owner)[0] == 200
    assert post(client, KEY, {"userId": owner.pk})[0] == 401
    before = UploadKey.objects.count()
    status, answer = post(client, KEY, {"userId": owner.pk}, stranger)
    assert (status, answer["detail"]) == (403, "MEDIA_UPLOAD_FORBIDDEN")
    assert post(client, KEY, {"userId": "nobody"}, operator)[0] == 403
    assert post(client, KEY, {}, owner)[0] == 422
    assert UploadKey.objects.count() == before
    assert post(client, KEY, {"userId": owner.pk}, operator)[0] == 200


def test_a_key_opens_one_upload_once(client: Client, owner: User) -> None:
    key = key_of(client, owner)
    assert post(client, STS, wish(key))[0] == 200
    status, answer = post(client, STS, wish(key))
    assert (status, answer["detail"], answer["reason"]) == (401, "MEDIA_UPLOAD_UNAUTHORIZED", "used")
    assert Upload.objects.count() == 1


def test_of_many_at_once_one_gets_the_upload(client: Client, owner: User) -> None:
    key, given = key_of(client, owner), []
    barrier = threading.Barrier(6)

    def take() -> None:
        barrier.wait()
        try:
            media.open_upload(
                key,
                media.UploadWish(task_id="t", action="a", file_name="a.png", content_type="image/png", size_bytes=10),
            )
            given.append(1)
        except MediaUploadUnauthorized:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == [1]
    assert Upload.objects.count() == 1


@pytest.mark.parametrize("how", ["garbage", "forged", "scope", "expired", "revoked", "inactive", "blocked"])
def test_no_other_key_opens_anything(client: Client, owner: User, operator: User, settings: Settings, how: str) -> None:
    key = key_of(client, owner)
    claims = jwt.decode(key, settings.UPLOAD_TOKEN_SECRET, algorithms=["HS256"])
    code = "MEDIA_UPLOAD_UNAUTHORIZED"
    if how == "garbage":
        key = "nonsense"
    elif how == "forged":
        key = jwt.encode(claims, "an-invented-secret-of-somebody-else!", algorithm="HS256")
    elif how == "scope":
        key = jwt.encode({**claims, "scope": "other"}, settings.UPLOAD_TOKEN_SECRET, algorithm="HS256")
    elif how == "expired":
        UploadKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif how == "revoked":
        assert media.revoke_upload_keys(user_id=owner.pk) == 1
    elif how == "inactive":
        User.objects.filter(pk=owner.pk).update(is_active=False)
    else:
        media.block_uploads(owner, reason="spam", actor=operator)
        code = "MEDIA_UPLOAD_BLOCKED"
        assert post(client, KEY, {"userId": owner.pk}, owner)[1]["detail"] == code
    status, answer = post(client, STS, wish(key))
    assert (status in (401, 403), answer["detail"]) == (True, code)
    assert Upload.objects.count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fileSize", 0),
        ("fileSize", 10**12),
        ("mimeType", "application/x-msdownload"),
        ("mimeType", "png"),
        ("fileName", " / "),
        ("taskId", " "),
        ("action", ""),
    ],
)
def test_a_wish_that_cannot_be_met_leaves_the_key_good(client: Client, owner: User, field: str, value: object) -> None:
    key = key_of(client, owner)
    status, answer = post(client, STS, wish(key, **{field: value}))
    assert (status, answer["detail"], list(answer["fields"])) == (400, "MEDIA_STS_INVALID_PARAM", [field])
    assert post(client, STS, {"uploadKey": key})[0] == 422
    assert Upload.objects.count() == 0
    assert post(client, STS, wish(key))[0] == 200


def test_without_oss_the_answer_has_the_same_shape_and_says_that_nothing_is_temporary(
    client: Client, owner: User, settings: Settings
) -> None:
    answer = grant_for(client, owner)
    credentials = answer["ossCredentials"]
    assert set(credentials) == {
        *("accessKeyId", "accessKeySecret", "securityToken", "endpoint", "publicDomain", "bucket", "region"),
        *("expiration", "isTemporary", "rootPrefix"),
    }
    assert credentials["isTemporary"] is False
    assert (credentials["accessKeyId"], credentials["accessKeySecret"], credentials["securityToken"]) == ("", "", "")
    left_s = credentials["expiration"] / 1000 - timezone.now().timestamp()
    assert 800 < left_s <= 900  # R22: aware UTC, whatever the zone of the machine
    assert answer["objectKey"].startswith(f"uploads/{owner.pk}/{timezone.now():%Y%m%d}/")
    assert answer["objectKey"].endswith(".png")
    assert settings.UPLOAD_TOKEN_SECRET not in json.dumps(answer)


def test_a_file_comes_in_through_our_own_address_and_is_an_asset(client: Client, owner: User) -> None:
    data = pictures.make()
    grant = grant_for(client, owner, fileSize=len(data))
    status, answer = send(client, grant, data)
    assert status == 200
    assert (answer["state"], answer["objectKey"], answer["width"]) == ("kept", grant["objectKey"], 40)
    asset = Asset.objects.get()
    assert (asset.owner, asset.kind, asset.object_key, asset.file_name) == (
        owner,
        "upload",
        grant["objectKey"],
        "杯子.png",
    )
    status, link = post(client, DOWNLOAD, {"objectKey": grant["objectKey"]}, owner)
    assert status == 200
    assert media.take_input(link["url"], owner=owner, field="image") == asset
    status, answer = send(client, grant, data)
    assert (status, answer["detail"], answer["reason"]) == (401, "MEDIA_UPLOAD_UNAUTHORIZED", "used")


def test_a_file_may_also_be_put(client: Client, owner: User) -> None:
    data = pictures.make()
    grant = grant_for(client, owner)
    address = grant["upload"]["putUrl"].partition("://")[2].partition("/")[2]
    response = client.put(f"/{address}", data, content_type="image/png")
    assert (response.status_code, response.json()["state"]) == (200, "kept")
    assert client.put(f"/{address}", data, content_type="image/png").status_code == 401


def test_the_same_bytes_are_kept_once_and_both_keys_lead_to_them(client: Client, owner: User) -> None:
    first, second = grant_for(client, owner), grant_for(client, owner)
    for grant in (first, second):
        assert send(client, grant, pictures.make())[0] == 200
    assert Asset.objects.count() == 1
    for grant in (first, second):
        assert post(client, DOWNLOAD, {"objectKey": grant["objectKey"]}, owner)[0] == 200


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"x" * 9000, 413, "UPLOAD_TOO_LARGE"),
        (b"<html>hello</html>", 415, "UPLOAD_TYPE_NOT_ALLOWED"),
        (b"", 400, "UPLOAD_NOT_READABLE"),
        (pictures.make()[:200], 400, "UPLOAD_NOT_READABLE"),
        (pictures.bomb(), 400, "IMAGE_TOO_MANY_PIXELS"),
    ],
)
def test_a_wrong_file_is_refused_and_ends_the_upload(
    client: Client, owner: User, files_folder: Path, data: bytes, status: int, code: str
) -> None:
    grant = grant_for(client, owner)
    found, answer = send(client, grant, data)
    assert (found, answer["detail"]) == (status, code)
    assert Asset.objects.count() == 0
    assert stored_files(files_folder) == []
    assert Upload.objects.get().state == "refused"
    assert send(client, grant, pictures.make())[0] == 401


@pytest.mark.parametrize("change", ["policy", "signature", "key", "expired", "blocked"])
def test_a_form_that_we_did_not_sign_so_opens_nothing(
    client: Client, owner: User, operator: User, files_folder: Path, change: str
) -> None:
    grant, other = grant_for(client, owner), grant_for(client, owner)
    changes = {}
    if change == "expired":
        Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif change == "blocked":
        media.block_uploads(owner, reason="spam", actor=operator)
    else:
        changes = {change: other["upload"]["fields"][change]}
    status, answer = send(client, grant, pictures.make(), **changes)
    assert status in (401, 403)
    assert answer["detail"] in ("MEDIA_UPLOAD_UNAUTHORIZED", "MEDIA_UPLOAD_BLOCKED")
    assert stored_files(files_folder) == []


def test_a_store_that_fails_leaves_the_form_good(
    client: Client, owner: User, settings: Settings, tmp_path: Path
) -> None:
    grant = grant_for(client, owner)
    good = settings.MEDIA_FILES_DIR
    (tmp_path / "blocked").write_text("x")
    settings.MEDIA_FILES_DIR = tmp_path / "blocked" / "files"
    assert send(client, grant, pictures.make())[1]["detail"] == "ASSET_STORE_FAILED"
    settings.MEDIA_FILES_DIR = good
    assert send(client, grant, pictures.make())[0] == 200


def test_an_upload_that_never_came_expires_and_is_forgotten(client: Client, owner: User) -> None:
    grant_for(client, owner)
    now = timezone.now()
    assert media.work_off_uploads(now) == 0
    media.work_off_uploads(now + timedelta(hours=1))
    assert Upload.objects.get().state == "expired"
    Upload.objects.update(created_at=now - timedelta(days=40))
    UploadKey.objects.update(expires_at=now - timedelta(days=40))
    media.sweep(now)
    assert (Upload.objects.count(), UploadKey.objects.count()) == (0, 0)


def test_only_named_origins_may_upload_from_their_pages(client: Client, owner: User, settings: Settings) -> None:
    settings.UPLOAD_ALLOWED_ORIGINS = ["https://shop.example"]
    allowed = client.options(UPLOADS, headers={"origin": "https://shop.example"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    other = client.options(UPLOADS, headers={"origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_unblocking_lets_a_user_upload_again(client: Client, owner: User, operator: User) -> None:
    media.block_uploads(owner, reason="spam", actor=operator)
    assert media.unblock_uploads(owner)
    assert not media.unblock_uploads(owner)
    assert UploadBlock.objects.count() == 0
    grant_for(client, owner)


def test_no_secret_is_logged(client: Client, owner: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = key_of(client, owner)
    grant = post(client, STS, wish(key))[1]
    send(client, grant, pictures.make())
    assert key not in caplog.text
    assert grant["upload"]["fields"]["signature"] not in caplog.text
