"""The stream: who may open it, and exactly what follows the last event seen."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from podi.asgi import application
from podi.base import services as accounts
from podi.base.models import ApiToken, User
from podi.events import sequencer, services
from podi.events.models import Event, EventCounter
from tests.events.facts import fact, record, user

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/notify/v1/stream"


def jwt(owner: User) -> str:
    token = AccessToken()
    token["sub"] = str(owner.pk)
    return str(token)


async def db(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await database_sync_to_async(work)(*args, **kwargs)


class Stream:
    """A client: reads messages, remembers how it ended."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.communicator = communicator
        self.subprotocol: str | None = None

    async def next(self, timeout_s: float = 5) -> dict[str, Any]:
        message = await self.communicator.receive_output(timeout_s)
        if message["type"] == "websocket.close":
            return {"closed": message["code"]}
        parsed: dict[str, Any] = json.loads(message["text"])
        return parsed

    async def events(self, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < count:
            message = await self.next()
            assert "closed" not in message, message
            if message["type"] == "ping":
                await self.say({"type": "pong"})
            else:
                found.append(message)
        return found

    async def say(self, message: Any) -> None:
        await self.communicator.send_to(text_data=message if isinstance(message, str) else json.dumps(message))

    async def is_silent(self) -> bool:
        return bool(await self.communicator.receive_nothing(0.4))

    async def refusal(self) -> tuple[str, int]:
        error, end = await self.next(), await self.next()
        assert error["type"] == "error"
        return error["payload"]["detail"], end["closed"]


@asynccontextmanager
async def open_stream(
    token: str = "", query: str = "", *, headers: dict[str, str] | None = None, subprotocols: list[str] | None = None
) -> AsyncIterator[Stream]:
    sent = {"host": "testserver", **(headers or {})}
    if token:
        sent["authorization"] = f"Bearer {token}"
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    address = f"{PATH}?{query}" if query else PATH
    communicator = WebsocketCommunicator(application, address, headers=raw, subprotocols=subprotocols)
    stream = Stream(communicator)
    try:
        is_open, stream.subprotocol = await communicator.connect(5)
        assert is_open
        yield stream
    finally:
        await communicator.disconnect()


async def test_without_or_with_a_wrong_token_nothing_is_sent() -> None:
    async with open_stream() as stream:
        assert await stream.refusal() == ("AUTHORIZATION_REQUIRED", 4401)
    async with open_stream("wrong") as stream:
        assert await stream.refusal() == ("INVALID_TOKEN", 4401)


async def test_a_token_in_the_query_is_not_accepted() -> None:
    owner = await db(user)
    token = jwt(owner)
    async with open_stream(query=f"token={token}&access_token={token}") as stream:
        assert await stream.refusal() == ("AUTHORIZATION_REQUIRED", 4401)


async def test_an_event_reaches_its_owner_in_the_envelope() -> None:
    owner = await db(user)
    async with open_stream(jwt(owner)) as stream:
        hello = await stream.next()
        assert (hello["type"], hello["lastEventId"]) == ("hello", 0)
        event = await db(record, owner, "ability-task.status", taskId="a", status="queued")
        message = await stream.next()
    await db(event.refresh_from_db)
    assert message == {
        "type": "ability-task.status",
        "id": event.sequence,
        "payload": {"taskId": "a", "status": "queued"},
        "timestamp": message["timestamp"],
    }
    assert message["timestamp"].endswith("Z")


async def test_a_browser_sends_its_token_as_a_subprotocol_and_it_is_not_echoed() -> None:
    owner = await db(user)
    async with open_stream(subprotocols=["podi.v1", f"bearer.{jwt(owner)}"]) as stream:
        assert stream.subprotocol == "podi.v1"
        assert (await stream.next())["type"] == "hello"


async def test_an_api_token_needs_the_scope() -> None:
    owner, operator = await db(user), await db(user, staff=True)
    _row, with_scope = await db(accounts.issue_token, operator, owner, name="a", scopes=["notify:read"])
    _row, without = await db(accounts.issue_token, operator, owner, name="b", scopes=["tasks:read"])
    async with open_stream(with_scope) as stream:
        assert (await stream.next())["type"] == "hello"
    async with open_stream(without) as stream:
        assert await stream.refusal() == ("TOKEN_SCOPE_MISSING", 4403)


async def test_foreign_events_are_invisible_and_operators_may_see_all() -> None:
    owner, other, operator = await db(user), await db(user), await db(user, staff=True)
    async with (
        open_stream(jwt(owner)) as own,
        open_stream(jwt(operator)) as quiet,
        open_stream(jwt(operator), "all=1") as everything,
    ):
        for stream in (own, quiet, everything):
            assert (await stream.next())["type"] == "hello"
        await db(record, other, n=1)
        await db(record, None, n=2)
        await db(record, owner, n=3)
        assert [message["payload"]["n"] for message in await everything.events(3)] == [1, 2, 3]
        assert [message["payload"]["n"] for message in await own.events(1)] == [3]
        assert await own.is_silent()
        assert await quiet.is_silent()


async def test_only_operators_see_all() -> None:
    owner = await db(user)
    async with open_stream(jwt(owner), "all=1") as stream:
        assert await stream.refusal() == ("ADMIN_ONLY", 4403)
    async with open_stream(django_settings.SERVICE_API_TOKEN, "all=1") as stream:
        assert (await stream.next())["type"] == "hello"


async def test_resume_gives_exactly_what_follows() -> None:
    owner, other = await db(user), await db(user)
    for number in range(250):
        await db(record, owner if number % 2 == 0 else other, n=number)
    await db(sequencer.sequence_committed)
    seen = await db(lambda: Event.objects.get(payload__n=100).sequence)
    async with open_stream(jwt(owner), f"lastEventId={seen}") as stream:
        assert (await stream.next())["lastEventId"] == seen
        await db(record, owner, n=1000)
        expected = [*range(102, 250, 2), 1000]
        assert [message["payload"]["n"] for message in await stream.events(len(expected))] == expected
        assert await stream.is_silent()


async def test_resume_as_a_first_message() -> None:
    owner = await db(user)
    for number in range(3):
        await db(record, owner, n=number)
    await db(sequencer.sequence_committed)
    async with open_stream(jwt(owner)) as stream:
        await stream.say({"type": "resume", "lastEventId": 1})
        assert (await stream.next())["type"] == "hello"
        assert [message["payload"]["n"] for message in await stream.events(2)] == [1, 2]
        await stream.say({"type": "resume", "lastEventId": 0})
        assert await stream.refusal() == ("BAD_REQUEST", 4400)


async def test_without_resume_the_stream_begins_now() -> None:
    owner = await db(user)
    await db(record, owner, n=1)
    await db(sequencer.sequence_committed)
    async with open_stream(jwt(owner)) as stream:
        hello = await stream.next()
        assert hello["lastEventId"] == 1
        await db(record, owner, n=2)
        assert [message["payload"]["n"] for message in await stream.events(1)] == [2]


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 30])
async def test_a_senseless_last_event_id_is_refused(text: str) -> None:
    owner = await db(user)
    async with open_stream(jwt(owner), f"lastEventId={text}") as stream:
        assert await stream.refusal() == ("BAD_REQUEST", 4400)


