"""The admin's forms: an executor's is drawn from what its provider declares, secrets only go in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from executors import parameters
from executors.models import ApiKey, Executor, Workflow, WorkflowBinding
from executors.providers.base import Parameter
from executors.registry import provider_class, provider_kinds
from executors.routing import tags_of
from podi.base.forms import WriteOnlyField
from podi.base.phrases import tell

if TYPE_CHECKING:
    _ExecutorModelForm = forms.ModelForm[Executor]
    _ApiKeyModelForm = forms.ModelForm[ApiKey]
    _WorkflowModelForm = forms.ModelForm[Workflow]
    _BindingModelForm = forms.ModelForm[WorkflowBinding]
else:
    _ExecutorModelForm = _ApiKeyModelForm = _WorkflowModelForm = _BindingModelForm = forms.ModelForm

PREFIX = "config."
"""Before a parameter's name: the same name an error of the service carries."""
_TAG_NAMES = ("tags", "tag")
# The admin makes subclasses whose Meta.fields also names what is no column, so these stand here.
EXECUTOR_FIELDS = ("name", "type", "base_url", "status", "weight", "max_concurrency", "queue_limit")
API_KEY_FIELDS = ("provider", "name", "key", "status", "daily_quota", "expire_at", "metadata")
WORKFLOW_FIELDS = ("action", "name", "version", "type", "status", "definition", "metadata")


def kind_choices() -> list[tuple[str, str]]:
    return [(kind, tell(provider_class(kind).label)) for kind in provider_kinds()]


class JsonField(forms.JSONField):
    """JSON to read and write: indented, one key a line, Chinese as Chinese."""

    def __init__(self, *, rows: int = 6, **kwargs: Any) -> None:
        attrs = {"rows": rows, "cols": 110, "spellcheck": "false", "style": "font-family: monospace"}
        super().__init__(**{**kwargs, "widget": forms.Textarea(attrs=attrs)})

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, dict | list):
            return json.dumps(value, indent=2, ensure_ascii=False)
        return value


class ExecutorForm(_ExecutorModelForm):
    """What every executor has. `build_executor_form` adds the fields of its kind."""

    type = forms.ChoiceField(label=capfirst(_("type")), choices=kind_choices)
    tags = forms.CharField(
        label=capfirst(_("tags")), required=False, help_text=_("Separated by commas; abilities may ask for them.")
    )
    api_key_ids = forms.ModelMultipleChoiceField(
        label=_("API keys"),
        required=False,
        queryset=ApiKey.objects.none(),
        help_text=_("Used in this order of priority: as saved before, then by name."),
    )
    other_settings = JsonField(
        label=capfirst(_("other settings")),
        required=False,
        help_text=_("A JSON object. Leave it alone unless somebody told you what to write here."),
    )

    class Meta:
        model = Executor
        fields = EXECUTOR_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = self.instance
        declared = {parameter.name for parameter in _parameters_of(row.type)}
        rest = {name: value for name, value in row.config.items() if name not in (*declared, *_TAG_NAMES)}
        self.initial.setdefault("other_settings", rest)
        self.initial.setdefault("tags", ", ".join(sorted(tags_of(row))))
        for parameter in _parameters_of(row.type):
            stored = row.secrets if parameter.secret else row.config
            self.initial.setdefault(PREFIX + parameter.name, stored.get(parameter.name, parameter.default))
        keys: Any = self.fields.get("api_key_ids")
        if keys is not None:
            keys.queryset = ApiKey.objects.filter(provider=row.type).order_by("name", "pk")
            self.initial.setdefault("api_key_ids", self.linked_ids())

    def linked_ids(self) -> list[str]:
        """The keys in their saved order."""
        if self.instance._state.adding:
            return []
        links = self.instance.executorapikey_set.order_by("priority", "pk")
        return list(links.values_list("api_key_id", flat=True))

    def clean_other_settings(self) -> dict[str, Any]:
        value = self.cleaned_data["other_settings"]
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise forms.ValidationError(_("Give a JSON object."))
        return value

    def read_changes(self) -> dict[str, Any]:
        """What the form says, in the words of the service. Blank secrets are left out, so they stay."""
        cleaned = self.cleaned_data
        changes: dict[str, Any] = {name: cleaned[name] for name in EXECUTOR_FIELDS if name in cleaned}
        config = dict(cleaned.get("other_settings") or {})
        if tags := [tag.strip() for tag in (cleaned.get("tags") or "").split(",") if tag.strip()]:
            config["tags"] = tags
        for parameter in _parameters_of(self.instance.type):
            name = PREFIX + parameter.name
            if parameter.secret and name not in self.changed_data:
                continue
            if name in cleaned and cleaned[name] not in (None, ""):
                config[parameter.name] = cleaned[name]
        for name in self.removed_secrets():
            config[name] = None
        changes["config"] = config
        if "api_key_ids" in cleaned:
            chosen = [key.pk for key in cleaned["api_key_ids"]]
            known = [pk for pk in self.linked_ids() if pk in chosen]
            changes["api_key_ids"] = [*known, *(pk for pk in chosen if pk not in known)]
        return changes

    def removed_secrets(self) -> list[str]:
        return list(self.cleaned_data.get("forget_secrets") or [])


