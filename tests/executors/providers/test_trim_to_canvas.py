"""trim_to_canvas: the size in millimetres, the place of the motif, and what counts as border."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.executors.providers.pictures import png, save
from tests.executors.providers.running import only_output, picture_of, pixels, rejected, run, warnings_of

RED, WHITE, CLEAR = (255, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0)
PIXEL_PER_MM = 25.4
"""The dpi at which a millimetre is a pixel."""


def motif(box: tuple[int, int, int, int], size: tuple[int, int] = (20, 20), around: object = CLEAR) -> bytes:
    image = Image.new("RGBA", size, around)  # type: ignore[arg-type]
    image.paste(RED, box)
    return save(image)


def test_the_canvas_has_the_millimetres_at_the_dpi() -> None:
    report = run("trim_to_canvas", motif((5, 5, 9, 9)), width_mm=100, height_mm=50, dpi=300)
    made = picture_of(report)
    assert (made.size, made.mode, made.format) == ((1181, 591), "RGBA", "PNG")
    assert [round(value, 2) for value in made.info["dpi"]] == [300.0, 300.0]
    assert only_output(report).tag == "podi-trim-to-canvas"


def test_the_motif_is_trimmed_and_centred() -> None:
    report = run("trim_to_canvas", motif((3, 4, 7, 6)), width_mm=10, height_mm=10, dpi=PIXEL_PER_MM, fit="none")
    made = picture_of(report)
    assert made.getchannel("A").getbbox() == (3, 4, 7, 6)
    assert {pixel for row in pixels(made) for pixel in row} == {RED, CLEAR}
    assert report.raw["request"]["motif_box"] == [3, 4, 7, 6]


def test_what_cannot_be_halved_goes_right_and_down() -> None:
    report = run("trim_to_canvas", motif((0, 0, 3, 3)), width_mm=10, height_mm=10, dpi=PIXEL_PER_MM, fit="none")
    assert picture_of(report).getchannel("A").getbbox() == (3, 3, 6, 6)


def test_the_margin_stays_free_and_the_motif_fills_the_rest() -> None:
    params = {"width_mm": 40, "height_mm": 30, "margin_mm": 5, "dpi": PIXEL_PER_MM}
    made = picture_of(run("trim_to_canvas", motif((5, 5, 15, 15)), **params))
    assert made.getchannel("A").getbbox() == (10, 5, 30, 25)


def test_enlarging_is_said_with_the_dpi_that_is_left() -> None:
    report = run("trim_to_canvas", motif((5, 5, 15, 15)), width_mm=25.4, height_mm=25.4, dpi=100)
    assert warnings_of(report) == ["MOTIF_ENLARGED"]
    assert (report.raw["request"]["scale"], report.raw["request"]["motif_dpi"]) == (10.0, 10.0)


def test_shrink_never_enlarges() -> None:
    params = {"width_mm": 40, "height_mm": 40, "dpi": PIXEL_PER_MM, "fit": "shrink"}
    assert picture_of(run("trim_to_canvas", motif((5, 5, 15, 15)), **params)).getchannel("A").getbbox() == (
        15,
        15,
        25,
        25,
    )
    small = params | {"width_mm": 4, "height_mm": 8}
    assert picture_of(run("trim_to_canvas", motif((5, 5, 15, 15)), **small)).getchannel("A").getbbox() == (0, 2, 4, 6)


def test_a_motif_that_must_not_be_scaled_has_to_fit() -> None:
    error = rejected("trim_to_canvas", motif((1, 1, 19, 19)), width_mm=10, height_mm=10, dpi=PIXEL_PER_MM, fit="none")
    assert list(error.fields) == ["fit"]


def test_a_uniform_border_is_trimmed_by_the_colour_of_the_corners() -> None:
    params = {"width_mm": 30, "height_mm": 30, "dpi": PIXEL_PER_MM, "fit": "none"}
    report = run("trim_to_canvas", motif((2, 3, 12, 8), around="white"), **params)
    assert report.raw["request"]["motif_box"] == [2, 3, 12, 8]
    assert picture_of(report).getchannel("A").getbbox() == (10, 12, 20, 17)


def test_a_nearly_uniform_border_is_trimmed_within_the_tolerance() -> None:
    image = Image.new("RGB", (20, 20), (250, 250, 250))
    image.paste((244, 250, 250), (0, 0, 20, 3))
    image.paste("red", (8, 8, 12, 12))
    box = [8, 8, 12, 12]
    assert run("trim_to_canvas", save(image), tolerance=6, dpi=10).raw["request"]["motif_box"] == box
    assert run("trim_to_canvas", save(image), tolerance=5, dpi=10).raw["request"]["motif_box"] == [0, 0, 20, 20]


def test_corners_that_differ_are_not_trimmed_and_that_is_said() -> None:
    image = Image.new("RGB", (20, 20), "white")
    image.putpixel((19, 19), (0, 0, 0))
    report = run("trim_to_canvas", save(image), trim="color", dpi=10)
    assert report.raw["request"]["motif_box"] == [0, 0, 20, 20]
    assert "BORDER_NOT_UNIFORM" in warnings_of(report)


def test_no_trim_keeps_the_border() -> None:
    report = run("trim_to_canvas", motif((5, 5, 6, 6)), trim="none", dpi=10)
    assert report.raw["request"]["motif_box"] == [0, 0, 20, 20]


@pytest.mark.parametrize("around", [CLEAR, "white"])
def test_nothing_but_border_is_refused(around: object) -> None:
    assert rejected("trim_to_canvas", motif((0, 0, 0, 0), around=around)).code == "IMAGE_EMPTY"


def test_a_coloured_canvas_is_opaque_and_shows_through_the_motif() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    params = {"width_mm": 8, "height_mm": 8, "dpi": PIXEL_PER_MM, "fit": "none", "trim": "none"}
    made = picture_of(run("trim_to_canvas", save(image), background="#0000ff", **params))
    assert made.mode == "RGB"
    assert made.getpixel((0, 0)) == (0, 0, 255)
    assert made.getpixel((4, 4)) == (128, 0, 127)


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("width_mm", {"width_mm": 0}),
        ("height_mm", {"height_mm": "tall"}),
        ("dpi", {"dpi": 5000}),
        ("margin_mm", {"margin_mm": 200}),
        ("margin_mm", {"margin_mm": -1}),
        ("trim", {"trim": "all"}),
        ("tolerance", {"tolerance": 256}),
        ("fit", {"fit": "fill"}),
        ("background", {"background": "sky"}),
    ],
)
def test_names_the_wrong_field(field: str, params: dict[str, object]) -> None:
    error = rejected("trim_to_canvas", png(), **params)
    assert (error.code, list(error.fields)) == ("INVALID_INPUT", [field])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(20, 90),
    st.integers(20, 90),
    st.integers(0, 9),
    st.sampled_from([25.4, 50.8, 30, 37.5]),
)
def test_the_motif_touches_a_margin_and_never_crosses_one(
    width: int, height: int, width_mm: int, height_mm: int, margin_mm: int, dpi: float
) -> None:
    data = save(Image.new("RGB", (width, height), "red"))
    params = {"width_mm": width_mm, "height_mm": height_mm, "margin_mm": margin_mm, "dpi": dpi, "trim": "none"}
    made = picture_of(run("trim_to_canvas", data, **params))
    assert made.size == (round(width_mm / 25.4 * dpi), round(height_mm / 25.4 * dpi))
    margin = round(margin_mm / 25.4 * dpi)
    left, top, right, bottom = made.getchannel("A").getbbox() or (0, 0, 0, 0)
    gaps = (left, top, made.width - right, made.height - bottom)
    assert min(gaps) >= margin
    assert min(gaps) <= margin + 1
    assert 0 <= gaps[2] - gaps[0] <= 1
    assert 0 <= gaps[3] - gaps[1] <= 1
