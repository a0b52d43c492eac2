"""Chats of the simulated Coze with a bot that has local tools. What the bot does is a script that a test gives."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.coze_wire import EventStream, fail, ok

if TYPE_CHECKING:
    from tests.simulators.coze import CozeSimulator

OPEN = ("created", "in_progress", "requires_action")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One tool call. `kind` reply_message is a workflow's question, which is not a tool's to answer."""

    name: str
    arguments: Any = ""
    id: str = ""
    kind: str = "function"


@dataclass(frozen=True, kw_only=True)
class Round:
    """What the bot says, then whom it calls; without calls the chat completes.

    fault: cut (the stream breaks off in mid-event), error (an error event), unknown (an event nobody knows), json (JSON
    in place of a stream), no_done (the stream ends without `done`), failed (the chat ends badly).
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    fault: str = ""
    seconds: float = 0.0


def round_of(item: Mapping[str, Any]) -> Round:
    """A round from JSON."""
    return Round(**{**item, "calls": tuple(Call(**call) for call in item.get("calls", ()))})


@dataclass(kw_only=True)
class Chat:
    id: str
    conversation_id: str
    bot_id: str
    user_id: str
    saves_history: bool
    rounds: deque[Round]
    status: str = "created"
    calls: tuple[Call, ...] = ()
    created_at: int = field(default_factory=lambda: int(time.time()))
    messages: list[dict[str, Any]] = field(default_factory=list)
    submits: list[list[dict[str, Any]]] = field(default_factory=list)
    """The tool outputs of each submit that was accepted."""
    error: dict[str, Any] | None = None

    @property
    def outputs(self) -> list[Any]:
        """What the tools answered, in order, read as JSON."""
        return [json.loads(item["output"]) for submit in self.submits for item in submit]

    def as_json(self) -> dict[str, Any]:
        action = None
        if self.status == "requires_action":
            asked = [
                {
                    "id": call.id,
                    "type": call.kind,
                    "function": {"name": call.name, "arguments": _arguments(call)} if call.kind == "function" else None,
                }
                for call in self.calls
            ]
            action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": asked}}
        return {
            "id": self.id,
            "conversation_id": self.conversation_id,
            "bot_id": self.bot_id,
            "created_at": self.created_at,
            "completed_at": int(time.time()) if self.status == "completed" else None,
            "failed_at": int(time.time()) if self.status == "failed" else None,
            "last_error": self.error,
            "status": self.status,
            "required_action": action,
            "usage": {"token_count": 12, "output_count": 4, "input_count": 8},
        }


class Chats:
    def __init__(self, coze: CozeSimulator) -> None:
        self.coze = coze
        self.by_id: dict[str, Chat] = {}
        self.conversations: dict[str, list[str]] = {}
        """Conversation to its chats, oldest first."""
        self.bots: set[str] = set()
        """Bots that exist; empty means any."""
        self._scripts: deque[deque[Round]] = deque()
        self._ids = itertools.count(7_382_000_000_000_000_001)

    @property
    def all(self) -> list[Chat]:
        return list(self.by_id.values())

    def script(self, *rounds: Round) -> None:
        """What the next chat that is opened will be. Without one, the bot says hello."""
        self._scripts.append(deque(rounds))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v3/chat", self.create),
            web.post("/v3/chat/submit_tool_outputs", self.submit),
            web.post("/v3/chat/retrieve", self.retrieve),
            web.get("/v3/chat/retrieve", self.retrieve),
            web.get("/v3/chat/message/list", self.list_messages),
            web.post("/v3/chat/cancel", self.cancel),
            web.post("/v1/conversation/create", self.create_conversation),
            web.post("/v1/conversation/message/list", self.list_conversation),
        ]

    async def create_conversation(self, _request: web.Request) -> web.Response:
        conversation_id = str(next(self._ids))
        self.conversations[conversation_id] = []
        return ok({"id": conversation_id, "created_at": int(time.time()), "meta_data": {}, "last_section_id": "1"})

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if problem := self._find_problem(body, request.query.get("conversation_id", "")):
            return problem
        conversation_id = request.query.get("conversation_id") or str(next(self._ids))
        script = self._scripts.popleft() if self._scripts else deque([Round(text="你好，\u2028我在。")])
        chat = Chat(
            id=str(next(self._ids)),
            conversation_id=conversation_id,
            bot_id=body["bot_id"],
            user_id=body["user_id"],
            saves_history=bool(body.get("auto_save_history", True)),
            rounds=deque(script),
        )
        self.by_id[chat.id] = chat
        self.conversations.setdefault(conversation_id, []).append(chat.id)
        chat.messages += [
            self._message(chat, item["type"], item["content"], role=item["role"])
            for item in body["additional_messages"]
        ]
        return await self._tell(request, chat, is_new=True) if body.get("stream") else self._answer(chat)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        chat = self._chat_of(request)
        if isinstance(chat, web.Response):
            return chat
        body = json.loads(await request.read())
        if chat.status != "requires_action" or not self._fits(chat, body.get("tool_outputs")):
            return fail(4000, "Invalid tool outputs.")
        if not chat.saves_history:
            return fail(5000, "Internal server error.")
        chat.submits.append(body["tool_outputs"])
        chat.messages += [self._message(chat, "tool_output", item["output"]) for item in body["tool_outputs"]]
        chat.status, chat.calls = "in_progress", ()
        return await self._tell(request, chat, is_new=False) if body.get("stream") else self._answer(chat)

    async def retrieve(self, request: web.Request) -> web.Response:
        chat = self._chat_of(request)
        return chat if isinstance(chat, web.Response) else ok(chat.as_json())

    async def list_messages(self, request: web.Request) -> web.Response:
        chat = self._chat_of(request)
        return chat if isinstance(chat, web.Response) else ok(chat.messages)

    async def list_conversation(self, request: web.Request) -> web.Response:
        chats = self.conversations.get(request.query.get("conversation_id", ""))
        if chats is None:
            return fail(4002, "The conversation does not exist.")
        found = [message for chat_id in chats for message in self.by_id[chat_id].messages][::-1]
        ids = [message["id"] for message in found] or [""]
        return ok(found, first_id=ids[0], last_id=ids[-1], has_more=False)

    async def cancel(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        chat = self.by_id.get(body.get("chat_id", ""))
        if chat is None:
            return fail(4001, "The chat does not exist.")
        if chat.status in ("completed", "failed", "requires_action"):
            return fail(4104, "The chat cannot be cancelled in its state.")
        chat.status = "canceled"
        return ok(chat.as_json())

    def _find_problem(self, body: Mapping[str, Any], conversation_id: str) -> web.Response | None:
        if not body.get("bot_id") or not body.get("user_id"):
            return fail(4000, "Request parameter error: bot_id, user_id")
        if self.bots and body["bot_id"] not in self.bots:
            return fail(4015, "The bot is not published to the channel Agent As API.")
        if body.get("stream") is False and body.get("auto_save_history") is False:
            return fail(4007, "auto_save_history must be true when stream is false.")
        if conversation_id and conversation_id not in self.conversations:
            return fail(4002, "The conversation does not exist.")
        chats = [self.by_id[chat_id] for chat_id in self.conversations.get(conversation_id, ())]
        if any(chat.status in OPEN for chat in chats):
            return fail(4016, "The conversation has a chat that is running.")
        return None

    def _chat_of(self, request: web.Request) -> Chat | web.Response:
        chat = self.by_id.get(request.query.get("chat_id", ""))
        if chat is None:
            return fail(4001, "The chat does not exist.")
        if chat.conversation_id != request.query.get("conversation_id"):
            return fail(4002, "The conversation does not exist.")
        return chat

    def _fits(self, chat: Chat, outputs: Any) -> bool:
        """Every call answered once, each with JSON text."""
        try:
            ids = sorted(item["tool_call_id"] for item in outputs)
            for item in outputs:
                json.loads(item["output"])
        except (TypeError, KeyError, ValueError):
            return False
        return ids == sorted(call.id for call in chat.calls)

    def _answer(self, chat: Chat) -> web.Response:
        """The chat as it is now; it goes on by itself."""
        chat.status = "in_progress"
        asyncio.get_running_loop().create_task(self._go_on(chat))
        return ok(chat.as_json())

    async def _go_on(self, chat: Chat) -> None:
        await asyncio.sleep(chat.rounds[0].seconds if chat.rounds else 0)
        self._play(chat)

    def _play(self, chat: Chat) -> tuple[Round, Sequence[dict[str, Any]]]:
        """The next round happens, whether or not anybody still listens."""
        act = chat.rounds.popleft() if chat.rounds else Round()
        said = [self._message(chat, "answer", act.text)] if act.text else []
        chat.calls = tuple(
            Call(name=call.name, arguments=call.arguments, id=call.id or f"call_{next(self._ids)}", kind=call.kind)
            for call in act.calls
        )
        said += [
            self._message(chat, "function_call", json.dumps({"name": call.name, "arguments": _arguments(call)}))
            for call in chat.calls
        ]
        chat.messages += said
        chat.status = "requires_action" if chat.calls else "failed" if act.fault == "failed" else "completed"
        if chat.status == "failed":
            chat.error = {"code": 5000, "msg": "the model is overloaded"}
        return act, said

    async def _tell(self, request: web.Request, chat: Chat, *, is_new: bool) -> web.StreamResponse:
        if chat.rounds and chat.rounds[0].fault == "json":
            self._play(chat)
            return fail(4009, "The request rate is too high.")
        stream = await EventStream(request).open()
        chat.status = "in_progress"
        if is_new:
            await stream.send("conversation.chat.created", chat.as_json() | {"status": "created"})
            await stream.send("conversation.chat.in_progress", chat.as_json())
        await asyncio.sleep(chat.rounds[0].seconds if chat.rounds else 0)
        act, said = self._play(chat)
        if act.fault == "unknown":
            await stream.send("conversation.chat.sleeping", {"id": chat.id})
        for message in said:
            if message["type"] == "answer":
                for start in range(0, len(message["content"]), 4):
                    piece = message | {"content": message["content"][start : start + 4]}
                    await stream.send("conversation.message.delta", piece)
            await stream.send("conversation.message.completed", message)
        if act.fault == "cut":
            return await stream.cut()
        if act.fault == "error":
            await stream.send("error", {"code": 5000, "msg": "internal server error"})
            return await stream.end()
        await stream.send(f"conversation.chat.{chat.status}", chat.as_json())
        if act.fault != "no_done":
            await stream.send("done", '"[DONE]"')
        return await stream.end()

    def _message(self, chat: Chat, kind: str, content: str, *, role: str = "assistant") -> dict[str, Any]:
        return {
            "id": str(next(self._ids)),
            "conversation_id": chat.conversation_id,
            "bot_id": chat.bot_id,
            "chat_id": chat.id,
            "role": role,
            "type": kind,
            "content": content,
            "content_type": "text",
            "created_at": int(time.time()),
        }


def _arguments(call: Call) -> str:
    """JSON text; for a tool without arguments the empty text, as the real one may send."""
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
