"""Whether an import into Coze will work, point by point, for the operator who is about to try it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from coze_plugin import document_rules, openapi
from coze_plugin.services import Offer

Kind = Literal["good", "warning", "bad"]
MAX_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    kind: Kind
    text: str | Promise


def findings(offers: Sequence[Offer], *, server: str, is_proxied: bool) -> list[Finding]:
    """The document's rules, the addresses, and the access. `is_proxied`: an unknown proxy spoke for the browser."""
    return [
        *_document(offers, server=server),
        *_addresses(server),
        *_access(is_proxied=is_proxied),
    ]


def _document(offers: Sequence[Offer], *, server: str) -> list[Finding]:
    if not offers:
        return [Finding(kind="bad", text=_("No ability is offered: switch at least one on below."))]
    problems = document_rules.find_problems(openapi.document(offers, server=server))
    if problems:
        return [Finding(kind="bad", text=problem) for problem in problems[:MAX_PROBLEMS]]
    told = _("The document has %(count)d tools and keeps every rule of Coze's importer.") % {"count": len(offers) + 2}
    return [Finding(kind="good", text=told)]


def _addresses(server: str) -> list[Finding]:
    found = []
    host = urlsplit(server).hostname or ""
    if "." not in host and ":" not in host:
        text = _(
            "Coze takes an address with the host “%(host)s” for pasted text. Open this page under a name with a dot."
        )
        found.append(Finding(kind="bad", text=text % {"host": host}))
    values = {"url": server, "why": _why(server)}
    if values["why"]:
        text = _("Coze's cloud cannot call %(url)s (%(why)s). Set COZE_SERVER_URL to the public address of PODI.")
        found.append(Finding(kind="warning", text=text % values))
    else:
        found.append(Finding(kind="good", text=_("Tools are called at %(url)s.") % values))
    links = {"url": settings.PUBLIC_URL, "why": _why(settings.PUBLIC_URL)}
    if links["why"]:
        text = _("Links to results begin with %(url)s (%(why)s), so others cannot open them. Set PODI_PUBLIC_URL.")
        found.append(Finding(kind="warning", text=text % links))
    return found


def _why(url: str) -> str:
    words = {"address": _("an IP address"), "private": _("no public host name"), "plain": _("not https")}
    return words.get(document_rules.find_server_problem(url), "")


def _access(*, is_proxied: bool) -> list[Finding]:
    found = []
    if settings.COZE_DOCUMENT_ORIGINS:
        origins = ", ".join(settings.COZE_DOCUMENT_ORIGINS)
        found.append(
            Finding(kind="good", text=_("Browsers may read the document from: %(names)s.") % {"names": origins})
        )
    else:
        text = _("Importing by address needs COZE_DOCUMENT_ORIGINS; without it, save the document and import the file.")
        found.append(Finding(kind="warning", text=text))
    if settings.SERVICE_API_TOKEN:
        found.append(Finding(kind="good", text=_("A service token is set: give it to Coze as “Bearer <token>”.")))
    elif settings.COZE_TRUSTED_IPS:
        text = _("No service token is set; only these addresses may call: %(names)s.")
        found.append(Finding(kind="good", text=text % {"names": ", ".join(settings.COZE_TRUSTED_IPS)}))
    else:
        found.append(Finding(kind="bad", text=_("Nobody may call: set SERVICE_API_TOKEN or COZE_TRUSTED_IPS.")))
    if is_proxied:
        text = _("A proxy that is not in TRUSTED_PROXIES stands in front of PODI: all callers seem to come from it.")
        found.append(Finding(kind="warning", text=text))
    return found
