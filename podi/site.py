"""The admin as a whole: what stands where on its index, and the strip of today's numbers above it."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SECTIONS: Final[tuple[tuple[str, str | Promise, tuple[str, ...]], ...]] = (
    ("abilities", _("Abilities and tasks"), ("Ability", "Task", "Invocation")),
    ("executors", _("Executors"), ("Executor", "ApiKey", "Workflow", "WorkflowBinding", "WorkflowRevision", "Lease")),
    ("media", _("Media"), ("Asset", "Upload", "UploadKey", "UploadBlock", "RetentionRule", "LegalHold")),
    ("wallet", _("Wallet"), ("Account", "Hold", "Transfer", "Audit")),
    ("events", _("Events and callbacks"), ("Event", "Delivery", "DeliveryAttempt")),
    ("coze_plugin", _("Coze plugin"), ()),
    ("base", _("Accounts and access"), ("User", "Group", "ApiToken", "LoginSession", "Heartbeat")),
    ("django_q", _("Background jobs"), ()),
)
"""App label, what its section is called, and the order of its models; others follow by name."""
_JOINED: Final = {"auth": "base"}
"""Apps whose models stand in another app's section."""


class PodiAdminSite(AdminSite):
    site_header = site_title = "PODI"
    index_title = _("Operations")
    empty_value_display = "–"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Our sections in our order. A page of one app shows that app alone, as Django does."""
        found = {app["app_label"]: dict(app) for app in super().get_app_list(request, app_label)}
        if app_label is not None:
            return list(found.values())
        for label, home in _JOINED.items():
            if label in found:
                joined = found.pop(label)
                found.setdefault(home, {**joined, "app_label": home, "models": []})["models"] += joined["models"]
        ordered = []
        for label, name, order in SECTIONS:
            if (section := found.pop(label, None)) is not None:
                section["name"] = name
                section["models"] = sorted(section["models"], key=lambda model: _rank(model, order))
                ordered.append(section)
        _add_metrics(ordered)
        return ordered + sorted(found.values(), key=lambda app: str(app["name"]))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from podi import dashboard  # it reads models, which are not loaded yet when the site is made

        may_look = request.user.has_perms(("abilities.view_task", "abilities.view_invocation"))
        context = {**(extra_context or {}), "dashboard": dashboard.read() if may_look else None}
        return super().index(request, context)


def _rank(model: dict[str, Any], order: tuple[str, ...]) -> tuple[int, str]:
    name = model["object_name"]
    return (order.index(name) if name in order else len(order), str(model["name"]))


def _add_metrics(sections: list[dict[str, Any]]) -> None:
    """The page of numbers has no model, but belongs beside the call log."""
    for section in sections:
        names = [model["object_name"] for model in section["models"]]
        if section["app_label"] == "abilities" and "Invocation" in names:
            section["models"].insert(
                names.index("Invocation") + 1,
                {
                    "name": _("Metrics"),
                    "object_name": "Metrics",
                    "admin_url": reverse("admin:abilities_invocation_metrics"),
                    "add_url": None,
                    "view_only": True,
                    "perms": {},
                },
            )
