"""What an operator fills in to move points. The key travels with the form, so a double click moves them once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.utils.translation import gettext_lazy as _

from podi.base.ids import new_id
from podi.base.models import User
from wallet.ledger import MAX_POINTS
from wallet.models import Account

MAX_OWNERS = 200


class MoveForm(forms.Form):
    points = forms.IntegerField(label=_("points"), min_value=1, max_value=MAX_POINTS)
    reason = forms.CharField(
        label=_("reason"),
        max_length=255,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("Kept with the transfer and shown on the user's statement."),
    )
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial={"key": new_id(), **(initial or {})})


class GrantForm(MoveForm):
    owners = forms.ModelMultipleChoiceField(
        label=_("users"),
        queryset=User.objects.all(),
        widget=AutocompleteSelectMultiple(Account._meta.get_field("owner"), admin.site),
        help_text=_("Each of them gets these points."),
    )
    field_order = ("owners", "points", "reason", "key")

    def clean_owners(self) -> Any:
        owners = self.cleaned_data["owners"]
        if len(owners) > MAX_OWNERS:
            raise forms.ValidationError(_("At most %(limit)d users at once.") % {"limit": MAX_OWNERS})
        return owners
