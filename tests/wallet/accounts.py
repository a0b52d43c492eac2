"""Shared words of the wallet's tests."""

from typing import Any

from django.db.models import Sum

from podi.base.models import User
from wallet import services as wallet
from wallet.models import Account, Hold


def open_hold(owner: User, **terms: Any) -> Hold:
    return wallet.hold(**{"owner_id": owner.pk, "points": 10, "key": "task:1", "subject": ("task", "1"), **terms})


def assert_sound() -> None:
    """The audit finds nothing, nothing is negative, and what is held is what open holds say."""
    report = wallet.audit()
    assert report.is_clean, report.differences
    assert report.total == 0
    assert not Account.objects.filter(balance__lt=0).exists()
    held = Account.objects.aggregate(sum=Sum("held"))["sum"] or 0
    opened = Hold.objects.filter(state=Hold.State.HELD).aggregate(sum=Sum("points"))["sum"] or 0
    assert held == opened
