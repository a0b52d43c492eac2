"""Leads one chat from its question to its end, through cut streams, repeated tool calls and restarts of ours.

The stream is only the quick way to hear; what counts is what Coze says when it is asked. So any stream may break at any
place: the chat is then looked up, and goes on from where it really is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import httpx
from cozepy import (
    AsyncCoze,
    Chat,
    ChatEvent,
    ChatEventType,
    ChatStatus,
    ChatToolCallType,
    CozeAPIError,
    Message,
    MessageType,
    ToolOutput,
)

from abilities import services as abilities
from coze_plugin.bridge import records
from coze_plugin.bridge.tools import Toolbox, ToolCall, failure
from coze_plugin.models import BridgeChat

log = logging.getLogger(__name__)

ENDED: Final = frozenset({ChatStatus.COMPLETED, ChatStatus.FAILED, ChatStatus.CANCELED, "cancelled", "expired"})
DEFINITE: Final = frozenset({4000, 4001, 4002, 4006, 4015, 4100, 4101})
"""Refusals that asking again does not change; any other may be the rate, or trouble of Coze's own."""
MAX_TOOL_CALLS: Final = 60
"""Beyond it tools answer with an error, so that a bot that calls in circles comes to an end."""
MAX_SUBMITS: Final = 8
MAX_PARALLEL: Final = 4


class LostClaim(Exception):
    """Another process leads this chat now."""


class Hopeless(Exception):
    """The chat cannot be brought to an end; the sentence says why."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every chat of one process shares. Times in seconds."""

    coze: AsyncCoze
    toolbox: Toolbox
    claimer: str
    pause_s: float = 1.0
    """Between two questions after a chat that goes on without a stream; Coze allows one a second."""
    deadline_s: float = 1800.0
    """After it tools answer with an error at once; after twice that the chat is given up."""


