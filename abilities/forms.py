"""Forms of the admin: an ability's definition, and the test panel that is drawn from its input schema."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from abilities import schema
from abilities.models import Ability
from abilities.services import Call
from executors import services as executors
from media import services as media
from media.errors import ImageTooLarge
from media.models import Asset
from podi.base.errors import InvalidInput

if TYPE_CHECKING:
    _AbilityModelForm = forms.ModelForm[Ability]
else:
    _AbilityModelForm = forms.ModelForm


class JsonEditor(forms.Textarea):
    """A text area that podi/json.js makes comfortable: it is checked while typing and can be laid out anew."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs={"class": "podi-json-editor", "spellcheck": "false", "rows": 12, **(attrs or {})})


class PrettyJsonField(forms.JSONField):
    """A JSON object, laid out for reading. What cannot be parsed is told with its line and column."""

    widget = JsonEditor

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        return json.dumps({} if value is None else value, ensure_ascii=False, indent=2)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip():
            try:
                json.loads(value)
            except json.JSONDecodeError as error:
                raise ValidationError(
                    _("Line %(line)s, column %(column)s: %(problem)s"),
                    params={"line": error.lineno, "column": error.colno, "problem": error.msg},
                    code="invalid",
                ) from error
        found = super().to_python(value)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise ValidationError(_("Must be a JSON object: { … }."), code="invalid")
        return found


class AbilityForm(_AbilityModelForm):
    provider = forms.ChoiceField(label=_("Provider"))
    default_params = PrettyJsonField(label=_("Default parameters"), required=False)
    input_schema = PrettyJsonField(label=_("Input schema"), required=False, widget=JsonEditor(attrs={"rows": 28}))
    metadata = PrettyJsonField(label=_("Metadata"), required=False, widget=JsonEditor(attrs={"rows": 18}))

    class Meta:
        model = Ability
        fields = (
            "id",
            "provider",
            "category",
            "capability_key",
            "version",
            "display_name",
            "description",
            "status",
            "ability_type",
            "executor",
            "workflow",
            "coze_workflow_id",
            "default_params",
            "input_schema",
            "metadata",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("executor", "workflow"):
            if name in self.fields:
                widget: Any = self.fields[name].widget
                widget.can_add_related = widget.can_change_related = widget.can_delete_related = False
        if "provider" in self.fields:
            self.fields["provider"].choices = [(kind, kind) for kind in executors.provider_kinds()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        input_schema = cleaned.get("input_schema")
        if input_schema is None:
            return cleaned
        for place, problem in schema.problems_of(input_schema, cleaned.get("default_params")).items():
            name = "default_params" if place.startswith("default_params") else "input_schema"
            self.add_error(name, f"{_place(place, input_schema)} {problem}".strip())
        return cleaned


def _place(place: str, input_schema: Any) -> str:
    """`fields[2]` with the field's own name, so that one finds it."""
    if not place.startswith("fields["):
        return "" if place == "input_schema" else f"{place}:"
    fields = schema.fields_of(input_schema)
    found = fields[int(place[len("fields[") : -1])]
    name = found.get("name") if isinstance(found, Mapping) else None
    return f"{place} ({name}):" if name else f"{place}:"


@dataclass(frozen=True, kw_only=True)
class PanelField:
    """One input of the test panel, ready to be drawn."""

    name: str
    kind: str
    label: str
    help: str = ""
    placeholder: str = ""
    unit: str = ""
    required: bool = False
    value: Any = ""
    options: tuple[tuple[str, str], ...] = ()
    minimum: Any = None
    maximum: Any = None
    step: Any = "any"
    max_length: int | None = None
    multiple: bool = False
    max_items: int = 1
    kept: tuple[Asset, ...] = field(default=())
    """Pictures of the run whose inputs are used again."""


def panel_fields(
    ability: Ability, *, values: Mapping[str, Any] | None = None, kept: Mapping[str, list[Asset]] | None = None
) -> list[PanelField]:
    """The inputs of an ability, filled with its defaults or with `values` of an earlier run."""
    found = []
    for definition in schema.fields_of(ability.input_schema):
        name = definition["name"]
        default = (ability.default_params or {}).get(name, definition.get("default", ""))
        value = default if values is None else values.get(name, "")
        multiple = bool(definition.get("multiple"))
        found.append(
            PanelField(
                name=name,
                kind=definition.get("type", "text"),
                label=str(definition.get("label") or name),
                help=str(definition.get("description") or ""),
                placeholder=str(definition.get("placeholder") or ""),
                unit=str(definition.get("unit") or ""),
                required=bool(definition.get("required")),
                value="" if value is None else value,
                options=tuple(_options(definition)),
                minimum=definition.get("min"),
                maximum=definition.get("max"),
                step=definition.get("step") or "any",
                max_length=definition.get("max_length"),
                multiple=multiple,
                max_items=int(definition.get("max_items") or 20) if multiple else 1,
                kept=tuple((kept or {}).get(name, ())),
            )
        )
    return found


def _options(definition: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for option in definition.get("options") or []:
        if isinstance(option, Mapping):
            found.append((str(option["value"]), str(option.get("label") or option["value"])))
        else:
            found.append((str(option), str(option)))
    return found


def read_call(ability: Ability, posted: MultiValueDict[str, str], files: MultiValueDict[str, UploadedFile]) -> Call:
    """What the panel was sent, as a call. Nothing is checked here but sizes: that is what the services are for.

    Fields are `in-<name>`; pictures also `file-<name>` (uploads) and `asset-<name>` (kept by an earlier run).
    Raises ImageTooLarge, InvalidInput.
    """
    values: dict[str, Any] = {}
    for definition in schema.fields_of(ability.input_schema):
        name = definition["name"]
        texts = [text.strip() for text in posted.getlist(f"in-{name}") if text.strip()]
        if definition.get("type") == "image":
            pictures = _pictures(name, texts, posted, files)
            if pictures:
                values[name] = pictures if definition.get("multiple") else pictures[0]
            if len(pictures) > 1 and not definition.get("multiple"):
                raise InvalidInput(fields={name: _("Give one picture: a file or an address.")})
        elif texts:
            values[name] = texts[-1]
    trace = posted.get("trace", "").strip()
    return Call(
        inputs=values,
        executor_id=posted.get("executor", ""),
        version=posted.get("version", ""),
        priority=_number(posted, "priority") or 0,
        deadline_s=_number(posted, "deadline"),
        metadata={"traceId": trace} if trace else {},
    )


def _pictures(
    name: str, texts: list[str], posted: MultiValueDict[str, str], files: MultiValueDict[str, UploadedFile]
) -> list[str]:
    ids = posted.getlist(f"asset-{name}")
    assets = {asset.pk: asset for asset in Asset.objects.filter(pk__in=ids)} if ids else {}
    found = [media.url(assets[pk]) for pk in ids if pk in assets]
    found += [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return found + [_data_url(file, name=name) for file in files.getlist(f"file-{name}")]


def _data_url(file: UploadedFile, *, name: str) -> str:
    """An upload in the form in which any caller may send a picture; from here on the limits of media hold."""
    limit = settings.FETCH_MAX_BYTES
    if (file.size or 0) > limit:
        sentence = _("The image may have at most %(bytes)d bytes.") % {"bytes": limit}
        raise ImageTooLarge(fields={name: sentence}, max_bytes=limit)
    return f"data:image/*;base64,{base64.b64encode(file.read()).decode()}"


def _number(posted: MultiValueDict[str, str], name: str) -> int | None:
    text = posted.get(name, "").strip()
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(fields={name: _("Send a number.")}) from None