def build_executor_form(kind: str, stored_secrets: Mapping[str, str]) -> type[ExecutorForm]:
    """The form with one field for each parameter the kind declares."""
    fields: dict[str, Any] = {PREFIX + parameter.name: _field_of(parameter) for parameter in _parameters_of(kind)}
    if stored_secrets:
        fields["forget_secrets"] = forms.MultipleChoiceField(
            label=capfirst(_("forget secrets")),
            required=False,
            choices=[(name, f"{name} ({parameters.mask(str(value))})") for name, value in stored_secrets.items()],
            widget=forms.CheckboxSelectMultiple,
        )
    return type("ExecutorKindForm", (ExecutorForm,), fields)


def parameter_fields(kind: str) -> list[str]:
    return [PREFIX + parameter.name for parameter in _parameters_of(kind)]


def uses_api_keys(kind: str) -> bool:
    return kind in provider_kinds() and provider_class(kind).uses_api_keys


def _parameters_of(kind: str) -> list[Parameter]:
    return list(parameters.visible_parameters(provider_class(kind))) if kind in provider_kinds() else []


def _field_of(parameter: Parameter) -> forms.Field:
    common: dict[str, Any] = {"label": tell(parameter.label), "help_text": tell(parameter.help), "required": False}
    if parameter.secret:
        return WriteOnlyField(**common)
    match parameter.type:
        case "number":
            return forms.FloatField(**common)
        case "boolean":
            return forms.BooleanField(**common)
        case "select":
            return forms.ChoiceField(choices=[("", "---"), *((name, name) for name in parameter.choices)], **common)
        case _:
            return forms.CharField(widget=forms.TextInput(attrs={"class": "vTextField"}), **common)


class ApiKeyForm(_ApiKeyModelForm):
    provider = forms.ChoiceField(label=capfirst(_("provider")))
    secret_key = WriteOnlyField(
        label=capfirst(_("secret key")), help_text=_("Only where the provider gives a pair of keys (Baidu).")
    )

    metadata = JsonField(label=capfirst(_("metadata")), required=False)

    class Meta:
        model = ApiKey
        fields = API_KEY_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = dict(kind_choices())
        known = {self.instance.provider} if self.instance.provider else set()
        self.fields["provider"].choices = [  # type: ignore[attr-defined]
            (kind, kinds.get(kind, kind)) for kind in sorted({*kinds, *known})
        ]
        self.initial.setdefault("secret_key", (self.instance.secrets or {}).get("secret_key", ""))

    def read_changes(self) -> dict[str, Any]:
        """What the form says, in the words of the service. Blank secrets are left out, so they stay."""
        cleaned = self.cleaned_data
        changes = {name: cleaned[name] for name in API_KEY_FIELDS if name != "key" and name in cleaned}
        if "key" in self.changed_data:
            changes["key"] = cleaned["key"]
        if "secret_key" in self.changed_data:
            changes["metadata"] = {**(cleaned.get("metadata") or {}), "secret_key": cleaned["secret_key"]}
        return changes


class WorkflowForm(_WorkflowModelForm):
    definition = JsonField(
        label=capfirst(_("definition")),
        required=False,
        rows=24,
        help_text=_("The graph: as saved for the API (node id to class_type and inputs), or an export of the editor."),
    )
    metadata = JsonField(
        label=capfirst(_("metadata")),
        required=False,
        rows=12,
        help_text=_("workflow_key, input_node_map, output_node_ids."),
    )

    class Meta:
        model = Workflow
        fields = WORKFLOW_FIELDS

    def read_changes(self) -> dict[str, Any]:
        changes = {name: self.cleaned_data[name] for name in WORKFLOW_FIELDS if name in self.cleaned_data}
        changes["definition"] = changes.get("definition") or {}
        return changes


class BindingForm(_BindingModelForm):
    metadata = JsonField(label=capfirst(_("metadata")), required=False)

    class Meta:
        model = WorkflowBinding
        fields = ("action", "workflow", "executor", "priority", "enabled", "metadata")

    def read_changes(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        changes = {name: cleaned[name] for name in ("action", "priority", "enabled", "metadata")}
        return {**changes, "workflow_id": cleaned["workflow"].pk, "executor_id": cleaned["executor"].pk}
