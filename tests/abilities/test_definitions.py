"""The pure parts: fields, prices and what may be logged. Nothing that is sent or written may break them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abilities import inputs, pricing, redaction, schema
from abilities.services.abilities import metadata_problems
from podi.base.errors import InvalidInput

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELD = st.fixed_dictionaries(
    {"name": st.sampled_from(["prompt", "image_url", "size", "1bad", "", "mode"])},
    optional={
        "type": st.sampled_from(["text", "number", "switch", "select", "image", "textarea", "colour"]),
        "required": st.booleans(),
        "default": JSON,
        "min": JSON,
        "max": JSON,
        "options": JSON,
        "aliases": JSON,
        "max_length": JSON,
        "max_items": JSON,
        "multiple": st.booleans(),
        "unit": st.sampled_from(["px", "mm"]),
    },
)
SIZE = {"name": "size", "type": "number", "min": 1, "max": 8192, "unit": "px"}


@settings(max_examples=80, deadline=None)
@given(definition=JSON | st.fixed_dictionaries({"fields": st.lists(FIELD | JSON, max_size=4)}), defaults=JSON)
def test_whatever_an_operator_writes_is_a_usable_schema_or_named_as_wrong(definition: Any, defaults: Any) -> None:
    problems = schema.problems_of(definition, defaults)
    assert all(str(text) for text in problems.values())
    if not problems and isinstance(definition, dict):
        jsonschema.Draft202012Validator.check_schema(schema.json_schema(definition))


@settings(max_examples=80, deadline=None)
@given(fields=st.lists(FIELD, max_size=4), given_values=st.dictionaries(st.text(max_size=10), JSON, max_size=5))
def test_R23_whatever_a_caller_sends_is_checked_values_or_a_named_problem(
    fields: list[dict[str, Any]], given_values: dict[str, Any]
) -> None:
    if schema.problems_of({"fields": fields}, {}):
        return
    problems: Mapping[str, Any] = {"none": "yet"}
    values: Mapping[str, Any] = {}
    try:
        values = inputs.check(
            fields=fields, defaults={}, given={**given_values, "size": given_values.get("", 7)}
        ).values
    except InvalidInput as refusal:
        problems = refusal.fields
    json.dumps(values, allow_nan=False)
    assert problems


@pytest.mark.parametrize(
    "value", ["64mm", "64 p", "1_000", "१२", "0x10", "", "1e999", "nan", "9" * 500, 10**400, True, []]
)
def test_R23_a_number_with_a_unit_or_beyond_sense_is_refused(value: Any) -> None:
    fields = [{**SIZE, "required": True}]
    with pytest.raises(InvalidInput) as refusal:
        inputs.check(fields=fields, defaults={}, given={"size": value})
    assert list(refusal.value.fields) == ["size"]


@pytest.mark.parametrize(
    ("value", "read"), [(64, 64), ("64", 64), (" 64px ", 64), ("64.5", 64.5), (64.0, 64), ("+7", 7), ("1e3", 1000)]
)
def test_numbers_are_read_as_written(value: Any, read: float) -> None:
    assert inputs.check(fields=[SIZE], defaults={}, given={"size": value}).values["size"] == read


def test_R14_zero_and_false_are_values_and_absent_is_absent() -> None:
    fields = [{"name": "seed", "type": "number"}, {"name": "tile", "type": "switch"}]
    checked = inputs.check(fields=fields, defaults={"seed": 9, "tile": True}, given={"seed": 0, "tile": False})
    assert checked.values == {"seed": 0, "tile": False}
    assert inputs.check(fields=fields, defaults={"seed": 9}, given={"seed": None, "tile": ""}).values == {"seed": 9}


def test_R13_a_prompt_is_never_taken_for_a_picture() -> None:
    fields = [{"name": "prompt", "type": "text"}, {"name": "image_url", "type": "image"}]
    checked = inputs.check(fields=fields, defaults={}, given={"prompt": "https://shop.example/a.png, red"})
    assert checked.images == ()
    assert checked.values["prompt"] == "https://shop.example/a.png, red"


def test_R21_one_name_per_field_listed_aliases_and_the_rest_is_reported() -> None:
    fields: list[dict[str, Any]] = [
        {"name": "image_url", "type": "image"},
        {"name": "size", "type": "number", "aliases": ["long_edge"]},
    ]
    checked = inputs.check(
        fields=fields, defaults={}, given={"url": "https://a.example/x.png", "long_edge": 5, "Url": "y"}
    )
    assert [picture.field for picture in checked.images] == ["image_url"]
    assert checked.values == {"size": 5}
    assert checked.unknown == ("Url",)


def test_the_json_schema_says_the_same_as_the_check() -> None:
    fields: list[dict[str, Any]] = [
        {"name": "image_url", "type": "image", "required": True},
        SIZE,
        {"name": "mode", "type": "select", "options": ["fit", {"label": "Fill", "value": "fill"}]},
        {"name": "tile", "type": "switch", "default": False},
    ]
    found = schema.json_schema({"fields": fields})
    assert found["required"] == ["image_url"]
    validator = jsonschema.Draft202012Validator(found)
    good = {"image_url": "https://a.example/x.png", "size": 8, "mode": "fill", "tile": True}
    assert validator.is_valid(good)
    inputs.check(fields=fields, defaults={}, given=good)
    for name, wrong in (("size", 0), ("size", "many"), ("mode", "stretch"), ("tile", "perhaps")):
        assert not validator.is_valid({**good, name: wrong})
        with pytest.raises(InvalidInput):
            inputs.check(fields=fields, defaults={}, given={**good, name: wrong})


@settings(max_examples=100, deadline=None)
@given(value=JSON)
def test_what_is_logged_is_always_json_and_never_deep(value: Any) -> None:
    seen = redaction.redact(value)
    json.dumps(seen, allow_nan=False)
    assert depth_of(seen) <= redaction.MAX_DEPTH


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


def test_R30_file_contents_and_secrets_stay_out_of_the_log() -> None:
    deep: Any = "bottom"
    for _ in range(9):
        deep = {"in": deep}
    seen = redaction.redact(
        {
            "imageBase64": "iVBOR",
            "mask_base64": "iVBOR",
            "picture": "data:image/png;base64,iVBOR",
            "accessToken": "invented",
            "X-Api-Key": "invented",
            "headers": {"Authorization": "Bearer invented"},
            "max_tokens": 5,
            "text": "x" * 2001,
            "many": list(range(60)),
            "deep": deep,
            "bytes": b"\x89PNG",
        }
    )
    assert "invented" not in json.dumps(seen)
    assert "iVBOR" not in json.dumps(seen)
    assert seen["max_tokens"] == 5
    assert (len(seen["text"]), seen["text"][-1]) == (2001, "…")
    assert len(seen["many"]) == 50
    assert "bottom" not in json.dumps(seen)
    assert "[truncated]" in json.dumps(seen)


@pytest.mark.parametrize(
    "pricing_",
    [{"points": "ten"}, {"points": -1}, {"list_price": "NaN"}, {"discount_price": "free"}, [], {"points": True}],
)
def test_a_price_nobody_can_count_with_is_refused_when_it_is_saved(pricing_: Any) -> None:
    assert metadata_problems({"pricing": pricing_})


def test_R14_cost_follows_what_was_delivered() -> None:
    price = pricing.price_of(
        {"pricing": {"unit": "per_image", "list_price": 0.5, "discount_price": "0.3333", "points": 4}}
    )
    assert pricing.amount(price, Decimal(pricing.delivered_quantity(price, outputs=3))) == Decimal("0.9999")
    per_call = pricing.price_of({"pricing": {"unit": "per_call", "list_price": 2, "points": 7}})
    assert pricing.quote({"pricing": {"unit": "per_call", "points": 7}}, expected_outputs=4).points == 7
    assert pricing.amount(per_call, Decimal(pricing.delivered_quantity(per_call, outputs=4))) == Decimal("2.0000")
