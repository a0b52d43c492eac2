"""Which provider kinds exist: the only place that imports concrete adapters."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from executors.errors import ExecutorTypeMismatch, ProviderKindUnsupported
from executors.providers.base import Provider
from executors.providers.comfyui import ComfyUIProvider

_PROVIDERS: dict[str, type[Provider]] = {cls.kind: cls for cls in (ComfyUIProvider,)}
if find_spec("executors.providers.podi"):
    _podi = import_module("executors.providers.podi").PodiProvider
    _PROVIDERS[_podi.kind] = _podi


def provider_kinds() -> tuple[str, ...]:
    """Every kind an executor may have, in a fixed order."""
    return tuple(sorted(_PROVIDERS))


def provider_class(kind: str) -> type[Provider]:
    """The adapter of this kind. Raises ABILITY_PROVIDER_UNSUPPORTED:<kind>."""
    try:
        return _PROVIDERS[kind]
    except KeyError:
        raise ProviderKindUnsupported(kind) from None


def as_comfyui(provider: Provider) -> ComfyUIProvider:
    """For the staff pages about nodes, which ask what only a ComfyUI server can answer."""
    if not isinstance(provider, ComfyUIProvider):
        raise ExecutorTypeMismatch(wanted=ComfyUIProvider.kind, executor_id=provider.endpoint.executor_id)
    return provider
