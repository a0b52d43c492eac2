"""Runs one image tool through the provider, as the runner does."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from executors.providers.base import Endpoint, Order, Output, ProviderRejected, Report
from executors.providers.podi import PodiProvider
from tests.executors.providers.pictures import input_file, read

Pixel = tuple[int, ...]


def run(action: str, data: bytes, *, options: dict[str, Any] | None = None, **params: Any) -> Report:
    provider = PodiProvider(Endpoint(kind="podi", options=options or {}))
    return provider.submit(Order(task_id="t", operation=action, params=params, files=(input_file(data),)))


def only_output(report: Report) -> Output:
    (output,) = report.outputs
    return output


def picture_of(report: Report) -> Image.Image:
    return read(only_output(report).data)


def rejected(action: str, data: bytes, *, options: dict[str, Any] | None = None, **params: Any) -> ProviderRejected:
    with pytest.raises(ProviderRejected) as caught:
        run(action, data, options=options, **params)
    assert caught.value.__context__ is None
    return caught.value


def warnings_of(report: Report) -> list[str]:
    return [warning["code"] for warning in report.metadata.get("warnings", [])]


def pixels(image: Image.Image) -> list[list[Pixel]]:
    """Rows of RGBA pixels."""
    data = image.convert("RGBA").tobytes()
    flat = [tuple(data[at : at + 4]) for at in range(0, len(data), 4)]
    return [flat[at : at + image.width] for at in range(0, len(flat), image.width)]
