"""The list of image tools: the action's name, the tag of its result, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from executors.providers.imaging.dpi import set_dpi
from executors.providers.imaging.expand import expand_mask_color
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result, open_picture
from executors.providers.imaging.resize import upscale_resize

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
)

TOOLS = {tool.action: tool for tool in _ALL}