async def test_who_resumes_from_before_retention_or_from_elsewhere_is_told() -> None:
    owner = await db(user)
    for number in range(4):
        await db(record, owner, n=number)
    await db(sequencer.sequence_committed)
    await db(lambda: EventCounter.objects.update(swept_through=2))
    async with open_stream(jwt(owner), "lastEventId=1") as stream:
        assert (await stream.next())["type"] == "hello"
        assert (await stream.next())["type"] == "resync"
        assert len(await stream.events(3)) == 3
    async with open_stream(jwt(owner), "lastEventId=4000") as stream:
        assert (await stream.next())["type"] == "hello"
        resync = await stream.next()
        assert (resync["type"], resync["lastEventId"]) == ("resync", 4)
        await db(record, owner, n=9)
        assert [message["payload"]["n"] for message in await stream.events(1)] == [9]


async def test_a_burst_larger_than_the_queue_arrives_whole_and_in_order() -> None:
    owner = await db(user)

    def burst() -> None:
        with transaction.atomic():
            services.record_all([fact(owner, n=number) for number in range(1300)])

    async with open_stream(jwt(owner)) as stream:
        await stream.next()
        await db(record, owner, n=-1)
        await stream.events(1)
        await db(burst)
        assert [message["payload"]["n"] for message in await stream.events(1300)] == list(range(1300))


async def test_a_client_that_reconnects_while_others_write_misses_and_repeats_nothing() -> None:
    owner = await db(user)
    writers, each = 3, 25

    def write() -> None:
        for _ in range(each):
            record(owner)
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(writers)]
    read: list[int] = []
    last = 0
    for thread in threads:
        thread.start()
    while len(read) < writers * each:
        async with open_stream(jwt(owner), f"lastEventId={last}") as stream:
            await stream.next()
            for message in await stream.events(min(7, writers * each - len(read))):
                read.append(message["id"])
                last = message["id"]
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert read == await db(lambda: list(Event.objects.order_by("sequence").values_list("sequence", flat=True)))


