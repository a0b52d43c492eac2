"""The one way an image tool says no: a stable code and a sentence for the caller."""

from __future__ import annotations


class ImageProblem(Exception):
    """The picture or a parameter does not allow what was asked. `field` names the parameter at fault, if one is."""

    def __init__(self, code: str, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


def invalid(field: str, message: str) -> ImageProblem:
    return ImageProblem("INVALID_INPUT", f"{field}: {message}", field=field)


def too_many_pixels(width: int, height: int, *, limit: int, what: str) -> ImageProblem:
    pixels = width * height
    return ImageProblem(
        "IMAGE_TOO_MANY_PIXELS",
        f"{what} would be {width} x {height} = {pixels:,} pixels; at most {limit:,} are allowed.",
    )
