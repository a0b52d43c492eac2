"""An executor's settings as its provider declares them: what is secret, what is wrong, how a secret is shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executors.providers.base import Parameter, Provider

MASK = "****"
_SECRET_NAMES = frozenset({"api_key", "secret", "secret_key", "access_key", "token", "password", "authorization"})
_SECRET_ENDINGS = ("_secret", "_token", "_password", "_api_key", "_secret_key", "_access_key")
_ADDRESS_NAMES = ("base_url", "baseUrl")


def mask(value: str) -> str:
    """Stars and the last four characters; only stars where four would give too much away."""
    return MASK + value[-4:] if len(value) >= 12 else MASK


def is_mask(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(MASK)


def secret_name(name: str, cls: type[Provider] | None = None) -> str:
    """The name under which this setting is kept as a secret (snake case); empty when it is not one.

    Besides what the provider declares, every name that sounds like a secret is one: nothing such is stored in clear.
    """
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).replace("-", "_").lower()
    snake = "api_key" if snake == "apikey" else "secret_key" if snake == "secretkey" else snake
    declared = any(item.secret and snake == item.name for item in (cls.parameters if cls else ()))
    sounds_secret = snake in _SECRET_NAMES or snake.endswith(_SECRET_ENDINGS)
    return snake if declared or sounds_secret else ""


def split(config: Mapping[str, Any], cls: type[Provider] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plain settings, and the secrets among them."""
    plain: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    for name, value in config.items():
        if kept_as := secret_name(name, cls):
            secrets[kept_as] = value
        else:
            plain[name] = value
    return plain, secrets


def merge_secrets(stored: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    """Given secrets over the stored ones. A mask sent back keeps what is stored; null or empty text removes it."""
    merged = dict(stored)
    for name, value in given.items():
        if is_mask(value):
            continue
        if value in (None, ""):
            merged.pop(name, None)
        else:
            merged[name] = str(value)
    return merged


def show(config: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The settings for a reader: secrets as masks beside the plain ones."""
    return {**config, **{name: mask(str(value)) for name, value in secrets.items()}}


def find_problems(
    cls: type[Provider], *, base_url: str, config: Mapping[str, Any], secrets: Mapping[str, str], is_active: bool
) -> dict[str, str | Promise]:
    """Field name to what is wrong. What is required may be missing until the executor is switched on."""
    problems: dict[str, str | Promise] = {}
    if base_url and (problem := url_problem(base_url)):
        problems["base_url"] = problem
    for name in _ADDRESS_NAMES:
        if config.get(name) and (problem := url_problem(config[name])):
            problems[f"config.{name}"] = problem
    for parameter in cls.parameters:
        value = _value_of(parameter, base_url, config, secrets)
        if value in (None, ""):
            if parameter.required and is_active and parameter.default is None:
                problems[_field_of(parameter)] = _("An active executor needs this.")
        elif problem := _type_problem(parameter, value):
            problems[_field_of(parameter)] = problem
    return problems


def url_problem(value: Any) -> str | Promise:
    """Why this is no address of a service; empty when it is one."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            return _("Give an address that starts with http:// or https://.")
        if parts.username or parts.password:
            return _("Leave user and password out of the address; store them as secrets.")
        _port = parts.port
    except ValueError:
        return _("Give an address that starts with http:// or https://.")
    return ""


def visible_parameters(cls: type[Provider]) -> Iterator[Parameter]:
    """The declared ones that are not the address, which has a column of its own."""
    return (parameter for parameter in cls.parameters if parameter.name not in _ADDRESS_NAMES)


def _value_of(parameter: Parameter, base_url: str, config: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
    if parameter.name in _ADDRESS_NAMES:
        return base_url or config.get("baseUrl") or config.get("base_url")
    return secrets.get(parameter.name) if parameter.secret else config.get(parameter.name)


def _field_of(parameter: Parameter) -> str:
    return "base_url" if parameter.name in _ADDRESS_NAMES else f"config.{parameter.name}"


def _type_problem(parameter: Parameter, value: Any) -> str | Promise:
    match parameter.type:
        case "number" if isinstance(value, bool) or not isinstance(value, int | float):
            return _("Give a number.")
        case "boolean" if not isinstance(value, bool):
            return _("Give true or false.")
        case "select" if value not in parameter.choices:
            return _("Choose one of: %(choices)s.") % {"choices": ", ".join(parameter.choices)}
        case "url":
            return url_problem(value)
        case "text" if not isinstance(value, str):
            return _("Give a text.")
    return ""
