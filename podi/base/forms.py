"""Form fields that several admins use, and the forms for logins and API tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from podi.base import sessions
from podi.base.access import SCOPES
from podi.base.addresses import client_address, parse_network
from podi.base.errors import PodiError
from podi.base.models import ApiToken

if TYPE_CHECKING:
    _TokenModelForm = forms.ModelForm[ApiToken]
    _PermissionsField = forms.ModelMultipleChoiceField[Permission]
else:
    _TokenModelForm = forms.ModelForm
    _PermissionsField = forms.ModelMultipleChoiceField


class WriteOnlyInput(forms.PasswordInput):
    """Never renders a value, whatever it is given; a browser is asked not to fill it in."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs={"autocomplete": "new-password", "class": "vTextField", **(attrs or {})})


class WriteOnlyField(forms.CharField):
    """A secret that goes in and never comes out: the saved value is not rendered, and blank keeps it."""

    widget = WriteOnlyInput

    def __init__(self, **kwargs: Any) -> None:
        self.is_needed = kwargs.pop("required", False)
        super().__init__(**{**kwargs, "required": False, "widget": WriteOnlyInput})

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        if form.get_initial_for_field(self, field_name):
            self.widget.attrs["placeholder"] = _("saved; leave blank to keep it")
        return super().get_bound_field(form, field_name)

    def _clean_bound_field(self, bound: Any) -> str:
        """Django's hook between the submitted and the saved value, the same that FileField uses."""
        value = self.clean(bound.data) or bound.initial or ""
        if self.is_needed and not value:
            raise ValidationError(self.error_messages["required"], code="required")
        return str(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [line.strip() for line in text.splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))


class NetworksField(LinesField):
    """Addresses and CIDR ranges, one a line."""

    def validate(self, value: Any) -> None:
        super().validate(value)
        if wrong := [line for line in value if parse_network(line) is None]:
            raise ValidationError(_("Not an address or CIDR range: %(names)s.") % {"names": ", ".join(wrong)})


class PermissionsField(_PermissionsField):
    """Django stores "Can change user" in English; here a permission says it in the reader's language."""

    _verbs: Final = {"add": _("add"), "change": _("change"), "delete": _("delete"), "view": _("view")}

    def label_from_instance(self, obj: Permission) -> str:
        return f"{obj.content_type} | {self._verbs.get(obj.codename.partition('_')[0], obj.name)}"


class ApiTokenForm(_TokenModelForm):
    scopes = forms.MultipleChoiceField(
        label=_("scopes"),
        required=False,
        choices=[(name, name) for name in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked means all of them but admin."),
    )
    allowed_ips = NetworksField(
        label=_("allowed addresses"),
        required=False,
        help_text=_("One address or CIDR range a line. Empty means from everywhere."),
    )

    class Meta:
        model = ApiToken
        fields = ("user", "name", "scopes", "allowed_ips", "rate_per_minute", "max_concurrency", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, f"{name}: {label}") for name, label in SCOPES.items()]
        self.fields["scopes"].choices = choices  # type: ignore[attr-defined]


class LoginForm(AdminAuthenticationForm):
    """The admin's login, with the same check and the same limit on guesses as the API's."""

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name is not None and password and self.request is not None:
            try:
                user = sessions.check_password(name, password, address=client_address(self.request.META))
            except PodiError as error:
                raise ValidationError(str(error.text), code=error.code) from error
            self.confirm_login_allowed(user)
            self.user_cache = user
        return self.cleaned_data
