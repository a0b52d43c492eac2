"""The spellings of pictures, and everything else that must stay what it is."""

from __future__ import annotations

from typing import Any

import pytest

from abilities.models import Ability
from coze_plugin import pictures
from coze_plugin.translate import is_async, read_call
from podi.base.errors import InvalidInput

A, B, C = (
    "https://a.example/1.png",
    "https://b.example/2.png?x-oss-process=image/resize,w_100",
    "https://c.example/3.png",
)
DATA = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (A, [A]),
        (f"  {A}\n", [A]),
        (f"{A}\n{B}\r\n\n{C}", [A, B, C]),
        (f"{A},{B}, {C}", [A, B, C]),
        (f"{A}，{C}", [A, C]),
        (B, [B]),
        (DATA, [DATA]),
        (f"{DATA}\n{DATA}", [DATA]),
        ([A, "", None, B], [A, B]),
        ([f"{A},{B}", C], [A, B, C]),
        ({"url": A}, [A]),
        ({"ossUrl": A, "name": "x"}, [A]),
        ({"oss_url": A}, [A]),
        ({"sourceUrl": A}, [A]),
        ({"source_url": A}, [A]),
        ({"url": "", "ossUrl": A}, [A]),
        ([{"url": A}, {"ossUrl": C}], [A, C]),
        (f'["{A}", "{C}"]', [A, C]),
        (f'{{"url": "{A}"}}', [A]),
        (f'[{{"url": "{A}"}}]', [A]),
        ("", []),
        (None, []),
        ([], []),
        ({}, []),
        (["", {}], []),
    ],
)
def test_a_picture_is_read_from_every_listed_form(value: Any, expected: list[str]) -> None:
    assert pictures.read(value) == expected


@pytest.mark.parametrize(
    "value", [7, True, {"file": A}, [A, 5], "[not json", [[[[[[A]]]]]], [f"{A}{n}" for n in range(60)]]
)
def test_what_is_no_picture_is_said_so(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        pictures.read(value)


def ability(*fields: dict[str, Any], **values: Any) -> Ability:
    return Ability(input_schema={"fields": list(fields)}, **values)


ONE = {"name": "image_url", "type": "image"}
MANY = {"name": "image_url", "type": "image", "multiple": True}
PROMPT = {"name": "prompt", "type": "textarea"}
MORE = {"name": "image_urls", "type": "textarea"}
LINK = {"name": "image_url", "type": "text"}


@pytest.mark.parametrize("name", pictures.NAMES)
def test_every_listed_name_reaches_the_main_picture(name: str) -> None:
    assert read_call(ability(ONE, PROMPT), {name: A, "prompt": "x"}, {}).inputs == {"image_url": [A], "prompt": "x"}


@pytest.mark.parametrize(
    ("fields", "body", "inputs"),
    [
        ((ONE, MORE), {"urls": f"{A}\n{C}"}, {"image_url": [A], "image_urls": C}),
        ((ONE, MORE), {"image_url": A, "image_urls": [A, C]}, {"image_url": [A], "image_urls": f"{A}\n{C}"}),
        ((ONE, MORE), {"url": A, "images": [{"url": A}, {"url": C}]}, {"image_url": [A], "image_urls": C}),
        ((MANY,), {"url": A, "files": [C]}, {"image_url": [A, C]}),
        ((PROMPT, LINK), {"url": A, "prompt": C}, {"image_url": A, "prompt": C}),
        ((PROMPT, LINK), {"image_url": {"url": A}}, {"image_url": A}),
        ((PROMPT, MORE), {"url": A, "imageList": [{"ossUrl": C}]}, {"image_urls": f"{A}\n{C}"}),
        ((ONE,), {"image_url": A, "url": A, "imageUrl": A}, {"image_url": [A]}),
    ],
)
def test_pictures_find_their_places(fields: Any, body: dict[str, Any], inputs: dict[str, Any]) -> None:
    assert read_call(ability(*fields), body, {}).inputs == inputs


def test_R13_addresses_in_other_fields_stay_text() -> None:
    """No field but a picture's is ever split or read as an address."""
    call = read_call(ability(ONE, PROMPT), {"prompt": f"{A},{C}", "note": A, "image_url": ""}, {})
    assert call.inputs == {"prompt": f"{A},{C}"}
    assert call.unknown == ("note",)


def test_R21_spellings_of_an_ability_without_pictures_are_reported_not_guessed() -> None:
    call = read_call(ability(PROMPT), {"prompt": "x", "url": A, "output": "callback"}, {})
    assert (call.inputs, call.unknown) == ({"prompt": "x"}, ("output", "url"))


def test_more_pictures_than_places_are_refused() -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_call(ability(ONE), {"urls": [A, C]}, {})
    assert list(refusal.value.fields) == ["urls"]


def test_an_alias_counts_and_the_fields_own_name_wins() -> None:
    field = {"name": "expand_left", "type": "number", "aliases": ["left"]}
    assert read_call(ability(field), {"left": "3"}, {}).inputs == {"expand_left": "3"}
    assert read_call(ability(field), {"expand_left": "4", "left": "3"}, {}).inputs == {"expand_left": "4"}
    assert read_call(ability(field), {"left": "3", "expand_left": "4"}, {}).inputs == {"expand_left": "4"}


@pytest.mark.parametrize(
    ("provider", "metadata", "expected"),
    [
        ("comfyui", {}, True),
        ("volcengine", {"api_type": "image_generation"}, True),
        ("volcengine", {"api_type": "chat_completions"}, False),
        ("kie", {"api_type": "market_text_to_video"}, True),
        ("baidu", {"api_type": "image_generation"}, False),
        ("podi", {}, False),
        ("podi", {"async_mode": True}, True),
        ("coze", {"callback_mode": True}, True),
        ("coze", {"async": True}, True),
    ],
)
def test_which_tools_answer_at_once(provider: str, metadata: dict[str, Any], expected: bool) -> None:
    assert is_async(Ability(provider=provider, metadata=metadata)) is expected
