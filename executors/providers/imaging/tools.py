"""The list of image tools: the action's name, the tag of its result, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from executors.providers.imaging.background import background_to_transparent
from executors.providers.imaging.canvas import trim_to_canvas
from executors.providers.imaging.convert import convert_format
from executors.providers.imaging.dpi import set_dpi
from executors.providers.imaging.expand import expand_mask_color
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result, open_picture
from executors.providers.imaging.readiness import print_readiness
from executors.providers.imaging.resize import upscale_resize
from executors.providers.imaging.seamless import seamless_preview

FileTool = Callable[[BinaryIO, int, Parameters, Limits], tuple[Picture, Result]]
PixelTool = Callable[[Picture, Parameters, Limits], Result]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """`run` takes the file's stream, its size in bytes, the parameters and the limits."""

    action: str
    tag: str
    run: FileTool


def on_pixels(work: PixelTool) -> FileTool:
    """Most tools work on the decoded, upright picture."""

    def run(stream: BinaryIO, size_bytes: int, parameters: Parameters, limits: Limits) -> tuple[Picture, Result]:
        picture = open_picture(stream, size_bytes=size_bytes, limits=limits)
        return picture, work(picture, parameters, limits)

    return run


_ALL = (
    Tool(action="expand_mask_color", tag="podi-expand-mask", run=on_pixels(expand_mask_color)),
    Tool(action="set_dpi", tag="podi-set-dpi", run=set_dpi),
    Tool(action="upscale_resize", tag="podi-upscale-resize", run=on_pixels(upscale_resize)),
    Tool(action="seamless_preview", tag="podi-seamless-preview", run=on_pixels(seamless_preview)),
    Tool(action="trim_to_canvas", tag="podi-trim-to-canvas", run=on_pixels(trim_to_canvas)),
    Tool(action="background_to_transparent", tag="podi-transparent", run=on_pixels(background_to_transparent)),
    Tool(action="convert_format", tag="podi-convert-format", run=on_pixels(convert_format)),
    Tool(action="print_readiness", tag="podi-print-readiness", run=on_pixels(print_readiness)),
)

TOOLS = {tool.action: tool for tool in _ALL}
