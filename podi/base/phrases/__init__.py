"""Sentences written down in English by parts that know no Django, told in the reader's language.

Providers, the HTTP client and stored reports of failures speak English, with numbers and names filled in. `tell` finds
the sentence they used and gives it in the active language. What nobody knows (a vendor's own words) stays as it is.
The sentences stand in `book` and `drafts`; a test reads the providers and fails where one is missing there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from django.utils import translation
from django.utils.translation import gettext_noop

from podi.base.phrases import book, drafts

PHRASES: Final = dict.fromkeys((*book.PHRASES, *drafts.PHRASES))
MAX_CHARS: Final = 1000
"""Longer texts are somebody's report, not a sentence."""
_BLANK: Final = re.compile(r"%\((?P<name>\w+)\)s")
_TOLD_TOO: Final = ("problem", "hint")
"""What fills these blanks is a sentence of the book itself, or a part of one."""
_ANYTHING: Final = {"problem": ".+?", "hint": ".*?", "reason": ".+?"}
"""What may stand in a blank; in all others no colon with a space behind it, since that begins the next part."""
_SHAPES: Final = (
    (re.compile(r"(?P<field>[\w.]+): (?P<problem>.+)", re.DOTALL), gettext_noop("%(field)s: %(problem)s")),
    (
        re.compile(r"(?P<text>.+) \((?P<code>[A-Z][A-Z0-9_]*): (?P<cause>.+)\)", re.DOTALL),
        gettext_noop("%(text)s (%(code)s: %(cause)s)"),
    ),
)
"""How sentences are put together: behind the name of a field, or with an earlier cause in brackets."""
_SENTENCES: Final = ("problem", "text", "cause")


def tell(text: object) -> str:
    """`text` in the active language if it is a known sentence in English, its blanks filled or none; else unchanged."""
    said = str(text)
    language = translation.get_language()
    if not 0 < len(said) <= MAX_CHARS or language is None or language.startswith("en"):
        return said
    return _tell(said, language)


def tell_all(fields: Mapping[str, object]) -> dict[str, str]:
    """The same for what is wrong, field by field."""
    return {name: tell(text) for name, text in fields.items()}


@lru_cache(maxsize=2048)
def _tell(said: str, language: str) -> str:
    if said in PHRASES or said.endswith("."):  # a lone word may be anybody's
        told = translation.gettext(said)
        if told != said:
            return told
    for pattern, phrase in _patterns():
        if match := pattern.fullmatch(said):
            blanks = match.groupdict(default="")
            return translation.gettext(phrase) % {
                name: _tell(value, language) if name in _TOLD_TOO else value for name, value in blanks.items()
            }
    for shape, form in _SHAPES:
        if match := shape.fullmatch(said):
            sentences = {name: _tell(part, language) for name, part in match.groupdict().items() if name in _SENTENCES}
            if any(told != match[name] for name, told in sentences.items()):
                return translation.gettext(form) % {**match.groupdict(), **sentences}
    return said


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Those with blanks, the ones with the most fixed words first, so that a general one takes nothing from them."""
    with_blanks = [phrase for phrase in PHRASES if _BLANK.search(phrase)]
    with_blanks.sort(key=lambda phrase: len(_BLANK.sub("", phrase)), reverse=True)
    return tuple((_as_pattern(phrase), phrase) for phrase in with_blanks)


def _as_pattern(phrase: str) -> re.Pattern[str]:
    parts, end = [], 0
    for blank in _BLANK.finditer(phrase):
        filling = _ANYTHING.get(blank["name"], "(?:(?!: ).)+?")
        parts += [re.escape(phrase[end : blank.start()]), f"(?P<{blank['name']}>{filling})"]
        end = blank.end()
    return re.compile("".join(parts) + re.escape(phrase[end:]).replace("%%", "%"), re.DOTALL)
