"""Uploads straight into OSS: temporary keys, signed forms, callbacks; the whole way against simulated OSS and STS."""

from __future__ import annotations

import base64
import io
import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import oss2
import pytest
import requests
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from oss2.credentials import StaticCredentialsProvider
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from media import services as media
from media.models import Asset, Upload
from podi.base.errors import UrlForbidden
from podi.base.models import User
from tests.media import pictures
from tests.media.uploading import CALLBACK, DOWNLOAD, STS, grant_for, key_of, post, send_form, wish
from tests.simulators.oss import Fault, OssServer
from tests.simulators.sts import ROLE, StsServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[OssServer, StsServer]]:
    with OssServer() as oss, StsServer(oss) as sts:
        yield oss, sts


@pytest.fixture
def oss(servers: tuple[OssServer, StsServer], settings: Settings) -> OssServer:
    server = servers[0]
    for kept in (server.objects, server.multipart, server.sessions):
        kept.clear()
    for listed in (server.faults, server.journal, server.callbacks):
        listed.clear()
    settings.MEDIA_STORAGE = "oss"
    settings.OSS_ENDPOINT = server.endpoint
    settings.OSS_REGION = f"oss-{server.region}"
    settings.OSS_BUCKET = server.bucket
    settings.OSS_ACCESS_KEY, settings.OSS_SECRET_KEY = server.root.key_id, server.root.secret
    settings.OSS_UPLOAD_RETRIES = 1
    settings.OSS_CALLBACK_KEY_URLS = [f"{server.endpoint}/"]
    return server


@pytest.fixture
def sts(servers: tuple[OssServer, StsServer], oss: OssServer, settings: Settings) -> StsServer:
    server = servers[1]
    server.journal.clear()
    server.answers.clear()
    settings.OSS_ROLE_ARN, settings.OSS_STS_ENDPOINT = ROLE, server.endpoint
    return server


def session_bucket(oss: OssServer, credentials: dict[str, Any]) -> Any:
    """As an uploader uses the temporary keys."""
    keys = StaticCredentialsProvider(
        credentials["accessKeyId"], credentials["accessKeySecret"], credentials["securityToken"]
    )
    return oss2.Bucket(oss2.ProviderAuthV4(keys), oss.endpoint, credentials["bucket"], region=oss.region)


def report(client: Client, oss: OssServer, key: str, *, path: str = CALLBACK, **changes: Any) -> tuple[int, Any]:
    """A callback as OSS would send it, signed."""
    found = oss.objects.get(key)
    body = {
        "bucket": oss.bucket,
        "object": key,
        "size": len(found.data) if found else 1,
        "mimeType": "image/png",
        "meta": {"taskId": "t", "action": "a"},
        **changes,
    }
    text = json.dumps(body).encode()
    headers = oss.callback_headers(f"http://podi{path}", text)
    response = client.post(path, text, content_type="application/json", headers=headers)
    return response.status_code, response.json() if response.content else None


def test_without_a_role_a_form_is_given_and_no_long_lived_key(
    client: Client, oss: OssServer, owner: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = pictures.make()
    grant = grant_for(client, owner)
    credentials = grant["ossCredentials"]
    assert credentials["isTemporary"] is False
    assert (credentials["accessKeyId"], credentials["accessKeySecret"]) == ("", "")
    assert (credentials["bucket"], credentials["region"]) == (oss.bucket, "oss-cn-hangzhou")
    assert send_form(grant, data).status_code == 200
    assert oss.objects[grant["objectKey"]].data == data
    assert send_form(grant, data).status_code == 409  # the form works once
    assert oss.root.secret not in json.dumps(grant)
    assert oss.root.secret not in caplog.text


def test_security_hole_1_no_answer_of_any_mode_carries_the_secret(
    client: Client, oss: OssServer, sts: StsServer, owner: User, settings: Settings
) -> None:
    for role, endpoint in (
        (ROLE, sts.endpoint),
        ("", ""),
        ("acs:ram::1:role/other", sts.endpoint),
        (ROLE, "http://127.0.0.1:9"),
    ):
        settings.OSS_ROLE_ARN, settings.OSS_STS_ENDPOINT = role, endpoint
        _status, answer = post(client, STS, wish(key_of(client, owner)))
        assert oss.root.secret not in json.dumps(answer)
        assert answer.get("ossCredentials", {}).get("accessKeyId") != oss.root.key_id


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key": "uploads/somebody/else.png"}, "AccessDenied"),
        ({"content-type": "text/html"}, "AccessDenied"),
        ({"x-oss-object-acl": "public-read"}, "AccessDenied"),
        ({"x-oss-forbid-overwrite": "false"}, "AccessDenied"),
        ({"policy": "e30="}, "SignatureDoesNotMatch"),
    ],
)
@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_form_is_for_one_key_size_and_type(
    client: Client, oss: OssServer, owner: User, settings: Settings, change: dict[str, str], code: str, version: str
) -> None:
    settings.OSS_SIGNATURE_VERSION = version
    grant = grant_for(client, owner)
    answer = send_form(grant, pictures.make(), **change)
    assert (answer.status_code, code in answer.text) == (403, True)
    assert "EntityTooLarge" in send_form(grant, b"x" * 6000).text
    assert oss.objects == {}
    assert send_form(grant, pictures.make()).status_code == 200


