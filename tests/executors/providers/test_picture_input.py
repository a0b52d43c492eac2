"""What every image tool does with a picture it cannot take: its own code, and nothing made."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from executors.providers.base import Endpoint, Order, ProviderRejected
from executors.providers.imaging.problems import Code
from executors.providers.imaging.tools import TOOLS
from executors.providers.podi import PodiProvider
from podi.base import error_catalogue
from tests.executors.providers.pictures import input_file, png, sample, save
from tests.executors.providers.running import rejected, run

ALL = sorted(TOOLS)


def test_R23_every_code_of_a_tool_is_in_the_catalogue_of_errors() -> None:
    assert {str(code) for code in Code} <= {kind.code for kind in error_catalogue.find_errors()}


@pytest.mark.parametrize("action", ALL)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "IMAGE_NOT_READABLE"),
        (b"not a picture", "IMAGE_NOT_READABLE"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "IMAGE_NOT_READABLE"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "IMAGE_NOT_READABLE"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "IMAGE_NOT_READABLE"),
        (png((64, 64))[:-40], "IMAGE_TRUNCATED"),
        (save(sample((64, 64)), "JPEG")[:-400], "IMAGE_TRUNCATED"),
    ],
    ids=["empty", "text", "svg", "eps", "only a signature", "cut png", "cut jpeg"],
)
def test_what_is_no_whole_picture_is_refused(action: str, data: bytes, code: str) -> None:
    assert rejected(action, data).code == code


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("action", ALL)
def test_a_bomb_is_refused_by_its_header(action: str) -> None:
    assert rejected(action, bomb(100_000, 100_000)).code == "IMAGE_TOO_MANY_PIXELS"
    assert rejected(action, bomb(20_000, 6_000)).code == "IMAGE_TOO_MANY_PIXELS"


@pytest.mark.parametrize("action", ALL)
def test_the_operator_sets_the_limit_of_pixels(action: str) -> None:
    assert rejected(action, png((10, 10)), options={"max_pixels": 99}).code == "IMAGE_TOO_MANY_PIXELS"


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("expand_mask_color", {"expand_left": 20}),
        ("upscale_resize", {"max_long_edge": 30}),
        ("seamless_preview", {"columns": 3}),
        ("trim_to_canvas", {"width_mm": 30, "height_mm": 30, "dpi": 25.4}),
    ],
)
def test_a_result_above_the_limit_is_refused(action: str, params: dict[str, object]) -> None:
    data = png((10, 10))
    assert rejected(action, data, options={"max_pixels": 200}, **params).code == "IMAGE_TOO_MANY_PIXELS"
    assert run(action, data, options={"max_pixels": 900}, **params).outputs


def test_without_a_picture_there_is_nothing_to_do() -> None:
    with pytest.raises(ProviderRejected) as caught:
        PodiProvider(Endpoint(kind="podi")).submit(Order(task_id="t", operation="set_dpi", params={}))
    assert caught.value.code == "IMAGE_REQUIRED"
    assert "image_url" in caught.value.fields


def test_two_pictures_are_not_silently_one() -> None:
    files = (input_file(png()), input_file(png()))
    with pytest.raises(ProviderRejected) as caught:
        PodiProvider(Endpoint(kind="podi")).submit(Order(task_id="t", operation="set_dpi", params={}, files=files))
    assert caught.value.code == "INVALID_INPUT"


@pytest.mark.parametrize("action", ["paint_a_cat", "", "__class__", "SET_DPI"])
def test_an_unknown_tool_is_named(action: str) -> None:
    assert rejected(action, png()).code == "PODI_UTILITY_UNSUPPORTED"


@pytest.mark.parametrize("action", ALL)
def test_a_file_is_closed_whatever_happens(action: str) -> None:
    opened: list[io.BytesIO] = []

    def open_again() -> io.BytesIO:
        opened.append(io.BytesIO(png()))
        return opened[-1]

    good = input_file(png())
    order = Order(
        task_id="t",
        operation=action,
        params={"dpi": 20, "max_long_edge": 50},
        files=(type(good)(**{**vars(good), "open": open_again}),),
    )
    PodiProvider(Endpoint(kind="podi")).submit(order)
    assert opened
    assert all(stream.closed for stream in opened)


@pytest.mark.parametrize("action", ALL)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
def test_the_smallest_pictures_pass_or_are_refused_with_a_code(action: str, size: tuple[int, int]) -> None:
    data = save(Image.new("RGB", size, "red"))
    try:
        assert run(action, data, dpi=20, max_long_edge=50).outputs
    except ProviderRejected as error:
        assert error.code == "IMAGE_EMPTY"  # noqa: PT017


@pytest.mark.parametrize("action", ALL)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F", "LAB", "YCbCr"])
def test_every_mode_is_taken(action: str, mode: str) -> None:
    source = Image.new("I;16", (20, 20), 40_000) if mode == "I;16" else in_mode(mode)
    params = {"trim": "none", "dpi": 20, "max_long_edge": 50, "color": "#010203"}
    data = save(source, "JPEG") if mode == "YCbCr" else save(source, "TIFF")
    wanted = {"output_format": "jpg"} if action == "convert_format" else {}
    assert run(action, data, **params, **wanted).outputs


def in_mode(mode: str) -> Image.Image:
    source = sample((20, 20), "RGB")
    if mode == "LAB":
        return Image.frombytes("LAB", source.size, source.tobytes())
    return sample((20, 20), mode) if mode in ("LA", "RGBA") else source.convert(mode)


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is huge."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
