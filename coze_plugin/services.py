"""What operators decide about Coze's tools, what is offered, and the record of calls and refusals."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from abilities import services as abilities
from abilities.errors import AbilityInactive, AbilityNotFound
from abilities.models import Ability, Task
from coze_plugin.models import Refusal, Tool
from podi.base import buckets
from podi.base.addresses import parse_network
from podi.base.errors import AdminOnly, InvalidInput, RateLimited
from podi.base.models import User

log = logging.getLogger(__name__)

TRIAL_S: Final = 30 * 60
MAX_RATE_PER_MINUTE: Final = 1_000_000
_BATCH: Final = 500
_CHANGEABLE: Final = frozenset({"is_exposed", "rate_per_minute", "allowed_networks", "trial_until"})


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An ability and what an operator decided about it. `tool` is unsaved where nothing was decided."""

    ability: Ability
    tool: Tool

    @property
    def name(self) -> str:
        return f"{self.ability.provider}/{self.ability.capability_key}"


def offers(*, provider: str = "", with_hidden: bool = False) -> list[Offer]:
    """The active abilities, ordered provider then key; those that are not offered only on request. Two queries."""
    found = abilities.active_abilities()
    if provider:
        found = found.filter(provider=provider)
    tools = Tool.objects.in_bulk()
    all_offers = [Offer(ability=ability, tool=tools.get(ability.pk) or Tool(ability=ability)) for ability in found]
    return [offer for offer in all_offers if with_hidden or offer.tool.is_exposed]


def find_offer(provider: str, capability_key: str) -> Offer:
    """Raises AbilityNotFound, AbilityInactive."""
    ability = Ability.objects.filter(provider=provider, capability_key=capability_key).first()
    if ability is None:
        raise AbilityNotFound()
    if ability.status != Ability.Status.ACTIVE:
        raise AbilityInactive()
    return Offer(ability=ability, tool=Tool.objects.filter(pk=ability.pk).first() or Tool(ability=ability))


def configure_tool(actor: User, ability: Ability, **values: Any) -> Tool:
    """Change `is_exposed`, `rate_per_minute`, `allowed_networks`, `trial_until`. Raises AdminOnly, InvalidInput."""
    if not actor.is_staff:
        raise AdminOnly()
    _check(values)
    tool, _is_new = Tool.objects.update_or_create(ability=ability, defaults=values)
    log.info("Coze tool %s changed by %s: %s", ability.pk, actor.pk, sorted(values))
    return tool


def start_trial(actor: User, ability: Ability, *, seconds: int = TRIAL_S) -> Tool:
    """Every call of this tool gets a sample until then. It ends by itself: a forgotten trial would serve samples."""
    return configure_tool(actor, ability, trial_until=timezone.now() + timedelta(seconds=seconds))


def end_trial(actor: User, ability: Ability) -> Tool:
    return configure_tool(actor, ability, trial_until=None)


def take_turn(key: str, *, per_minute: int) -> None:
    """Count one call against a limit; 0 is no limit. Raises RateLimited with the seconds to wait."""
    if per_minute <= 0:
        return
    wait_s = buckets.take(f"coze:{key}", capacity=per_minute, refill_s=60 / per_minute)
    if wait_s:
        raise RateLimited(retry_after_s=wait_s, limit=per_minute)


def note_refusal(
    *, address: str, code: str, tool: str, reason: str, headers: Mapping[str, str], request_id: str
) -> None:
    """Keep it for the operator. One row an hour for each address, code and tool."""
    now = timezone.now()
    key = {
        "hour": now.replace(minute=0, second=0, microsecond=0),
        "address": address[:45],
        "code": code[:64],
        "tool": tool[:140],
    }
    latest = {
        "reason": reason[:1000],
        "user_agent": headers.get("User-Agent", "")[:200],
        "log_id": headers.get("X-Tt-Logid", "")[:64],
        "request_id": request_id[:64],
        "last_at": now,
    }
    log.warning("Coze call refused: %s from %s for %s, request %s", code, address or "?", tool, request_id)
    if Refusal.objects.filter(**key).update(count=F("count") + 1, **latest):
        return
    try:
        with transaction.atomic():
            Refusal.objects.create(**key, **latest, first_at=now)
    except IntegrityError:  # another process was first
        Refusal.objects.filter(**key).update(count=F("count") + 1, **latest)


def forget_refusals(before: datetime) -> int:
    """Remove refusals that are older, in small batches; how many."""
    removed = 0
    while ids := list(
        Refusal.objects.filter(last_at__lt=before).order_by("last_at").values_list("pk", flat=True)[:_BATCH]
    ):
        removed += Refusal.objects.filter(pk__in=ids).delete()[0]
    return removed


def calls() -> QuerySet[Task]:
    """Tasks that came through this door, newest first."""
    return Task.objects.filter(source=Task.Source.COZE).order_by("-created_at", "-id")


def _check(values: Mapping[str, Any]) -> None:
    problems: dict[str, Any] = dict.fromkeys(set(values) - _CHANGEABLE, _("This cannot be changed."))
    rate = values.get("rate_per_minute")
    if rate is not None and not 0 <= rate <= MAX_RATE_PER_MINUTE:
        problems["rate_per_minute"] = _("0 to %(most)d.") % {"most": MAX_RATE_PER_MINUTE}
    if wrong := [text for text in values.get("allowed_networks") or [] if parse_network(str(text)) is None]:
        problems["allowed_networks"] = _("Not an address or CIDR range: %(names)s.") % {"names": ", ".join(wrong)}
    if problems:
        raise InvalidInput(fields=problems)