def test_temporary_keys_write_in_the_users_folder_and_nowhere_else(
    client: Client, oss: OssServer, sts: StsServer, owner: User
) -> None:
    grant = grant_for(client, owner)
    credentials = grant["ossCredentials"]
    assert credentials["isTemporary"] is True
    assert credentials["securityToken"]
    assert 800 < credentials["expiration"] / 1000 - time.time() <= 901  # R22: milliseconds, aware
    asked = sts.journal[-1]
    assert (asked["RoleSessionName"], asked["DurationSeconds"]) == (f"podi-{owner.pk}"[:64], "900")
    policy = json.loads(asked["Policy"])
    assert policy["Statement"][0]["Action"] == ["oss:PutObject", "oss:PostObject"]
    assert policy["Statement"][0]["Resource"] == [f"acs:oss:*:*:{oss.bucket}/uploads/{owner.pk}/*"]
    bucket = session_bucket(oss, credentials)
    bucket.put_object(grant["objectKey"], pictures.make())
    for refused in (
        lambda: bucket.put_object("uploads/somebody/x.png", b"x"),
        lambda: bucket.put_object(f"uploads/{owner.pk}x/x.png", b"x"),
        lambda: bucket.get_object(grant["objectKey"]).read(),
        lambda: bucket.delete_object(grant["objectKey"]),
    ):
        with pytest.raises(oss2.exceptions.AccessDenied):
            refused()
    assert list(oss.objects) == [grant["objectKey"]]


def test_with_a_role_the_form_is_signed_by_the_temporary_keys(
    client: Client, oss: OssServer, sts: StsServer, owner: User
) -> None:
    grant = grant_for(client, owner)
    assert oss.root.key_id not in grant["upload"]["fields"]["x-oss-credential"]
    assert send_form(grant, pictures.make()).status_code == 200


@pytest.mark.parametrize("broken", ["role", "secret", "status", "json", "empty", "away"])
def test_when_sts_fails_nothing_is_given_and_the_key_stays_good(
    client: Client, oss: OssServer, sts: StsServer, owner: User, settings: Settings, broken: str
) -> None:
    key = key_of(client, owner)
    good = (settings.OSS_ROLE_ARN, settings.OSS_SECRET_KEY, settings.OSS_STS_ENDPOINT)
    if broken == "role":
        settings.OSS_ROLE_ARN = "acs:ram::1:role/other"
    elif broken == "secret":
        settings.OSS_SECRET_KEY = "another-invented-secret"
    elif broken == "away":
        settings.OSS_STS_ENDPOINT = "http://127.0.0.1:9"
    else:
        sts.answers.append(
            {"status": (500, b"{}"), "json": (200, b"<html>"), "empty": (200, b'{"Credentials": {}}')}[broken]
        )
    status, answer = post(client, STS, wish(key))
    assert (status, answer["detail"], answer["retryable"]) == (503, "MEDIA_STS_UNAVAILABLE", True)
    assert "ossCredentials" not in answer
    assert Upload.objects.count() == 0
    settings.OSS_ROLE_ARN, settings.OSS_SECRET_KEY, settings.OSS_STS_ENDPOINT = good
    assert post(client, STS, wish(key))[0] == 200


def test_an_upload_without_a_callback_is_found_when_it_is_asked_for(
    client: Client, oss: OssServer, owner: User
) -> None:
    data = pictures.make()
    grant = grant_for(client, owner)
    status, answer = post(client, DOWNLOAD, {"objectKey": grant["objectKey"]}, owner)
    assert (status, answer["detail"]) == (409, "UPLOAD_NOT_READY")
    send_form(grant, data)
    status, answer = post(client, DOWNLOAD, {"objectKey": grant["objectKey"], "ttl": 60}, owner)
    assert status == 200
    assert requests.get(answer["url"], timeout=5).content == data
    asset = Asset.objects.get()
    assert (asset.object_key, asset.width, asset.kind, asset.owner) == (grant["objectKey"], 40, "upload", owner)
    assert Upload.objects.get().state == "kept"


