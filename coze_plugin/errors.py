"""What the Coze door refuses before it looks at a call."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from podi.base.errors import PodiError


class InternalOnly(PodiError):
    """Neither the service token nor a trusted address, or a tool that this caller may not use."""

    code = "INTERNAL_ONLY"
    status = 401
    fault = "caller"
    message = _("Only trusted addresses and holders of the service token may call this.")
