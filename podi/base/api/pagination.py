"""Pages as the contract asks for them: `limit` and `offset`, or `page` and its size; out of range is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from podi.base.errors import InvalidInput

MAX_OFFSET = 10_000_000
_WHOLE = re.compile(r"-?[0-9]{1,12}")


@dataclass(frozen=True, kw_only=True)
class Window:
    """A slice of a list."""

    limit: int
    offset: int = 0

    @property
    def slice(self) -> slice:
        return slice(self.offset, self.offset + self.limit)


def read_window(request: Request, *, default: int = 50, maximum: int = 200) -> Window:
    """`?limit=&offset=`. Raises InvalidInput (422) naming the field."""
    return Window(
        limit=read_int(request, "limit", default=default, minimum=1, maximum=maximum),
        offset=read_int(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET),
    )


def read_page(
    request: Request, *, size_name: str = "pageSize", default: int = 20, maximum: int = 200, first: int = 1
) -> tuple[int, Window]:
    """`?page=&<size_name>=` as (page, window); `first` is the number of the first page. Raises InvalidInput."""
    size = read_int(request, size_name, default=default, minimum=1, maximum=maximum)
    page = read_int(request, "page", default=first, minimum=first, maximum=MAX_OFFSET // size)
    return page, Window(limit=size, offset=(page - first) * size)


def read_int(request: Request, name: str, *, default: int, minimum: int, maximum: int) -> int:
    """A whole number of the query string. Raises InvalidInput when it is none or out of range."""
    raw = request.query_params.get(name, "")
    if raw == "":
        return default
    if not _WHOLE.fullmatch(raw) or not minimum <= int(raw) <= maximum:
        limits = {"minimum": minimum, "maximum": maximum}
        raise InvalidInput(fields={name: _("A whole number from %(minimum)d to %(maximum)d.") % limits})
    return int(raw)
