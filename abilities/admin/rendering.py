"""Small pieces of HTML that several pages of this admin show. Everything from outside is escaped here."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

MAX_JSON_CHARS = 100_000
_TOKEN = re.compile(
    r"(?P<key>&quot;(?:[^&]|&(?!quot;))*&quot;)(?=\s*:)"
    r"|(?P<text>&quot;(?:[^&]|&(?!quot;))*&quot;)"
    r"|(?P<word>\b(?:true|false|null)\b)"
    r"|(?P<number>-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)"
)
_INLINE = (
    (re.compile(r"`([^`\n]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*\n]+)\*\*"), r"<strong>\1</strong>"),
)
_HEADING = re.compile(r"(#{1,4})\s+(.*)")
_BULLET = re.compile(r"(?:[-*•]|\d+[.)])\s+(.*)")
DASH = "–"


def pill(kind: str, label: object, *, title: str = "") -> SafeString:
    """A coloured word: the colour follows from `kind` in podi.css."""
    return format_html('<span class="podi-pill podi-is-{}" title="{}">{}</span>', kind, title, label)


def pretty_json(value: Any) -> SafeString:
    """Readable, coloured JSON; very long values are cut."""
    if value in (None, "", {}, []):
        return format_html('<span class="podi-quiet">{}</span>', DASH)
    text = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)
    cut = len(text) > MAX_JSON_CHARS
    coloured = _TOKEN.sub(_colour, escape(text[:MAX_JSON_CHARS]))
    end = format_html("\n… {}", _("cut here; export it to see all")) if cut else ""
    return format_html('<pre class="podi-json">{}{}</pre>', mark_safe(coloured), end)


def _colour(match: re.Match[str]) -> str:
    return f'<span class="podi-json-{match.lastgroup}">{match[0]}</span>'


def readable_text(text: str) -> SafeString:
    """A text result: JSON where it is JSON, else the simple part of Markdown (headings, lists, bold, code)."""
    stripped = text.strip()
    if stripped[:1] in ("{", "["):
        try:
            return pretty_json(json.loads(stripped))
        except ValueError:
            pass  # looks like JSON and is none: shown as text
    return format_html('<div class="podi-text">{}</div>', mark_safe("".join(_blocks(stripped))))


def _blocks(text: str) -> list[str]:
    """Paragraphs, headings, lists and fenced code as HTML; every line is escaped first."""
    html: list[str] = []
    in_code = in_list = False
    for line in escape(text[:MAX_JSON_CHARS]).splitlines():
        if line.strip().startswith("```"):
            in_code = not in_code
            html.append("<pre>" if in_code else "</pre>")
            continue
        if in_code:
            html.append(line + "\n")
            continue
        bullet, heading = _BULLET.fullmatch(line.strip()), _HEADING.fullmatch(line.strip())
        if bool(bullet) != in_list:
            html.append("<ul>" if bullet else "</ul>")
            in_list = bool(bullet)
        if bullet:
            html.append(f"<li>{_inline(bullet[1])}</li>")
        elif heading:
            html.append(f"<h4>{_inline(heading[2])}</h4>")
        elif line.strip():
            html.append(f"<p>{_inline(line)}</p>")
    html.append("</pre>" if in_code else "</ul>" if in_list else "")
    return html


def _inline(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text


def admin_link(row: Model | None, label: object = None) -> SafeString | str:
    """To the row's own page, or only its name where the admin has none."""
    if row is None:
        return DASH
    try:
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    except NoReverseMatch:
        return str(label or row)
    return format_html('<a href="{}">{}</a>', url, label or row)


def moment(at: datetime | None) -> SafeString | str:
    """How long ago, with the exact time on hover."""
    if at is None:
        return DASH
    exact = timezone.localtime(at)
    age = timezone.now() - at
    if age >= timedelta(days=2):
        shown = f"{exact:%Y-%m-%d %H:%M}"
    elif age < timedelta(minutes=1):
        shown = _("%(count)d s ago") % {"count": max(0, int(age.total_seconds()))}
    else:
        shown = _("%(time)s ago") % {"time": timesince(at, depth=1)}
    return format_html('<time class="podi-nowrap" title="{}">{}</time>', f"{exact:%Y-%m-%d %H:%M:%S}", shown)


def duration(ms: float | None) -> str:
    """12 ms, 3.4 s, 5 min 02 s."""
    if ms is None:
        return DASH
    if ms < 1000:
        return f"{round(ms)} ms"
    seconds = ms / 1000
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{seconds / 3600:.1f} h"


def money(amount: Decimal | None, currency: str) -> str:
    if amount is None:
        return DASH
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {currency}".strip()


def short(text: str, *, length: int = 8) -> SafeString:
    """The beginning of a long id, whole on hover."""
    return format_html('<code class="podi-id" title="{}">{}</code>', text, text[:length])


def chips(values: list[str]) -> SafeString:
    return format_html_join(" ", '<span class="podi-chip">{}</span>', ((value,) for value in values))
