"""What a provider makes of checked inputs before there is a task, and whether the files they name may be fetched."""

from __future__ import annotations

from typing import Any

from abilities.inputs import CheckedInputs
from executors.providers.base import Examined, Provider, ProviderRejected
from media import services as media
from podi.base.errors import InvalidInput


def examine(provider: type[Provider], operation: str, checked: CheckedInputs) -> Examined:
    """Raises InvalidInput with the place of everything wrong, UrlForbidden and FileUrlInvalid for addresses."""
    try:
        found = provider.examine(operation, checked.values, pictures=[picture.field for picture in checked.images])
    except ProviderRejected as error:
        raise InvalidInput(error.message, fields=error.fields or {"inputs": error.message}) from error
    for file in found.files:
        media.check_file(file.url, field=file.field)
    return found


def kept_with_task(examined: Examined) -> dict[str, Any]:
    """What of it the task's inputs remember: the files to fetch, and the facts for the owner."""
    kept: dict[str, Any] = {}
    if examined.files:
        kept["named"] = [{"field": f.field, "url": f.url, "kinds": list(f.kinds)} for f in examined.files]
    if examined.facts:
        kept["facts"] = dict(examined.facts)
    return kept
