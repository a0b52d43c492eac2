"""A bar chart of days, drawn here as SVG: no script, no library."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from wallet.results import Day

BAR, GAP, HEIGHT, FOOT = 9, 3, 140, 18
RECEIVED, CHARGED = "#4c9f70", "#c0504d"


def draw_days(days: Sequence[Day]) -> SafeString:
    """Two bars a day: points received and points charged, all on one scale."""
    top = max([1, *(max(day.received, day.charged) for day in days)])
    step = 2 * BAR + GAP
    bars = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>',
        (
            (number * step + side * BAR, HEIGHT - size, BAR - 1, size, color, f"{day.day:%Y-%m-%d}: {points}")
            for number, day in enumerate(days)
            for side, (points, color) in enumerate(((day.received, RECEIVED), (day.charged, CHARGED)))
            if (size := max(1, round(points / top * (HEIGHT - 12))) if points else 0)
        ),
    )
    names = format_html_join(
        "",
        '<text x="{}" y="{}" font-size="10" fill="currentColor">{}</text>',
        (
            (number * step, HEIGHT + FOOT - 5, f"{day.day:%m-%d}")
            for number, day in enumerate(days)
            if number % 5 == len(days) % 5 or number == 0
        ),
    )
    width = len(days) * step
    return format_html(
        '<svg role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" style="max-width:100%">'
        '<text x="0" y="10" font-size="10" fill="currentColor">{}</text>'
        '<line x1="0" x2="{}" y1="{}" y2="{}" stroke="currentColor" stroke-opacity="0.3"/>{}{}</svg>',
        gettext("Points received and charged by day"),
        width,
        HEIGHT + FOOT,
        width,
        top,
        width,
        HEIGHT,
        HEIGHT,
        bars,
        names,
    )


def draw_legend() -> SafeString:
    return format_html(
        '<span style="color:{}">■</span> {} &nbsp; <span style="color:{}">■</span> {}',
        RECEIVED,
        gettext("received"),
        CHARGED,
        gettext("charged"),
    )