def test_an_own_address_of_the_bucket_is_an_input_and_a_foreign_one_is_not(
    client: Client, oss: OssServer, owner: User, stranger: User
) -> None:
    grant = grant_for(client, owner)
    send_form(grant, pictures.make())
    address = f"{grant['host']}/{grant['objectKey']}"
    before = len([asked for asked in oss.journal if asked.method == "GET"])
    asset = media.take_input(address, owner=owner, field="image")
    assert asset.object_key == grant["objectKey"]
    assert media.take_input(media.url(asset), owner=owner, field="image") == asset
    for other in (stranger, None):
        with pytest.raises(UrlForbidden):
            media.take_input(address, owner=other, field="image")
    assert len([asked for asked in oss.journal if asked.method == "GET"]) == before + 1


def test_outputs_are_kept_in_the_bucket_and_links_come_from_it(client: Client, oss: OssServer, owner: User) -> None:
    asset = media.keep(pictures.make(), owner=owner)
    assert oss.objects[asset.object_key].content_type == "image/png"
    assert requests.get(media.url(asset), timeout=5).content == pictures.make()
    assert media.self_check().ok
    oss.faults.append(Fault(method="PUT", status=500))
    assert "write" in media.self_check().message


def test_oss_reports_an_upload_and_its_answer_reaches_the_uploader(
    client: Client, oss: OssServer, owner: User, settings: Settings, live_server: LiveServer
) -> None:
    settings.OSS_CALLBACK_HOST = live_server.url
    grant = grant_for(client, owner)
    assert grant["callback"]["url"] == f"{live_server.url}{CALLBACK}?answer=json"
    answer = send_form(grant, pictures.make())
    assert (answer.status_code, answer.json()["state"]) == (200, "received")
    assert answer.json()["objectKey"] == grant["objectKey"]
    upload = Upload.objects.get()
    assert (upload.state, upload.size_bytes) == ("received", len(pictures.make()))
    assert upload.received_at is not None
    assert media.work_off_uploads(timezone.now()) == 1
    assert Asset.objects.get().object_key == grant["objectKey"]


def test_the_contracts_callback_answers_204_and_a_replay_changes_nothing(
    client: Client, oss: OssServer, owner: User
) -> None:
    grant = grant_for(client, owner)
    send_form(grant, pictures.make())
    key = grant["objectKey"]
    assert report(client, oss, key) == (204, None)
    first = Upload.objects.values().get()
    assert report(client, oss, key) == (204, None)
    assert Upload.objects.values().get() == first
    media.work_off_uploads(timezone.now())
    assert report(client, oss, key) == (204, None)
    assert (Upload.objects.get().state, Asset.objects.count()) == ("kept", 1)


@pytest.mark.parametrize("how", ["unsigned", "body", "query", "foreign key", "not base64", "no key url"])
def test_a_callback_that_oss_did_not_sign_is_refused(client: Client, oss: OssServer, owner: User, how: str) -> None:
    grant = grant_for(client, owner)
    send_form(grant, pictures.make())
    text = json.dumps(
        {"bucket": oss.bucket, "object": grant["objectKey"], "size": len(pictures.make()), "mimeType": "image/png"}
    ).encode()
    headers = oss.callback_headers(f"http://podi{CALLBACK}", text)
    path, before = CALLBACK, len(oss.journal)
    if how == "unsigned":
        headers = {}
    elif how == "body":
        text = text.replace(b"image/png", b"image/gif")
    elif how == "query":
        path += "?answer=json"
    elif how == "foreign key":
        headers["x-oss-pub-key-url"] = base64.b64encode(b"http://127.0.0.1:9/key.pem").decode()
    elif how == "not base64":
        headers["authorization"] = "***"
    else:
        del headers["x-oss-pub-key-url"]
    response = client.post(path, text, content_type="application/json", headers=headers)
    assert (response.status_code, response.json()["detail"]) == (403, "MEDIA_CALLBACK_INVALID")
    assert Upload.objects.get().state == "granted"
    assert [asked.key for asked in oss.journal[before:] if asked.method == "HEAD"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 7},
        {"etag": "0" * 32},
        {"bucket": "other"},
        {"object": "uploads/nobody/x.png"},
        {"object": "x"},
        {"size": "many"},
    ],
)
def test_a_signed_callback_that_the_store_contradicts_is_refused(
    client: Client, oss: OssServer, owner: User, changes: dict[str, Any]
) -> None:
    grant = grant_for(client, owner)
    send_form(grant, pictures.make())
    status, answer = report(client, oss, grant["objectKey"], **changes)
    assert (status, answer["detail"]) == (403, "MEDIA_CALLBACK_INVALID")
    assert [upload.state for upload in Upload.objects.all()] == ["granted"]


