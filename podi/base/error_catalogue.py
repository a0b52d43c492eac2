"""All error codes there are, read from the classes, and the document made of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from django.utils import translation
from django.utils.module_loading import autodiscover_modules

from podi.base.errors import PodiError

WHO: Final = {
    "caller": "the caller",
    "operator": "the operator",
    "provider": "the provider",
    "podi": "PODI",
}
HEAD: Final = """\
# Error codes

Generated from the classes by `manage.py errors_doc`; do not edit by hand.

Every refusal is a JSON object: `detail` is the code (some carry a suffix after a colon), `message` a sentence for
people in the language of `Accept-Language`, `retryable` says whether the same request can succeed later, `fields` what
is wrong field by field, `requestId` what to name when you ask. Some codes add keys of their own. A task that failed
carries the same code. "Retry: later" means the same request may succeed; wait as long as the header `Retry-After` says,
else one second, doubled each time, with jitter. "Charged" says whether points were taken.
"""


def find_errors() -> list[type[PodiError]]:
    """Every class with a code of its own, of every app, ordered by app and code."""
    autodiscover_modules("errors")
    found = {cls for cls in _descendants(PodiError) if "code" in vars(cls) and is_ours(cls)}
    return sorted({PodiError, *found}, key=lambda cls: (_app_of(cls), cls.code, cls.__qualname__))


def is_ours(cls: type) -> bool:
    """Whether a class belongs to an app's `errors` module (a test's own class does not)."""
    return "errors" in cls.__module__.split(".") and not cls.__module__.startswith("tests.")


def render() -> str:
    """The text of docs/errors.md, in English whatever the language of this process."""
    with translation.override("en"):
        parts = [HEAD]
        for app, classes in groupby(find_errors(), key=_app_of):
            rows = "".join(map(_row, classes))
            parts.append(f"\n## {app}\n\n| Code | HTTP | At fault | Charged | Retry | What it says |\n{_RULE}{rows}")
        return "".join(parts)


_RULE: Final = "|---|---|---|---|---|---|\n"


def _row(cls: type[PodiError]) -> str:
    charged, retry = "yes" if cls.charged else "no", "later" if cls.retryable else "no"
    sentence = str(cls.message).replace("|", "\\|")
    return f"| `{cls.code}` | {cls.status} | {WHO[cls.fault]} | {charged} | {retry} | {sentence} |\n"


def _descendants(cls: type[PodiError]) -> Iterator[type[PodiError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


def _app_of(cls: type[PodiError]) -> str:
    return cls.__module__.split(".errors")[0]
