"""PODI's own image tools as a provider: the work runs here, in the calling process, and no network is used."""

from __future__ import annotations

import io
import time
from pathlib import PurePosixPath
from typing import Any

import PIL
from PIL import Image, features

from executors.providers.base import (
    Health,
    InputFile,
    Order,
    Output,
    Parameter,
    Phase,
    Provider,
    ProviderRejected,
    Report,
    Usage,
)
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import CONTENT_TYPES, READABLE, SUFFIXES, Limits, Picture, Result
from executors.providers.imaging.problems import Code, ImageProblem
from executors.providers.imaging.tools import TOOLS, Tool
from executors.providers.imaging.warnings import warn

DEFAULT_MAX_PIXELS = 100_000_000


class PodiProvider(Provider):
    """`order.operation` names the tool; the one picture comes in `order.files`.

    Rejects with the codes of `imaging.problems.Code`; INVALID_INPUT names the field.
    """

    kind = "podi"
    label = "PODI image tools"
    parameters = (
        Parameter(
            name="max_pixels",
            label="Largest picture (pixels)",
            type="number",
            default=DEFAULT_MAX_PIXELS,
            help="Width times height, of inputs and of results. A job takes up to about 24 bytes of memory a pixel.",
        ),
        Parameter(
            name="cmyk_profile",
            label="CMYK profile (file)",
            help="Path of the print shop's ICC profile on the server. Without one, CMYK is plain arithmetic.",
        ),
    )
    needs_executor = False
    runs_here = True
    finishes_on_submit = True
    is_quick = True
    is_repeatable = True

    def submit(self, order: Order) -> Report:
        tool = TOOLS.get(order.operation)
        if tool is None:
            raise ProviderRejected(
                f"There is no image tool named {order.operation!r}.", code=Code.PODI_UTILITY_UNSUPPORTED.value
            )
        source = _only_picture(order)
        started = time.perf_counter()
        try:
            with source.open() as stream:
                picture, result = tool.run(stream, source.size_bytes, self._parameters_of(order), self._limits)
        except ImageProblem as problem:
            fields = {problem.field: problem.message} if problem.field else None
            rejection = ProviderRejected(problem.message, code=problem.code.value, fields=fields)
        else:
            return _report(tool, source, picture, result, seconds=time.perf_counter() - started)
        raise rejection

    def probe(self) -> Health:
        """Makes and reads a picture of one pixel, so that a broken Pillow is seen here."""
        started = time.perf_counter()
        try:
            file = io.BytesIO()
            Image.new("RGB", (1, 1)).save(file, "PNG")
            Image.open(file).load()
        except (OSError, ValueError) as error:
            return Health(is_up=False, message=f"Pillow does not work: {type(error).__name__}.")
        return Health(
            is_up=True,
            version=f"Pillow {PIL.__version__}",
            latency_ms=(time.perf_counter() - started) * 1000,
            inventory={
                "tools": sorted(TOOLS),
                "formats": sorted(READABLE),
                "features": {name: bool(features.check(name)) for name in ("webp", "littlecms2", "libtiff")},
            },
        )

    @property
    def _limits(self) -> Limits:
        return Limits(max_pixels=int(self.endpoint.options.get("max_pixels") or DEFAULT_MAX_PIXELS))

    def _parameters_of(self, order: Order) -> Parameters:
        return Parameters(order.params, cmyk_profile=str(self.endpoint.options.get("cmyk_profile") or ""))


def _only_picture(order: Order) -> InputFile:
    files = order.files_of("image_url") or order.files
    if not files:
        raise ProviderRejected(
            "Send a picture.", code=Code.IMAGE_REQUIRED.value, fields={"image_url": "Send a picture."}
        )
    if len(files) > 1:
        message = f"This tool takes one picture, {len(files)} were given."
        raise ProviderRejected(message, code=Code.INVALID_INPUT.value, fields={"image_url": message})
    return files[0]


def _report(tool: Tool, source: InputFile, picture: Picture, result: Result, *, seconds: float) -> Report:
    request: dict[str, Any] = {
        "action": tool.action,
        "input": {
            "width": picture.width,
            "height": picture.height,
            "format": picture.format,
            "mode": picture.stored_mode,
            "size_bytes": picture.size_bytes,
        },
        **result.facts,
    }
    if result.data is not None:
        request["output"] = {
            "width": result.width,
            "height": result.height,
            "format": result.format,
            "size_bytes": len(result.data),
        }
    return Report(
        phase=Phase.SUCCEEDED,
        progress=1.0,
        outputs=(_output(tool, source, result),),
        usage=Usage(images=1 if result.data is not None else 0, seconds=round(seconds, 3)),
        metadata=_metadata(picture, result),
        raw={"request": request},
    )


def _metadata(picture: Picture, result: Result) -> dict[str, Any]:
    warnings = list(result.warnings)
    if picture.frames > 1 and result.data is not None and not result.keeps_frames:
        warnings.append(warn("SEVERAL_FRAMES", frames=picture.frames))
    if not warnings:
        return dict(result.metadata)
    return {**result.metadata, "warnings": [warning.as_json() for warning in warnings]}


def _output(tool: Tool, source: InputFile, result: Result) -> Output:
    if result.data is None:
        return Output(kind="text", text=result.text or "", content_type="application/json", tag=tool.tag)
    stem = PurePosixPath(source.name or "image").stem or "image"
    return Output(
        kind="image",
        name=f"{stem}{SUFFIXES[result.format]}",
        content_type=CONTENT_TYPES[result.format],
        data=result.data,
        tag=tool.tag,
        metadata={"width": result.width, "height": result.height},
    )
