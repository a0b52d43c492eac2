"""Which files may go, by rule; and the holds that no rule gets past."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from media.models import Asset, LegalHold, RetentionRule
from podi.base.models import User

KINDS = ("input", "output", "upload")


def place_hold(actor: User, *, reason: str, asset: Asset | None = None, owner: User | None = None) -> LegalHold:
    """Keep one file, or all of a user's, also those that come later. ValueError unless exactly one is named."""
    if (asset is None) == (owner is None):
        raise ValueError("a legal hold is for a file or for a user")
    subject = asset.object_key if asset is not None else f"user {owner}"
    return LegalHold.objects.create(
        asset=asset, owner=owner, subject=subject, reason=reason, created_by=actor.get_username()
    )


def release_hold(hold: LegalHold, *, actor: User) -> bool:
    """Rules apply again from now on. The row stays, without the references that hold. False when it was released."""
    return bool(
        LegalHold.objects.filter(pk=hold.pk, released_at=None).update(
            released_at=timezone.now(), released_by=actor.get_username(), asset=None, owner=None
        )
    )


def without_holds(assets: QuerySet[Asset]) -> QuerySet[Asset]:
    """Those of the assets that nobody holds."""
    holds = LegalHold.objects.filter(released_at=None)
    return assets.filter(~Exists(holds.filter(Q(asset_id=OuterRef("pk")) | Q(owner_id=OuterRef("owner_id")))))


def held_owners() -> set[str]:
    """Ids of the users all of whose files are held."""
    return set(LegalHold.objects.filter(released_at=None, owner__isnull=False).values_list("owner_id", flat=True))


def find_unused(assets: QuerySet[Asset], now: datetime) -> list[tuple[QuerySet[Asset], datetime]]:
    """Slices of the assets with the moment since which they must not have been asked for."""
    found = []
    for slice_, rule in _slices(assets):
        days = settings.UNUSED_ASSET_DAYS if rule is None else rule.unused_days
        if days is not None:
            before = now - timedelta(days=days)
            found.append((slice_.filter(last_used_at__lt=before), before))
    return found


def find_too_old(assets: QuerySet[Asset], now: datetime) -> list[QuerySet[Asset]]:
    """Slices of the assets that have passed the greatest age of their rule."""
    return [
        slice_.filter(created_at__lt=now - timedelta(days=rule.max_age_days), removed_at=None)
        for slice_, rule in _slices(assets)
        if rule is not None and rule.max_age_days is not None
    ]


def _slices(assets: QuerySet[Asset]) -> list[tuple[QuerySet[Asset], RetentionRule | None]]:
    """Every asset that rules are about, in exactly one slice, beside the rule that counts for it."""
    rules = {(rule.owner_id, rule.kind): rule for rule in RetentionRule.objects.all()}
    owners = {owner_id for owner_id, _ in rules if owner_id is not None}
    slices = []
    for kind in KINDS:
        of_kind = assets.filter(kind=kind)
        for owner_id in sorted(owners):
            rule = _first(rules, (owner_id, kind), (owner_id, ""), (None, kind), (None, ""))
            slices.append((of_kind.filter(owner_id=owner_id), rule))
        others = of_kind.filter(Q(owner_id=None) | ~Q(owner_id__in=owners)) if owners else of_kind
        slices.append((others, _first(rules, (None, kind), (None, ""))))
    return slices


def _first(rules: dict[tuple[str | None, str], RetentionRule], *names: tuple[str | None, str]) -> RetentionRule | None:
    return next((rules[name] for name in names if name in rules), None)
