"""One tool call of a bot, answered by a task of ours. Whatever happens, there is an answer: a chat must not hang."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from cozepy import CozeAPIError
from django.utils.translation import gettext as _

from abilities import services as abilities
from abilities.models import Ability, Task, TaskAsset
from coze_plugin import answers, naming, translate
from coze_plugin.bridge.plugin import FILE_ID, HIDDEN, LocalTool
from coze_plugin.services import Offer
from media import services as media
from podi.base.errors import PodiError
from podi.base.models import User

log = logging.getLogger(__name__)

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
Upload = Callable[[str, bytes], Awaitable[str]]
"""File name and bytes to the id under which Coze keeps them."""


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """`chat_id` and `id` together are the same for a call that is asked again after a crash."""

    chat_id: str
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """The tools of one bridge: what they are, as whom they run, how long a call waits for its task (seconds)."""

    actor: User
    tools: Mapping[str, LocalTool]
    wait_s: float
    upload: Upload | None = field(default=None, repr=False)

    async def answer(self, call: ToolCall) -> str:
        """The JSON text of the result, or of `{"error": {"code", "message"}, ...}`. Never raises an Exception."""
        # Gathered, so that what breaks inside is a value: nothing can cancel a chat that waits for a tool.
        found = (await asyncio.gather(self._answer(call), return_exceptions=True))[0]
        if isinstance(found, dict):
            return self.as_text(found)
        if isinstance(found, PodiError):
            return self.as_text(failure(found.detail, str(found.text), **answers.refused(found, request_id="")))
        if not isinstance(found, Exception):
            raise found
        log.error("tool %s of chat %s broke off", call.name, call.chat_id, exc_info=found)
        return self.as_text(failure("INTERNAL_ERROR", _("The tool broke off inside PODI. Nothing more is known.")))

    @staticmethod
    def as_text(result: Mapping[str, Any]) -> str:
        return json.dumps({key: value for key, value in result.items() if key not in HIDDEN}, ensure_ascii=False)

    async def _answer(self, call: ToolCall) -> dict[str, Any]:
        tool = self.tools.get(call.name)
        if tool is None:
            known = ", ".join(sorted(self.tools))
            return failure(
                "TOOL_UNKNOWN", _("There is no tool %(name)s. Known: %(known)s.") % vars_of(call, known=known)
            )
        arguments = read_arguments(call.arguments)
        if arguments is None:
            return failure("ARGUMENTS_INVALID", _("The arguments are not a JSON object."))
        if tool.offer is None:
            task = await abilities.in_thread(lambda: self._find(arguments))
        else:
            offer = tool.offer
            task = await abilities.in_thread(lambda: self._task_of(call, offer, arguments))
        if not task.is_terminal:
            await abilities.wait_for_end(task.pk, seconds=self.wait_s)
        result, picture = await abilities.in_thread(lambda: _read(task.pk))
        if picture is not None and self.upload is not None:
            result[FILE_ID] = await self._uploaded(picture)
        return result

    def _find(self, arguments: Mapping[str, Any]) -> Task:
        return abilities.find_task(self.actor, str(arguments.get("taskId") or ""))

    def _task_of(self, call: ToolCall, offer: Offer, arguments: Mapping[str, Any]) -> Task:
        """The task of this call. A call that is asked again after a crash finds the one that was made for it."""
        once = once_for(call)
        if (earlier := abilities.repeated_task(self.actor, once)) is not None:
            return earlier
        ability = Ability.objects.get(pk=offer.ability.pk)
        wanted = translate.read_call(ability, arguments, {})
        prepared = abilities.prepare(ability.pk, wanted)
        return abilities.create_task(self.actor, prepared, source=Task.Source.COZE, once=once).task

    async def _uploaded(self, picture: tuple[str, bytes]) -> str:
        """The file id; empty where Coze did not take the file. The result has its link all the same."""
        assert self.upload is not None
        try:
            return await self.upload(*picture)
        except (CozeAPIError, httpx.HTTPError):
            log.warning("Coze did not take the picture %s", picture[0], exc_info=True)
            return ""


def read_arguments(text: str) -> dict[str, Any] | None:
    """Coze sends JSON text, and the empty text for a tool without arguments. None for anything else."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def once_for(call: ToolCall) -> abilities.Once:
    mark = hashlib.sha256(f"{call.name}\n{call.arguments}".encode()).hexdigest()
    return abilities.Once(key=f"coze-bridge:{call.chat_id}:{call.id}"[:200], fingerprint=mark)


def failure(code: str, message: str, **more: Any) -> dict[str, Any]:
    """A clear failure, in the shape of every answer."""
    shown = more or answers.shape(errorCode=code, errorMessage=message, text=answers.FAILED, texts=[message])
    return {"error": {"code": code, "message": message}, **shown}


def vars_of(call: ToolCall, **more: str) -> dict[str, str]:
    return {"name": call.name, **more}


def _read(task_id: str) -> tuple[dict[str, Any], tuple[str, bytes] | None]:
    """The task's answer, and its first picture where it succeeded with one."""
    task = Task.objects.select_related("executor").get(pk=task_id)
    answer = answers.of_task(task)
    if task.state != Task.State.SUCCEEDED:
        if task.is_terminal:
            answer = failure(answer["errorCode"], answer["errorMessage"], **answer)
        else:
            answer["text"] = _("Still running. Call %(tool)s with this taskId in a while.") % {"tool": naming.TASK_GET}
        return answer, None
    outputs = task.assets.select_related("asset").filter(asset_type=TaskAsset.Type.OUTPUT).order_by("position")
    for row in outputs:
        asset = row.asset
        if asset.content_type.startswith("image/") and asset.size_bytes <= MAX_FILE_BYTES:
            with media.open_asset(asset) as file:
                return answer, (asset.file_name or asset.object_key.rsplit("/", 1)[-1], file.read())
    return answer, None
