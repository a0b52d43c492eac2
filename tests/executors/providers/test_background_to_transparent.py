"""background_to_transparent: only alpha changes, and only where it should."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.executors.providers.pictures import png, save
from tests.executors.providers.running import only_output, picture_of, pixels, rejected, run, warnings_of


def ring(background: object = "white") -> Image.Image:
    """A black ring: background outside it and inside it."""
    image = Image.new("RGB", (15, 15), background)  # type: ignore[arg-type]
    ImageDraw.Draw(image).rectangle((3, 3, 11, 11), outline="black", width=2)
    return image


def alpha_at(report: object, *places: tuple[int, int]) -> list[int]:
    channel = picture_of(report).getchannel("A")  # type: ignore[arg-type]
    return [channel.getpixel(place) for place in places]  # type: ignore[misc]


def test_what_hangs_together_with_the_edge_goes_and_the_inside_stays() -> None:
    report = run("background_to_transparent", save(ring()), feather=0)
    assert alpha_at(report, (0, 0), (2, 7), (3, 3), (7, 7)) == [0, 0, 255, 255]
    assert report.raw["request"]["color"] == "#FFFFFF"
    assert (only_output(report).tag, picture_of(report).mode) == ("podi-transparent", "RGBA")


def test_everywhere_takes_the_inside_too() -> None:
    report = run("background_to_transparent", save(ring()), mode="everywhere", feather=0)
    assert alpha_at(report, (0, 0), (3, 3), (7, 7)) == [0, 255, 0]


def test_no_colour_changes() -> None:
    source = ring((250, 240, 230))
    made = picture_of(run("background_to_transparent", save(source), feather=2))
    assert made.convert("RGB").tobytes() == source.tobytes()


@pytest.mark.parametrize(("tolerance", "alpha"), [(9, 255), (10, 0), (11, 0)])
def test_the_tolerance_is_the_largest_difference_of_any_channel(tolerance: int, alpha: int) -> None:
    image = Image.new("RGB", (9, 9), (100, 100, 100))
    image.paste((100, 90, 105), (0, 0, 9, 2))
    image.paste("black", (4, 4, 6, 6))
    report = run("background_to_transparent", save(image), color="#646464", tolerance=tolerance, feather=0)
    assert alpha_at(report, (4, 1), (4, 3)) == [alpha, 0]


def test_the_commonest_colour_of_the_edge_is_found_through_noise() -> None:
    image = Image.new("RGB", (40, 40), (200, 201, 202))
    for x in range(0, 40, 3):
        image.putpixel((x, 0), (203, 203, 203))
    image.paste("black", (0, 10, 4, 20))
    report = run("background_to_transparent", save(image), feather=0)
    assert report.raw["request"]["color"] == "#C8C9CA"
    assert 0.5 < report.raw["request"]["edge_share"] < 1
    assert alpha_at(report, (20, 20), (1, 12)) == [0, 255]


def test_a_picked_pixel_names_the_colour() -> None:
    report = run("background_to_transparent", save(ring()), pick_x=3, pick_y="3px", mode="everywhere", feather=0)
    assert report.raw["request"]["color"] == "#000000"
    assert alpha_at(report, (0, 0), (3, 3)) == [255, 0]


@pytest.mark.parametrize("colour", ["#fff", "#FFFFFF", "white", "rgb(255, 255, 255)"])
def test_a_colour_may_be_written_in_several_ways(colour: str) -> None:
    assert alpha_at(run("background_to_transparent", save(ring()), color=colour, feather=0), (0, 0)) == [0]


def test_feathering_fades_only_inside_what_is_kept() -> None:
    image = Image.new("RGB", (40, 40), "white")
    image.paste("black", (10, 10, 30, 30))
    hard = picture_of(run("background_to_transparent", save(image), feather=0)).getchannel("A")
    soft = picture_of(run("background_to_transparent", save(image), feather=2)).getchannel("A")
    assert all(s <= h for s, h in zip(soft.tobytes(), hard.tobytes(), strict=True))
    row = [soft.getpixel((x, 20)) for x in range(8, 21)]
    assert row[:2] == [0, 0]
    assert 0 < row[2] < 255  # type: ignore[operator]
    assert row == sorted(row)  # type: ignore[type-var]
    assert row[-1] == 255


def test_what_was_transparent_stays_so_and_leads_to_the_background() -> None:
    image = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (2, 2, 7, 7))
    image.paste((255, 0, 0, 128), (4, 4, 5, 5))
    report = run("background_to_transparent", save(image), color="white", feather=0)
    assert alpha_at(report, (0, 0), (2, 2), (4, 4)) == [0, 0, 128]


def test_nothing_to_remove_changes_nothing_and_says_so() -> None:
    report = run("background_to_transparent", save(ring()), color="#00ff00", feather=0)
    assert picture_of(report).getchannel("A").getextrema() == (255, 255)
    assert report.metadata["removed_share"] == 0
    assert warnings_of(report) == ["NOTHING_REMOVED"]


def test_nothing_left_is_refused() -> None:
    assert rejected("background_to_transparent", save(Image.new("RGB", (9, 9), "white"))).code == "IMAGE_EMPTY"


def test_the_removed_share_is_told() -> None:
    image = Image.new("RGB", (10, 10), "white")
    image.paste("black", (0, 0, 10, 4))
    assert run("background_to_transparent", save(image), feather=0).metadata["removed_share"] == 0.6


def test_dpi_stays() -> None:
    made = picture_of(run("background_to_transparent", save(ring(), dpi=(200, 200))))
    assert round(made.info["dpi"][0]) == 200


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("color", {"color": "clear"}),
        ("tolerance", {"tolerance": -1}),
        ("tolerance", {"tolerance": 1.5}),
        ("mode", {"mode": "some"}),
        ("feather", {"feather": 101}),
        ("pick_x", {"pick_x": 1}),
        ("pick_x", {"pick_x": 99, "pick_y": 0}),
        ("pick_y", {"pick_x": 0, "pick_y": -1}),
    ],
)
def test_names_the_wrong_field(field: str, params: dict[str, object]) -> None:
    assert list(rejected("background_to_transparent", png(), **params).fields) == [field]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 255), st.lists(st.integers(0, 255), min_size=36, max_size=36))
def test_everywhere_is_exactly_the_tolerance(tolerance: int, levels: list[int]) -> None:
    image = Image.new("L", (6, 6))
    image.putdata(levels)
    kept = [abs(level - 100) > tolerance for level in levels]
    params = {"color": "#646464", "tolerance": tolerance, "mode": "everywhere", "feather": 0}
    if not any(kept):
        assert rejected("background_to_transparent", save(image), **params).code == "IMAGE_EMPTY"
        return
    made = pixels(picture_of(run("background_to_transparent", save(image), **params)))
    assert [alpha == 255 for row in made for *_, alpha in row] == kept
