"""R7: one key, one thing, however often and however parallel the request comes."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from podi.base import idempotency
from podi.base.errors import IdempotencyKeyReused, InvalidInput
from podi.base.idempotency import AlreadyRemembered, IdempotencyKey, find, fingerprint, read_key, remember
from podi.base.models import User

MARK = fingerprint("POST", "/api/x", {"a": 1})


@pytest.fixture
def user(db: Any) -> User:
    return User.objects.create_user("ann")


def test_the_fingerprint_is_of_what_was_asked() -> None:
    assert fingerprint("post", "/x", {"a": 1, "b": [1, 2]}) == fingerprint("POST", "/x", {"b": [1, 2], "a": 1})
    different = [
        ("POST", "/y", {"a": 1}),
        ("PUT", "/x", {"a": 1}),
        ("POST", "/x", {"a": 2}),
        ("POST", "/x", {"a": "1"}),
    ]
    assert len({fingerprint(*request) for request in [("POST", "/x", {"a": 1}), *different]}) == 5


@pytest.mark.parametrize("key", ["", " ", "x" * 192, "a\tb", "a\x00b", "a\nb"])
def test_an_unusable_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_key({"Idempotency-Key": key})
    assert list(refused.value.fields) == ["Idempotency-Key"]


def test_keys_are_read_from_the_header() -> None:
    assert read_key({}) is None
    assert read_key({"Idempotency-Key": "x" * 191}) == "x" * 191


def test_a_key_finds_what_it_created_and_refuses_another_request(user: User) -> None:
    other = User.objects.create_user("ben")
    assert find(user, "k", fingerprint=MARK) is None
    remember(user, "k", fingerprint=MARK, subject=("task", "t1"))
    assert find(user, "k", fingerprint=MARK) == "t1"
    assert find(other, "k", fingerprint=MARK) is None
    assert find(user, "K", fingerprint=MARK) is None
    with pytest.raises(IdempotencyKeyReused):
        find(user, "k", fingerprint=fingerprint("POST", "/api/x", {"a": 2}))


@pytest.mark.django_db(transaction=True)
def test_remember_refuses_to_work_outside_the_creating_transaction() -> None:
    user = User.objects.create_user("ann")
    with pytest.raises(transaction.TransactionManagementError):
        remember(user, "k", fingerprint=MARK, subject=("task", "t1"))
    assert not IdempotencyKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_creation_that_fails_forgets_its_key() -> None:
    user = User.objects.create_user("ann")

    @transaction.atomic
    def fail_late() -> None:
        remember(user, "k", fingerprint=MARK, subject=("task", "t1"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    assert find(user, "k", fingerprint=MARK) is None


@pytest.mark.django_db(transaction=True)
def test_R7_many_threads_with_one_key_create_one_thing() -> None:
    owner = User.objects.create_user("ann")
    answers: list[str | None] = []
    start = threading.Barrier(8)

    def create(number: int) -> None:
        try:
            start.wait()
            with transaction.atomic():
                thing = User.objects.create_user(f"thing{number}")
                remember(owner, "k", fingerprint=MARK, subject=("user", thing.pk))
            answers.append(thing.pk)
        except AlreadyRemembered:
            answers.append(find(owner, "k", fingerprint=MARK))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    things = User.objects.filter(username__startswith="thing")
    assert things.count() == 1
    assert answers == [things.get().pk] * 8


def test_old_keys_are_swept(user: User, settings: Any) -> None:
    for key in ("old", "new"):
        remember(user, key, fingerprint=MARK, subject=("task", key))
    age = timedelta(seconds=settings.IDEMPOTENCY_RETENTION_S + 1)
    IdempotencyKey.objects.filter(key="old").update(created_at=timezone.now() - age)
    assert idempotency.sweep_keys() == 1
    assert find(user, "new", fingerprint=MARK) == "new"
