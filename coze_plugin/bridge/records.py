"""The chats of the bridge in the database. Who leads one has a claim that runs out: a dead process holds none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from coze_plugin.models import BridgeChat

CLAIM_S: Final = 60.0
RENEW_S: Final = 15.0
_OPEN: Final = (BridgeChat.State.WAITING, BridgeChat.State.OPEN)


def add(*, bot_id: str, coze_user_id: str, question: str, conversation_id: str = "") -> BridgeChat:
    """A chat that the next free bridge opens."""
    return BridgeChat.objects.create(
        bot_id=bot_id, coze_user_id=coze_user_id, question=question, conversation_id=conversation_id
    )


def claim_due(claimer: str, *, limit: int) -> list[BridgeChat]:
    """Chats that nobody leads, oldest first, now led by `claimer`."""
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    due = list(BridgeChat.objects.filter(free, state__in=_OPEN).order_by("id").values_list("pk", flat=True)[:limit])
    return [row for pk in due if (row := claim(pk, claimer)) is not None]


def claim(pk: int, claimer: str) -> BridgeChat | None:
    """None when another one leads it, or it has ended."""
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    until = now + timedelta(seconds=CLAIM_S)
    taken = BridgeChat.objects.filter(free, pk=pk, state__in=_OPEN).update(claimed_until=until, claimed_by=claimer)
    return BridgeChat.objects.get(pk=pk) if taken else None


def renew(pk: int, claimer: str) -> bool:
    """False when the claim has run out and another process leads the chat now: stop at once."""
    until = timezone.now() + timedelta(seconds=CLAIM_S)
    mine = BridgeChat.objects.filter(pk=pk, claimed_by=claimer, state__in=_OPEN)
    return bool(mine.update(claimed_until=until))


def release(pk: int, claimer: str, *, pause_s: float = 0.0) -> None:
    """Another process may go on, at once or after a pause."""
    until = timezone.now() + timedelta(seconds=pause_s) if pause_s else None
    BridgeChat.objects.filter(pk=pk, claimed_by=claimer, state__in=_OPEN).update(claimed_until=until)


def note(row: BridgeChat, claimer: str, **changes: Any) -> bool:
    """Write what has become known. False, and nothing written, when the chat is led by another one now."""
    written = BridgeChat.objects.filter(pk=row.pk, claimed_by=claimer, state__in=_OPEN).update(**changes)
    if written:
        for name, value in changes.items():
            setattr(row, name, value)
    return bool(written)


def end(row: BridgeChat, claimer: str, *, state: str, answer: str = "", error: str = "") -> bool:
    now = timezone.now()
    return note(row, claimer, state=state, answer=answer, error=error[:2000], ended_at=now, claimed_until=None)
