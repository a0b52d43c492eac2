"""Trial runs: a tool answers with a sample of its own, and nothing is stored, run or paid for.

Coze's debug run cannot be told from a real call by anything a caller could not also send in earnest, so nothing is
guessed: a trial is asked for in the body (`dryRun`), or an operator switches a tool to samples for a limited time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from django.utils import timezone

from abilities import services as abilities
from abilities.models import Ability
from coze_plugin import addressing, answers, translate
from coze_plugin.services import Offer
from podi.base.errors import PodiError
from podi.base.ids import decode_task_id, encode_task_id

SAMPLE_TEXT: Final = "这是试运行的示例文本，没有真正执行，也没有产生费用。"
_MARK: Final = "c02e7e57"
"""With the 0 where a random id has its version digit, no task of ours can ever have such an id."""
_FILES: Final = {"images": "sample.png", "videos": "sample.mp4", "files": "sample.zip"}


def _digits(ability_id: str) -> str:
    digest = hashlib.sha256(ability_id.encode()).hexdigest()
    return f"{_MARK}{digest[:4]}0{digest[4:23]}"


ANY_TASK_ID: Final = encode_task_id(_digits(""), provider="podi", executor_id="trial")
"""For a sample that belongs to no ability."""


def is_trial(offer: Offer, body: Mapping[str, Any]) -> bool:
    return offer.tool.is_on_trial(timezone.now()) or translate.wants_dry_run(offer.ability, body)


def sample(offer: Offer, body: Mapping[str, Any], headers: Mapping[str, str], *, server: str) -> dict[str, Any]:
    """A sample of this tool. What a real call would be refused for is told in `debugResponse`."""
    told = "试运行：没有执行，没有费用。"
    ignored: tuple[str, ...] = ()
    try:
        call = translate.read_call(offer.ability, body, headers)
        ignored = call.unknown
        abilities.prepare(offer.ability.pk, call)
    except PodiError as error:
        told += f"同样参数的正式调用会被拒绝：{error}"
    return sample_of(offer.ability, server=server, task_id=task_id_of(offer.ability), told=told) | {
        "ignoredInputs": list(ignored)
    }


def sample_of(ability: Ability | None, *, server: str, task_id: str, told: str = "") -> dict[str, Any]:
    """A finished task's answer with a file of each kind that the ability gives."""
    counts = _output_counts(ability)
    urls = {kind: [addressing.sample_url(server, name)] if counts.get(kind) else [] for kind, name in _FILES.items()}
    return answers.shape(
        texts=[SAMPLE_TEXT] if counts.get("texts") else [],
        imageUrls=urls["images"],
        videoUrls=urls["videos"],
        fileUrls=urls["files"],
        taskId=task_id,
        taskStatus=answers.SUCCEEDED,
        executorId="trial",
        executorName="trial",
        expectedImageCount=counts.get("images", 0),
        requestId="trial",
        dryRun=True,
        debugResponse=told or "试运行的示例。",
    )


def sample_queues() -> dict[str, Any]:
    server = {**answers.NO_SERVER, "executorId": "trial", "name": "trial", "running": 1, "pending": 2}
    server |= {"runningCount": 1, "pendingCount": 2, "queueMaxSize": 10, "supported": True, "message": "dryRun"}
    moment = timezone.now().isoformat().replace("+00:00", "Z")
    return {"totalRunning": 1, "totalPending": 2, "totalCount": 3, "timestamp": moment, "servers": [server]}


def task_id_of(ability: Ability) -> str:
    """The id that stands for this ability's sample; `tasks/get` answers it without any row (R11)."""
    return encode_task_id(_digits(ability.pk), provider=ability.provider, executor_id="trial")


def is_trial_id(task_id: str) -> bool:
    raw = decode_task_id(task_id)
    return len(raw) == 32 and raw.startswith(_MARK) and raw[12] == "0"


def ability_of(task_id: str) -> Ability | None:
    """Whose sample an id stands for; None when that ability is gone."""
    raw = decode_task_id(task_id)
    return next((ability for ability in abilities.active_abilities() if _digits(ability.pk) == raw), None)


def _output_counts(ability: Ability | None) -> dict[str, int]:
    metadata = (ability.metadata or {}) if ability else {}
    promised = metadata.get("outputs")
    if isinstance(promised, Mapping) and promised:
        counts = {str(kind): 1 if isinstance(count, str) else int(count or 0) for kind, count in promised.items()}
        return {kind: count for kind, count in counts.items() if kind in {"texts", *_FILES}} or {"images": 1}
    category = ability.category if ability else ""
    return {"videos": 1} if "video" in category else {"texts": 1} if "text" in category else {"images": 1}
