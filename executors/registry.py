"""Which provider kinds exist: the only place that imports concrete adapters."""

from __future__ import annotations

from executors.errors import ProviderKindUnsupported
from executors.providers.base import Provider

_PROVIDERS: dict[str, type[Provider]] = {}


def _register(*classes: type[Provider]) -> None:
    for cls in classes:
        _PROVIDERS[cls.kind] = cls


def _load() -> None:
    from importlib import import_module

    for module, name in (
        ("executors.providers.podi", "PodiProvider"),
        ("executors.providers.comfyui", "ComfyUIProvider"),
    ):
        try:
            _register(getattr(import_module(module), name))
        except (ModuleNotFoundError, AttributeError):
            continue


_load()


def provider_kinds() -> tuple[str, ...]:
    """Every kind an executor may have, in a fixed order."""
    return tuple(sorted(_PROVIDERS))


def provider_class(kind: str) -> type[Provider]:
    """The adapter of this kind. Raises ABILITY_PROVIDER_UNSUPPORTED:<kind>."""
    try:
        return _PROVIDERS[kind]
    except KeyError:
        raise ProviderKindUnsupported(kind) from None