async def test_R27_a_client_that_says_nothing_is_let_go_and_one_that_answers_is_not(settings: Any) -> None:
    settings.STREAM_ANSWER_S = 2
    owner = await db(user)
    text = "x" * 60_000
    async with open_stream(jwt(owner)) as silent, open_stream(jwt(owner)) as talking:
        await silent.next()
        await talking.next()
        for _ in range(80):
            await db(record, owner, text=text)
        assert len(await talking.events(80)) == 80
        ends = [await silent.next()]
        while "closed" not in ends[-1]:
            ends.append(await silent.next())
        assert ends[-1] == {"closed": 4408}
        received = [message for message in ends if message.get("type") == "task.status"]
        assert 60 <= len(received) < 80
    async with open_stream(jwt(owner), f"lastEventId={received[-1]['id']}") as again:
        await again.next()
        assert len(await again.events(80 - len(received))) == 80 - len(received)


async def test_what_a_client_says_reaches_nobody() -> None:
    owner = await db(user)
    async with open_stream(jwt(owner)) as one, open_stream(jwt(owner)) as other:
        await one.next()
        await other.next()
        await one.say({"type": "ping"})
        assert (await one.next())["type"] == "pong"
        await one.say({"type": "task.status", "payload": {"taskId": "forged"}})
        assert await one.refusal() == ("BAD_REQUEST", 4400)
        assert await other.is_silent()


async def test_senseless_oversize_and_too_many_messages_end_the_stream() -> None:
    owner = await db(user)
    for message in ("no json", "[1]"):
        async with open_stream(jwt(owner)) as stream:
            await stream.next()
            await stream.say(message)
            assert await stream.refusal() == ("BAD_REQUEST", 4400)
    async with open_stream(jwt(owner)) as stream:
        await stream.next()
        await stream.say("x" * 5000)
        assert await stream.next() == {"closed": 1009}
    async with open_stream(jwt(owner)) as stream:
        await stream.next()
        for _ in range(101):
            await stream.say({"type": "pong"})
        assert await stream.refusal() == ("RATE_LIMITED", 4429)


async def test_a_user_has_only_so_many_streams(settings: Any) -> None:
    settings.STREAM_MAX_PER_USER = 1
    owner, other = await db(user), await db(user)
    async with open_stream(jwt(owner)) as first:
        await first.next()
        async with open_stream(jwt(owner)) as second:
            assert await second.refusal() == ("RATE_LIMITED", 4429)
        async with open_stream(jwt(other)) as third:
            assert (await third.next())["type"] == "hello"
    async with open_stream(jwt(owner)) as again:
        assert (await again.next())["type"] == "hello"


async def test_a_quiet_stream_has_a_heartbeat(settings: Any) -> None:
    settings.STREAM_HEARTBEAT_S = 0.1
    owner = await db(user)
    async with open_stream(jwt(owner)) as stream:
        await stream.next()
        assert (await stream.next())["type"] == "ping"


async def test_a_revoked_token_ends_its_open_stream(settings: Any) -> None:
    settings.STREAM_CHECK_S = 0.1
    owner, operator = await db(user), await db(user, staff=True)
    row, token = await db(accounts.issue_token, operator, owner, name="a")
    async with open_stream(token) as stream:
        await stream.next()
        await db(accounts.revoke_token, operator, row)
        assert await stream.refusal() == ("INVALID_TOKEN", 4401)
    assert await db(lambda: ApiToken.objects.get().revoked_at) is not None


async def test_the_admin_session_of_an_operator_is_accepted_from_our_own_pages_only() -> None:
    def log_in(person: User) -> str:
        client = Client()
        client.force_login(person)
        return f"sessionid={client.cookies['sessionid'].value}"

    operator, owner = await db(user, staff=True), await db(user)
    cookie = await db(log_in, operator)
    async with open_stream(query="all=1", headers={"cookie": cookie, "origin": "http://testserver"}) as stream:
        assert (await stream.next())["type"] == "hello"
    for headers in ({"cookie": cookie, "origin": "http://elsewhere.example"}, {"cookie": cookie}):
        async with open_stream(headers=headers) as stream:
            assert await stream.refusal() == ("FORBIDDEN", 4403)
    cookie = await db(log_in, owner)
    async with open_stream(headers={"cookie": cookie, "origin": "http://testserver"}) as stream:
        assert await stream.refusal() == ("AUTHORIZATION_REQUIRED", 4401)


async def test_another_websocket_address_is_closed() -> None:
    communicator = WebsocketCommunicator(application, "/api/notify/v1/other")
    assert (await communicator.connect())[0]
    assert (await communicator.receive_output())["code"] == 4404
    await communicator.disconnect()