@dataclass
class Talk:
    """One chat under way. `outputs` keeps what tools said: a submit that failed is repeated, the tools are not."""

    desk: Desk
    row: BridgeChat
    outputs: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    submits: int = 0
    began_at: float = field(default_factory=time.monotonic)

    async def lead(self) -> None:
        """To the end, which is written down. Raises LostClaim; CancelledError leaves the chat to the next process."""
        try:
            chat = await (self._take_up() if self.row.conversation_id and self._is_open else self._open())
            while chat is None or chat.status not in ENDED:
                if time.monotonic() - self.began_at > 2 * self.desk.deadline_s:
                    raise Hopeless("The chat did not come to its end in time.")
                if chat is not None and chat.status == ChatStatus.REQUIRES_ACTION:
                    chat = await self._act(chat)
                else:
                    await asyncio.sleep(self.desk.pause_s)
                    chat = await self._look_up()
        except Hopeless as error:
            await self._end(BridgeChat.State.FAILED, error=str(error))
        except CozeAPIError as error:
            await self._end(BridgeChat.State.FAILED, error=f"Coze {error.code}: {error.msg}")
        else:
            await self._finish(chat)

    @property
    def _is_late(self) -> bool:
        return time.monotonic() - self.began_at > self.desk.deadline_s

    @property
    def _is_open(self) -> bool:
        return self.row.state == BridgeChat.State.OPEN

    async def _open(self) -> Chat | None:
        """A conversation of its own first: in it a chat can be found whose first answer was lost."""
        if not self.row.conversation_id:
            conversation = await self.desk.coze.conversations.create(bot_id=self.row.bot_id)
            await self._note(conversation_id=conversation.id)
        await self._note(state=BridgeChat.State.OPEN)
        question = Message.build_user_question_text(self.row.question)
        while True:
            events = self.desk.coze.chat.stream(
                bot_id=self.row.bot_id,
                user_id=self.row.coze_user_id,
                conversation_id=self.row.conversation_id,
                additional_messages=[question],
                auto_save_history=True,
            )
            try:
                return await self._listen(events)
            except CozeAPIError as error:
                if error.code in DEFINITE or self._is_late:
                    raise
                log.info("chat %s cannot be opened yet: Coze %s: %s", self.row.pk, error.code, error.msg)
            # 4016: an earlier chat of this conversation is not at its end, which may be one of ours.
            await asyncio.sleep(self.desk.pause_s)
            if (chat := await self._find_own()) is not None:
                return chat

    async def _take_up(self) -> Chat | None:
        """After a crash: the chat we know, the one the conversation shows, or none was opened and it is opened now."""
        if self.row.chat_id:
            return await self._look_up()
        return await self._find_own() or await self._open()

    async def _find_own(self) -> Chat | None:
        """The chat of this conversation that no other row knows: ours, whose `created` we never heard."""
        known = await abilities.in_thread(partial(_chats_of, self.row.conversation_id))
        page = await self.desk.coze.conversations.messages.list(conversation_id=self.row.conversation_id, limit=20)
        for message in page.items:
            if message.chat_id and message.chat_id not in known:
                await self._note(chat_id=message.chat_id)
                return await self._look_up()
        return None

    async def _listen(self, events: AsyncIterator[ChatEvent]) -> Chat | None:
        """What the stream told last of the chat; None when it must be looked up. Raises CozeAPIError.

        Coze's refusal of a stream is an answer; whatever else breaks a stream says nothing about the chat.
        """
        told: Chat | None = None
        try:
            async for event in events:
                if event.chat is not None:
                    if event.event == ChatEventType.CONVERSATION_CHAT_REQUIRES_ACTION:
                        event.chat.status = ChatStatus.REQUIRES_ACTION
                    await self._heard_of(event.chat)
                    if event.chat.status in ENDED or event.chat.status == ChatStatus.REQUIRES_ACTION:
                        told = event.chat
                        break
                elif event.message is not None:
                    self._hear(event.event, event.message)
        except (CozeAPIError, LostClaim):
            raise
        except Exception as error:  # noqa: BLE001 - cozepy raises a bare Exception for an error event, httpx many kinds
            log.info("the stream of chat %s broke: %s", self.row.chat_id or self.row.pk, error)
        finally:
            if (close := getattr(events, "aclose", None)) is not None:
                await close()
        return told

    def _hear(self, name: ChatEventType, message: Message) -> None:
        if name == ChatEventType.CONVERSATION_MESSAGE_COMPLETED and message.type == MessageType.ANSWER:
            self.heard.append(message.content)

    async def _heard_of(self, chat: Chat) -> None:
        if (self.row.chat_id, self.row.coze_status) != (chat.id, str(chat.status.value)):
            await self._note(chat_id=chat.id, conversation_id=chat.conversation_id, coze_status=str(chat.status.value))

    async def _look_up(self) -> Chat | None:
        """Coze's own word for where the chat is; None where it cannot be asked just now."""
        if not self.row.chat_id:
            return await self._find_own() or await self._open()
        try:
            chat = await self.desk.coze.chat.retrieve(
                conversation_id=self.row.conversation_id, chat_id=self.row.chat_id
            )
        except CozeAPIError as error:
            if error.code in DEFINITE:
                raise
            log.info("chat %s cannot be looked up: Coze %s: %s", self.row.chat_id, error.code, error.msg)
            return None
        except httpx.HTTPError as error:
            log.info("chat %s cannot be looked up: %s", self.row.chat_id, error)
            return None
        await self._heard_of(chat)
        return chat

    async def _act(self, chat: Chat) -> Chat | None:
        """Run every tool that is asked for, and submit all answers in one request."""
        action = chat.required_action
        asked = action.submit_tool_outputs.tool_calls if action and action.submit_tool_outputs else []
        calls = [
            ToolCall(chat_id=chat.id, id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in asked
            if call.type == ChatToolCallType.FUNCTION and call.function is not None
        ]
        if not calls:
            raise Hopeless("The bot's workflow asks the user a question; the user must answer in this conversation.")
        fresh = [call for call in calls if call.id not in self.outputs]
        self.submits = 0 if fresh else self.submits + 1
        if self.submits >= MAX_SUBMITS:
            raise Hopeless("Coze did not take the tools' answers.")
        if self.submits:
            await asyncio.sleep(self.desk.pause_s * 2 ** (self.submits - 1))
        await self._run(fresh)
        outputs = [ToolOutput(tool_call_id=call.id, output=self.outputs[call.id]) for call in calls]
        events = self.desk.coze.chat.submit_tool_outputs_stream(
            conversation_id=chat.conversation_id, chat_id=chat.id, tool_outputs=outputs
        )
        try:
            return await self._listen(events)
        except CozeAPIError as error:
            # Taken after all, or to be repeated: looking the chat up tells which.
            log.warning("Coze answered %s to the tools of chat %s: %s", error.code, chat.id, error.msg)
            return None

    async def _run(self, calls: list[ToolCall]) -> None:
        turn = asyncio.Semaphore(MAX_PARALLEL)

        async def run(call: ToolCall) -> None:
            async with turn:
                self.outputs[call.id] = await self._answer(call)

        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(run(call))
        if calls:
            await self._note(tool_calls=self.row.tool_calls + len(calls))

    async def _answer(self, call: ToolCall) -> str:
        if self._is_late or len(self.outputs) >= MAX_TOOL_CALLS:
            return self.desk.toolbox.as_text(failure("CHAT_TOO_LONG", "This chat has called enough tools. Answer now."))
        return await self.desk.toolbox.answer(call)

    async def _finish(self, chat: Chat) -> None:
        text = "\n".join(self.heard)
        try:
            messages = await self.desk.coze.chat.messages.list(conversation_id=chat.conversation_id, chat_id=chat.id)
            text = "\n".join(item.content for item in messages if item.type == MessageType.ANSWER) or text
        except (CozeAPIError, httpx.HTTPError) as error:
            log.info("the messages of chat %s cannot be listed: %s", chat.id, error)
        if chat.status == ChatStatus.COMPLETED:
            await self._end(BridgeChat.State.DONE, answer=text)
            return
        cause = f"{chat.last_error.code}: {chat.last_error.msg}" if chat.last_error else str(chat.status.value)
        await self._end(BridgeChat.State.FAILED, answer=text, error=f"The chat ended as {cause}")

    async def _note(self, **changes: object) -> None:
        if not await abilities.in_thread(partial(records.note, self.row, self.desk.claimer, **changes)):
            raise LostClaim

    async def _end(self, state: str, *, answer: str = "", error: str = "") -> None:
        end = partial(records.end, self.row, self.desk.claimer, state=state, answer=answer, error=error)
        if not await abilities.in_thread(end):
            raise LostClaim


def _chats_of(conversation_id: str) -> set[str]:
    return set(BridgeChat.objects.filter(conversation_id=conversation_id).values_list("chat_id", flat=True))
