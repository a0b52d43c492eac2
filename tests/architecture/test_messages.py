"""Simplified Chinese is complete: every text of the sources is in the catalogue, and the compiled file is the same."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import polib
import pytest
from django.template.base import Lexer, Token, TokenType
from django.test import Client
from django.utils import translation

from podi.base.phrases import PHRASES, tell
from tests.architecture.code import ROOT, parse, sources, where

FOLDER: Final = ROOT / "podi" / "locale" / "zh_Hans" / "LC_MESSAGES"
CATALOGUE: Final = polib.pofile(str(FOLDER / "django.po"))
_CALLS: Final = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
_BLANK: Final = re.compile(r"%\(\w+\)[\d.]*[a-z]|%[sd]|\{\w*\}|%%")
_UNTOLD: Final = re.compile(_BLANK.pattern + r"|\w*_\w*|HTTP")
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
_LEFT_AS_IT_IS: Final = {"API"}


def translated(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


@cache
def known() -> frozenset[str]:
    return frozenset(entry.msgid for entry in CATALOGUE if not entry.obsolete)


def texts_of_code() -> Iterator[tuple[str, str]]:
    """Where a text is, and the text."""
    for path in sources():
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in _CALLS:
                continue
            if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                yield where(path, node), node.args[0].value


def texts_of_templates() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "templates").rglob("*.html")):
        tokens = iter(Lexer(path.read_text()).tokenize())
        for token in tokens:
            if token.token_type != TokenType.BLOCK:
                continue
            tag, *rest = token.split_contents()
            if tag in ("translate", "trans") and rest[0][:1] in "'\"":
                yield f"{path.relative_to(ROOT)}:{token.lineno}", rest[0][1:-1]
            if tag in ("blocktranslate", "blocktrans"):
                yield f"{path.relative_to(ROOT)}:{token.lineno}", _block_text(tokens, is_trimmed="trimmed" in rest)


def _block_text(tokens: Iterator[Token], *, is_trimmed: bool) -> str:
    text = ""
    for token in tokens:
        if token.token_type == TokenType.BLOCK:
            break
        text += f"%({token.contents})s" if token.token_type == TokenType.VAR else token.contents.replace("%", "%%")
    return " ".join(line.strip() for line in text.strip().splitlines()) if is_trimmed else text


def test_nothing_is_untranslated_or_guessed() -> None:
    assert [entry.msgid for entry in CATALOGUE.fuzzy_entries()] == []
    assert [entry.msgid for entry in CATALOGUE.obsolete_entries()] == []
    assert [entry.msgid for entry in CATALOGUE if not all(translated(entry))] == []


def test_every_translation_is_chinese() -> None:
    same = [entry.msgid for entry in CATALOGUE for text in translated(entry) if text == entry.msgid]
    assert set(same) <= _LEFT_AS_IT_IS
    plain = [
        entry.msgid
        for entry in CATALOGUE
        for text in translated(entry)
        if not _CHINESE.search(text) and re.search(r"[A-Za-z]{4}", _UNTOLD.sub("", text))
    ]
    assert plain == []


def test_blanks_are_the_same_on_both_sides() -> None:
    different = {}
    for entry in CATALOGUE:
        wanted = Counter(_BLANK.findall(entry.msgid_plural or entry.msgid))
        for text in translated(entry):
            if Counter(_BLANK.findall(text)) != wanted:
                different[entry.msgid] = text
    assert different == {}


def test_every_text_of_the_sources_is_in_the_catalogue() -> None:
    """Forgotten `make messages` shows here, also where gettext is not installed."""
    found = [*texts_of_code(), *texts_of_templates()]
    assert len(found) > 800
    assert [f"{place}: {text}" for place, text in found if text not in known()] == []


def test_nothing_translatable_is_put_together_first() -> None:
    """`_(f"...")` is translated never: the blanks are filled before the text is looked up."""
    wrong = [
        where(path, node)
        for path in sources()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in _CALLS
        and node.args
        and isinstance(node.args[0], ast.JoinedStr)
    ]
    assert wrong == []


@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_the_compiled_file_is_what_the_catalogue_says(domain: str) -> None:
    """It is committed, since a fresh machine has no gettext."""
    written, compiled = polib.pofile(str(FOLDER / f"{domain}.po")), polib.mofile(str(FOLDER / f"{domain}.mo"))
    assert {entry.msgid: translated(entry) for entry in compiled} == {
        entry.msgid: translated(entry) for entry in written.translated_entries()
    }
    assert len(written.translated_entries()) == len(written)


PROVIDER_FILES: Final = tuple(sources("executors/providers"))
_SAID_BY: Final = {
    "ProviderRejected", "ProviderBusy", "ProviderRefusedKey", "ProviderSilent", "ProviderUnintelligible",
    "ProviderUnreachable", "ProviderError", "Unsupported", "ImageProblem", "invalid",
}  # fmt: skip
_SAID_AS: Final = {"message", "label", "help"}
_NAMES: Final = {"ComfyUI", "Coze", "OpenAI", "KIE"}


def sentences_of(path: Path) -> Iterator[tuple[str, str]]:
    """What a provider says to people: of errors and reports, of its parameters; blanks filled with a word."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            said = (
                [node.args[1 if name in ("ImageProblem", "invalid") else 0]] if name in _SAID_BY and node.args else []
            )
            said = [*said[: len(node.args)], *(word.value for word in node.keywords if word.arg in _SAID_AS)]
            for value in said:
                if text := _filled(value):
                    yield where(path, node), text
        is_label = isinstance(node, ast.Assign) and any(ast.unparse(target) == "label" for target in node.targets)
        if is_label and (text := _filled(node.value)):  # type: ignore[attr-defined]
            yield where(path, node), text


