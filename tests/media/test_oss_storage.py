"""The bucket behind the storage interface: every operation against a simulated OSS that checks like the real one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import oss2
import pytest
import requests

from media.aliyun.config import OssConfig
from media.storage.base import KeyForbidden, NoSuchFile, StorageError
from media.storage.oss import OssStorage
from tests.simulators.oss import Fault, OssServer

KIB = 1024


@pytest.fixture(scope="module")
def shared() -> Iterator[OssServer]:
    with OssServer() as running:
        yield running


@pytest.fixture
def oss(shared: OssServer) -> OssServer:
    shared.objects.clear()
    shared.multipart.clear()
    shared.faults.clear()
    shared.journal.clear()
    return shared


def store(oss: OssServer, **changes: object) -> OssStorage:
    values: dict[str, object] = {
        "endpoint": oss.endpoint,
        "region": oss.region,
        "bucket": oss.bucket,
        "access_key_id": oss.root.key_id,
        "access_key_secret": oss.root.secret,
        "multipart_bytes": 300 * KIB,
        "part_bytes": 100 * KIB,
        "retry_pause_s": 0.001,
        "connect_timeout_s": 5,
        **changes,
    }
    return OssStorage(OssConfig(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_file_goes_in_and_comes_back(oss: OssServer, version: str) -> None:
    storage = store(oss, signature_version=version)
    written = storage.write("uploads/ann/杯子 1.txt", [b"one", b"two"], content_type="text/plain")
    assert written.size_bytes == 6
    found = storage.stat("uploads/ann/杯子 1.txt")
    assert found is not None
    assert found.size_bytes == 6
    assert abs(found.modified_at - datetime.now(UTC)) < timedelta(seconds=10)
    with storage.open("uploads/ann/杯子 1.txt") as file:
        assert file.read() == b"onetwo"
        file.seek(-3, os.SEEK_END)
        assert (file.tell(), file.read(2), file.read()) == (3, b"tw", b"o")
        file.seek(1)
        assert file.read(3) == b"net"
    assert [each.key for each in storage.iter_files("uploads/")] == ["uploads/ann/杯子 1.txt"]
    storage.delete("uploads/ann/杯子 1.txt")
    storage.delete("uploads/ann/杯子 1.txt")
    assert storage.stat("uploads/ann/杯子 1.txt") is None
    with pytest.raises(NoSuchFile):
        storage.open("uploads/ann/杯子 1.txt")


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_R22_a_link_is_signed_expires_and_says_what_the_file_is(oss: OssServer, version: str) -> None:
    storage = store(oss, signature_version=version)
    storage.write("uploads/ann/a.html", [b"<html>"], content_type="text/html")
    link = storage.sign_url("uploads/ann/a.html", ttl_s=60, file_name="杯子.html", content_type="text/html")
    assert link is not None
    answer = requests.get(link, timeout=5)
    assert (answer.status_code, answer.content) == (200, b"<html>")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert requests.get(link[:-2] + "00", timeout=5).status_code == 403
    assert requests.get(link.replace("a.html", "b.html"), timeout=5).status_code == 403
    past = storage.sign_url("uploads/ann/a.html", ttl_s=-1, file_name="", content_type="")
    assert requests.get(str(past), timeout=5).status_code == 403
    assert storage.key_of_url(link) == "uploads/ann/a.html"
    assert storage.key_of_url("https://elsewhere.example/uploads/ann/a.html") is None
    assert oss.root.secret not in link


def test_a_large_file_goes_in_parts_and_a_lost_part_alone_is_sent_again(oss: OssServer) -> None:
    data = secrets.token_bytes(450 * KIB)
    oss.faults.append(Fault(method="PUT", path="partNumber=3", status=500))
    store(oss, threads=1).write("big.bin", iter([data[: 200 * KIB], data[200 * KIB :]]))
    assert oss.objects["big.bin"].data == data
    numbers = [asked.params["partNumber"] for asked in oss.journal if "partNumber" in asked.params]
    assert numbers.count("3") == 2
    assert numbers.count("1") == numbers.count("2") == 1
    assert oss.multipart == {}


@pytest.mark.parametrize(
    "fault", [Fault(method="PUT", status=503), Fault(method="PUT", cut=True), Fault(method="PUT", wrong_sum=True)]
)
def test_a_write_is_repeated_after_a_fault(oss: OssServer, fault: Fault) -> None:
    oss.faults.append(Fault(**{**vars(fault), "times": 2}))
    store(oss, attempts=3).write("a.txt", [b"words"])
    assert oss.objects["a.txt"].data == b"words"
    oss.faults.append(Fault(**{**vars(fault), "times": 3}))
    with pytest.raises(StorageError):
        store(oss, attempts=3).write("b.txt", [b"words"])


def test_a_refusal_is_not_repeated_and_tells_no_secret(oss: OssServer) -> None:
    with pytest.raises(StorageError) as caught:
        store(oss, access_key_secret="another-secret").write("a.txt", [b"words"])
    assert len(oss.journal) == 1
    assert "SignatureDoesNotMatch" in str(caught.value)
    assert "another-secret" not in str(caught.value)
    assert oss.objects == {}
    assert "another-secret" not in repr(store(oss, access_key_secret="another-secret")._config)


def test_an_answer_that_breaks_off_is_continued(oss: OssServer) -> None:
    data = secrets.token_bytes(300 * KIB)
    storage = store(oss)
    storage.write("a.bin", [data])
    oss.faults.append(Fault(method="GET", cut_body_after=70_000))
    with storage.open("a.bin") as file:
        assert file.read() == data
    oss.faults.append(Fault(method="GET", cut_body_after=0, times=9))
    with storage.open("a.bin") as file, pytest.raises(OSError, match="broke off"):
        file.read()


def test_a_file_that_changes_while_it_is_read_is_an_error(oss: OssServer) -> None:
    storage = store(oss)
    storage.write("a.bin", [b"x" * 600 * KIB])
    with storage.open("a.bin") as file:
        assert file.read(10) == b"x" * 10
        storage.write("a.bin", [b"y" * 600 * KIB])
        file.seek(400 * KIB)
        with pytest.raises(OSError, match="broke off"):
            file.read(100)


def test_long_lists_are_read_to_their_end(oss: OssServer) -> None:
    storage = store(oss)
    for number in range(3):
        storage.write(f"a/{number}", [b"x"])
    assert [found.key for found in storage.iter_files("a/")] == ["a/0", "a/1", "a/2"]


def test_unfinished_uploads_are_ended(oss: OssServer) -> None:
    bucket = oss2.Bucket(oss2.AuthV4(oss.root.key_id, oss.root.secret), oss.endpoint, oss.bucket, region=oss.region)
    bucket.init_multipart_upload("old")
    storage = store(oss)
    assert storage.remove_unfinished(before=datetime.now(UTC) - timedelta(hours=6)) == 0
    next(iter(oss.multipart.values())).begun_at -= timedelta(days=1)
    assert storage.remove_unfinished(before=datetime.now(UTC) - timedelta(hours=6)) == 1
    assert oss.multipart == {}


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", ".a/b", "a\\b", "a\0b", "a" * 2000])
def test_no_other_key_is_sent_to_oss(oss: OssServer, key: str) -> None:
    storage = store(oss)
    for attempt in (storage.open, storage.stat, storage.delete, lambda key: storage.write(key, [b"x"])):
        with pytest.raises(KeyForbidden):
            attempt(key)
    assert oss.journal == []


def test_a_store_that_is_away_is_a_storage_error(oss: OssServer) -> None:
    with pytest.raises(StorageError, match="cannot be reached"):
        store(oss, endpoint="http://127.0.0.1:9", attempts=1).write("a", [b"x"])


def test_what_the_source_raises_comes_through(oss: OssServer) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise KeyError("source")

    with pytest.raises(KeyError):
        store(oss).write("a", broken())
    assert oss.objects == {}


def test_addresses_follow_from_the_settings() -> None:
    config = OssConfig(
        endpoint="https://oss-cn-hangzhou-internal.aliyuncs.com",
        region="cn-hangzhou",
        bucket="b",
        access_key_id="id",
        access_key_secret="secret",
    )
    assert config.bucket_url == "https://b.oss-cn-hangzhou.aliyuncs.com"
    assert config.public_url("a/杯.png") == "https://b.oss-cn-hangzhou.aliyuncs.com/a/%E6%9D%AF.png"
    assert "secret" not in repr(config)
