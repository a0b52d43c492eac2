"""Our API keys at providers: which one serves next (contract 5.9), and what a success or a refusal does to it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Case, F, FilteredRelation, Min, Q, QuerySet, When

from executors.models import ApiKey, Executor

COOLDOWN_S = 120.0
"""Pause of a key after "too many requests" when the provider names no time."""


def usable(provider: str, now: datetime) -> QuerySet[ApiKey]:
    """Active, not expired, not pausing, daily quota not used up. The day is the UTC day."""
    return ApiKey.objects.filter(
        Q(expire_at__isnull=True) | Q(expire_at__gt=now),
        Q(cooldown_until__isnull=True) | Q(cooldown_until__lte=now),
        Q(daily_quota__isnull=True) | ~Q(usage_day=now.date()) | Q(used_today__lt=F("daily_quota")),
        provider=provider,
        status=ApiKey.State.ACTIVE,
    )


def pick(provider: str, executor: Executor | None, now: datetime) -> ApiKey | None:
    """Keys of the executor by priority, then uses, then id; after them any key of the provider. One query."""
    keys = usable(provider, now)
    if executor is not None:
        keys = keys.annotate(link=FilteredRelation("executorapikey", condition=Q(executorapikey__executor=executor)))
        return keys.order_by(F("link__priority").asc(nulls_last=True), "usage_count", "pk").first()
    return keys.order_by("usage_count", "pk").first()


def seconds_until_one_returns(provider: str, now: datetime) -> float | None:
    """When waiting helps by itself: the earliest end of a pause, or the next day for a used-up quota."""
    waiting = ApiKey.objects.filter(
        Q(expire_at__isnull=True) | Q(expire_at__gt=now), provider=provider, status=ApiKey.State.ACTIVE
    )
    end: datetime | None = waiting.filter(cooldown_until__gt=now).aggregate(end=Min("cooldown_until"))["end"]
    if end is not None:
        return (end - now).total_seconds()
    if waiting.exists():
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight - now).total_seconds()
    return None


def count_use(key_id: str, now: datetime) -> None:
    """One more use, in one statement, on whichever day it is."""
    today = now.date()
    ApiKey.objects.filter(pk=key_id).update(
        usage_count=F("usage_count") + 1,
        used_today=Case(When(usage_day=today, then=F("used_today") + 1), default=1),
        usage_day=today,
        last_used_at=now,
    )


def pause(key_id: str, until: datetime, reason: str) -> bool:
    """Let the key rest. A longer pause that is already set stays. False when nothing changed."""
    shorter = Q(cooldown_until__isnull=True) | Q(cooldown_until__lt=until)
    return bool(ApiKey.objects.filter(shorter, pk=key_id).update(cooldown_until=until, cooldown_reason=reason[:128]))


def set_aside(key_id: str, reason: str) -> bool:
    """Out of the rotation until an operator looks. True only for whoever did it first."""
    return bool(
        ApiKey.objects.filter(pk=key_id, status=ApiKey.State.ACTIVE).update(
            status=ApiKey.State.EXHAUSTED, cooldown_reason=reason[:128]
        )
    )