def _filled(node: ast.expr) -> str:
    """The text of a constant or an f-string; empty for anything else and where there are no words in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    else:
        return ""
    return text if re.search(r"[A-Za-z]{2,}", text) and text not in _NAMES else ""


@pytest.mark.parametrize("path", PROVIDER_FILES, ids=lambda path: str(path.relative_to(ROOT / "executors/providers")))
def test_what_providers_say_is_in_the_phrase_book(path: Path) -> None:
    with translation.override("zh-hans"):
        unknown = [f"{place}: {text}" for place, text in sentences_of(path) if tell(text) == text]
    assert unknown == []


def test_sentences_are_told_with_their_blanks_filled() -> None:
    with translation.override("zh-hans"):
        assert tell("The node lacks these node types: A, B.") == "节点缺少这些节点类型：A, B。"
        assert tell("max_long_edge: must be at least 5") == "max_long_edge：不得小于 5"
        assert tell("No connection to http://h:1: connection refused.") == "无法连接 http://h:1：连接被拒绝。"
        assert tell("The run was interrupted. (A_CODE: no reason given)") == "运行已中断。（A_CODE：未说明原因）"
        assert tell("A vendor's own words") == "A vendor's own words"
        assert tell("name") == "name"
        assert tell("") == ""
    with translation.override("en"):
        assert all(tell(phrase) == phrase for phrase in PHRASES)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accepted", "told"),
    [
        ({}, "没有这个能力。可用 `GET /api/abilities` 查看列表。"),
        ({"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}, "没有这个能力。可用 `GET /api/abilities` 查看列表。"),
        ({"accept-language": "fr"}, "没有这个能力。可用 `GET /api/abilities` 查看列表。"),
        ({"accept-language": "en-US,en;q=0.9"}, "There is no such ability. `GET /api/abilities` lists them."),
    ],
)
def test_an_error_of_the_api_speaks_the_language_asked_for(
    client: Client, settings: object, accepted: dict[str, str], told: str
) -> None:
    settings.SERVICE_API_TOKEN = "invented-service-token-of-the-tests-0001"  # type: ignore[attr-defined]
    headers = {"authorization": f"Bearer {settings.SERVICE_API_TOKEN}", **accepted}  # type: ignore[attr-defined]
    answer = client.post("/api/abilities/none/invoke", {}, content_type="application/json", headers=headers)
    assert answer.status_code == 404
    assert answer.json()["message"] == told
    assert answer.json()["detail"] == "ABILITY_NOT_FOUND"
