"""The form for what an operator decides about one tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.utils.translation import gettext_lazy as _

from coze_plugin.models import Tool
from podi.base.forms import NetworksField

if TYPE_CHECKING:
    _ToolModelForm = forms.ModelForm[Tool]
else:
    _ToolModelForm = forms.ModelForm


class ToolForm(_ToolModelForm):
    allowed_networks = NetworksField(
        label=_("allowed addresses"),
        required=False,
        help_text=_("One address or CIDR range a line; who calls from elsewhere is refused. Empty: no further limit."),
    )

    class Meta:
        model = Tool
        fields = ("is_exposed", "rate_per_minute", "allowed_networks", "trial_until")
