"""The one way an image tool says no: a stable code and a sentence for the caller."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Every code a tool may answer with. Each has its HTTP status and its row in the error catalogue."""

    INVALID_INPUT = "INVALID_INPUT"
    IMAGE_REQUIRED = "IMAGE_REQUIRED"
    IMAGE_NOT_READABLE = "IMAGE_NOT_READABLE"
    IMAGE_TRUNCATED = "IMAGE_TRUNCATED"
    IMAGE_TOO_MANY_PIXELS = "IMAGE_TOO_MANY_PIXELS"
    IMAGE_EMPTY = "IMAGE_EMPTY"
    COLOR_PROFILE_UNUSABLE = "COLOR_PROFILE_UNUSABLE"
    CMYK_PROFILE_UNUSABLE = "CMYK_PROFILE_UNUSABLE"
    PODI_UTILITY_UNSUPPORTED = "PODI_UTILITY_UNSUPPORTED"


class ImageProblem(Exception):
    """The picture or a parameter does not allow what was asked. `field` names the parameter at fault, if one is."""

    def __init__(self, code: Code, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


def invalid(field: str, message: str) -> ImageProblem:
    return ImageProblem(Code.INVALID_INPUT, f"{field}: {message}", field=field)


def too_many_pixels(width: int, height: int, *, limit: int, what: str) -> ImageProblem:
    pixels = width * height
    return ImageProblem(
        Code.IMAGE_TOO_MANY_PIXELS,
        f"{what} would be {width} x {height} = {pixels:,} pixels; at most {limit:,} are allowed.",
    )