def test_what_temporary_keys_wrote_too_large_is_removed(
    client: Client, oss: OssServer, sts: StsServer, owner: User
) -> None:
    grant = grant_for(client, owner)
    session_bucket(oss, grant["ossCredentials"]).put_object(grant["objectKey"], b"x" * 9000)
    status, answer = report(client, oss, grant["objectKey"])
    assert (status, answer["reason"]) == (403, "size")
    assert oss.objects == {}
    assert Upload.objects.get().state == "refused"
    second = grant_for(client, owner)
    session_bucket(oss, second["ossCredentials"]).put_object(second["objectKey"], b"x" * 9000)
    assert post(client, DOWNLOAD, {"objectKey": second["objectKey"]}, owner)[1]["detail"] == "UPLOAD_TOO_LARGE"
    assert oss.objects == {}


def test_another_file_of_a_session_is_taken_in_its_own_folder_only(
    client: Client, oss: OssServer, sts: StsServer, owner: User
) -> None:
    grant = grant_for(client, owner)
    extra = f"uploads/{owner.pk}/20260101/extra.png"
    session_bucket(oss, grant["ossCredentials"]).put_object(extra, pictures.make())
    assert report(client, oss, extra)[0] == 204
    assert Upload.objects.get(object_key=extra).state == "received"
    Upload.objects.update(expires_at=timezone.now() - timedelta(hours=2))
    late = f"uploads/{owner.pk}/20260101/late.png"
    oss.objects[late] = oss.objects[extra]
    assert report(client, oss, late)[0] == 403


def test_a_late_upload_is_found_by_the_duty_and_what_never_came_expires(
    client: Client, oss: OssServer, owner: User
) -> None:
    came, _never = grant_for(client, owner), grant_for(client, owner)
    send_form(came, pictures.make())
    media.work_off_uploads(timezone.now() + timedelta(hours=1))
    states = dict(Upload.objects.values_list("object_key", "state"))
    assert sorted(states.values()) == ["expired", "kept"]
    assert states[came["objectKey"]] == "kept"


def test_a_second_copy_of_the_same_bytes_is_removed_and_its_key_still_works(
    client: Client, oss: OssServer, owner: User
) -> None:
    for _ in range(2):
        grant = grant_for(client, owner)
        send_form(grant, pictures.make())
        assert post(client, DOWNLOAD, {"objectKey": grant["objectKey"]}, owner)[0] == 200
    assert (Asset.objects.count(), len(oss.objects)) == (1, 1)
    assert post(client, DOWNLOAD, {"objectKey": grant["objectKey"]}, owner)[0] == 200


def test_a_key_server_that_is_down_means_try_again(
    client: Client, oss: OssServer, owner: User, settings: Settings
) -> None:
    settings.OSS_CALLBACK_KEY_URLS = ["http://127.0.0.1:9/"]
    body = urlencode({"bucket": oss.bucket}).encode()
    headers = {
        "authorization": base64.b64encode(b"x").decode(),
        "x-oss-pub-key-url": base64.b64encode(b"http://127.0.0.1:9/k.pem").decode(),
    }
    response = client.post(CALLBACK, body, content_type="application/x-www-form-urlencoded", headers=headers)
    assert (response.status_code, response.json()["detail"]) == (503, "MEDIA_CALLBACK_UNVERIFIED")


def test_callbacks_are_refused_where_the_store_is_not_oss(client: Client, oss: OssServer, settings: Settings) -> None:
    settings.MEDIA_STORAGE = "local"
    assert report(client, oss, "uploads/x/y.png")[1]["detail"] == "MEDIA_CALLBACK_INVALID"


def test_check_oss_says_that_all_is_well_and_leaves_nothing(oss: OssServer, sts: StsServer) -> None:
    out = io.StringIO()
    call_command("check_oss", stdout=out)
    text = out.getvalue()
    for step in (
        "write, read back: well",
        "list: well",
        "signed link: well",
        "write in parts: well",
        "temporary keys: well",
    ):
        assert step in text
    assert oss.objects == {}
    assert oss.root.secret not in text
    assert oss.root.key_id not in text


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OSS_SECRET_KEY", "another-invented-secret", "OSS_SECRET_KEY"),
        ("OSS_ACCESS_KEY", "another-id", "OSS_ACCESS_KEY"),
        ("OSS_REGION", "oss-cn-beijing", "OSS_REGION"),
        ("OSS_ENDPOINT", "http://127.0.0.1:9", "OSS_ENDPOINT"),
        ("OSS_ROLE_ARN", "acs:ram::1:role/other", "OSS_ROLE_ARN"),
        ("OSS_SECRET_KEY", "", "must be set"),
    ],
)
def test_check_oss_names_what_is_wrong(
    oss: OssServer, sts: StsServer, settings: Settings, name: str, value: str, says: str
) -> None:
    setattr(settings, name, value)
    with pytest.raises(CommandError, match=says) as caught:
        call_command("check_oss", "--skip-multipart", stdout=io.StringIO(), stderr=io.StringIO())
    assert oss.root.secret not in str(caught.value)
