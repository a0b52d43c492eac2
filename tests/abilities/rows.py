"""Rows of any model, for tests of pages that must open whatever is on them."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import models
from django.utils import timezone

_number = itertools.count(1)

SPECIAL: dict[str, dict[str, Any]] = {
    "abilities.Ability": {"provider": "podi", "status": "active", "metadata": {"pricing": {"list_price": 0.2}}},
    "abilities.Task": {"provider": "podi", "state": "failed", "inputs": {"values": {"a": 1}}, "source": "ability-task"},
    "abilities.Invocation": {"status": "success", "step": "closed", "executor_type": "podi", "quantity": None},
    "executors.Executor": {"type": "comfyui", "status": "inactive", "base_url": "http://127.0.0.1:9"},
    "executors.ApiKey": {"provider": "podi"},
    "wallet.Account": {"kind": "customer", "balance": 500, "held": 0},
    "wallet.Hold": {"state": "held", "points": 5, "deducted": 0},
    "wallet.Transfer": {"kind": "grant", "points": 5, "owned_before": 0, "owned_after": 5},
    "media.Asset": {"content_type": "image/png", "width": 8, "height": 6, "kind": "output"},
    "django_q.Success": {"func": "podi.base.jobs.sweep", "success": True},
    "django_q.Failure": {"func": "podi.base.jobs.sweep", "success": False},
    "django_q.OrmQ": {"payload": "not signed"},
}
LEFT_OPEN = {"retry_of", "refund_of", "hold"}
"""Relations that are empty in the rows: each would need a whole story."""


def make_row(model: type[models.Model], **values: Any) -> Any:
    """One saved row with every field filled in, every foreign key pointing to a row of its own."""
    given = {**SPECIAL.get(model._meta.label, {}), **values}
    if model._meta.label == "wallet.Transfer":
        given["account"] = given["target"] = make_row(model._meta.get_field("target").related_model)  # type: ignore[arg-type]
    for field in model._meta.concrete_fields:
        if field.name in given or field.attname in given or field.name in LEFT_OPEN:
            continue
        if isinstance(field, models.AutoField | models.BigAutoField):
            continue
        if isinstance(field, models.ForeignKey):
            given[field.name] = make_row(field.related_model)  # type: ignore[arg-type]
        elif not field.has_default() or isinstance(field, models.DateTimeField):
            given[field.name] = _value(field)
    return model._default_manager.create(**given)


def _value(field: models.Field[Any, Any]) -> Any:
    number = next(_number)
    if field.choices:
        return next(iter(field.flatchoices))[0]
    if isinstance(field, models.DateTimeField):
        return timezone.now() - timedelta(seconds=number)
    if isinstance(field, models.DateField):
        return timezone.now().date() - timedelta(days=number)
    if isinstance(field, models.EmailField):
        return f"row{number}@shop.example"
    if isinstance(field, models.BooleanField):
        return False
    if isinstance(field, models.DecimalField):
        return Decimal("1.5")
    if isinstance(field, models.FloatField):
        return 0.5
    if isinstance(field, models.IntegerField):
        return number
    if isinstance(field, models.JSONField) or "JSON" in type(field).__name__:
        return {}
    if isinstance(field, models.CharField):
        return f"{field.name[:12]}{number}"[: field.max_length]
    return f"{field.name} {number}" if isinstance(field, models.TextField) else None
