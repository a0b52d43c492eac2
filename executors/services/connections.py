"""From an executor's row to a live adapter: address, secrets, a key that can serve. Adapters are kept per process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from executors.errors import ApiKeyNotFound, ApiKeyUnavailable, provider_not_configured
from executors.models import ApiKey, Executor
from executors.pool import keys
from executors.providers.base import Endpoint, Provider
from executors.registry import provider_class
from executors.services import house

_KEPT = 256
_adapters: OrderedDict[tuple[Any, ...], Provider] = OrderedDict()
_guard = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A live adapter and what it was built from. `executor` is None where the kind works without a row."""

    provider: Provider
    executor: Executor | None = None
    api_key: ApiKey | None = None


def connect(kind: str, executor: Executor | None, *, api_key_id: str = "") -> Connection:
    """Build or reuse the adapter. One query where the kind uses API keys, none otherwise once the adapter is known.

    `api_key_id` asks for the very key a piece of work was sent with: it is used even while it pauses, because only it
    can see that work. Without it the next usable key is taken; none raises ApiKeyUnavailable at once, nobody waits.
    Without an executor the settings give address and token; raises `<KIND>_NOT_CONFIGURED` where they do not.
    """
    cls = provider_class(kind)
    api_key = _key_for(cls, executor, api_key_id)
    identity = (
        kind,
        executor.pk if executor else _endpoint_of_settings(cls).base_url,
        executor.updated_at if executor else None,
        api_key.pk if api_key else "",
        api_key.updated_at if api_key else None,
    )
    with _guard:
        provider = _adapters.get(identity)
        if provider is not None:
            _adapters.move_to_end(identity)
    if provider is None:
        endpoint = _endpoint(kind, executor, api_key) if executor else _endpoint_of_settings(cls)
        provider = _keep(identity, cls(endpoint))
    return Connection(provider=provider, executor=executor, api_key=api_key)


def base_url_of(executor: Executor) -> str:
    """The column, then `config.baseUrl`, then `config.base_url`; no trailing slash."""
    url = executor.base_url or executor.config.get("baseUrl") or executor.config.get("base_url") or ""
    return str(url).strip().rstrip("/")


def _key_for(cls: type[Provider], executor: Executor | None, api_key_id: str) -> ApiKey | None:
    if not cls.uses_api_keys:
        return None
    if api_key_id:
        key = ApiKey.objects.filter(pk=api_key_id).first()
        if key is None:
            raise ApiKeyNotFound(apiKeyId=api_key_id)
        return key
    now = timezone.now()
    key = keys.pick(cls.kind, executor, now)
    if key is None and not (executor and executor.secrets.get("api_key")):
        raise ApiKeyUnavailable(retry_after_s=keys.seconds_until_one_returns(cls.kind, now), provider=cls.kind)
    return key


def _endpoint_of_settings(cls: type[Provider]) -> Endpoint:
    endpoint = house.find_endpoint(cls)
    if endpoint is None:
        raise provider_not_configured(cls.kind)
    return endpoint


def _endpoint(kind: str, executor: Executor, api_key: ApiKey | None) -> Endpoint:
    secrets: dict[str, str] = dict(executor.secrets)
    if api_key is not None:
        secrets |= {"api_key": api_key.key, **api_key.secrets}
    options = dict(executor.config)
    endpoint = house.bounded(
        Endpoint(
            kind=kind,
            executor_id=executor.pk,
            base_url=base_url_of(executor),
            secrets=secrets,
            options=options,
        )
    )
    connect_s, read_s = options.get("connect_timeout_s"), options.get("read_timeout_s")
    if isinstance(connect_s, int | float):
        endpoint = replace(endpoint, connect_timeout_s=float(connect_s))
    if isinstance(read_s, int | float):
        endpoint = replace(endpoint, read_timeout_s=float(read_s))
    return endpoint


def _keep(identity: tuple[Any, ...], provider: Provider) -> Provider:
    with _guard:
        kept = _adapters.setdefault(identity, provider)
        while len(_adapters) > _KEPT:
            _adapters.popitem(last=False)
    return kept
