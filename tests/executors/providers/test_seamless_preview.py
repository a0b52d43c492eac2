"""seamless_preview: where each tile lies, and what the seam score says of known patterns."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from tests.executors.providers.pictures import png, sample, save
from tests.executors.providers.running import only_output, picture_of, pixels, rejected, run, warnings_of


def seams(image: Image.Image, **params: object) -> dict[str, object]:
    found = run("seamless_preview", save(image), **params).metadata["seams"]
    assert isinstance(found, dict)
    return found


def ramp(width: int = 64, height: int = 64) -> Image.Image:
    """Dark left, light right: seamless up and down, a hard line side by side."""
    image = Image.new("L", (width, 1))
    image.putdata([round(x * 255 / (width - 1)) for x in range(width)])
    return image.resize((width, height)).convert("RGB")


def wave(size: int = 64) -> Image.Image:
    """A triangle wave that closes on itself in both directions."""
    image = Image.new("L", (size, size))
    image.putdata([abs(x - size // 2) * 3 + abs(y - size // 2) for y in range(size) for x in range(size)])
    return image.convert("RGB")


def test_three_by_three_by_default() -> None:
    source = sample((4, 3))
    report = run("seamless_preview", save(source))
    old, new = pixels(source), pixels(picture_of(report))
    assert picture_of(report).size == (12, 9)
    assert all(new[y][x] == old[y % 3][x % 4] for y in range(9) for x in range(12))
    assert only_output(report).tag == "podi-seamless-preview"


def test_half_drop_moves_every_second_column_down_by_half() -> None:
    source = sample((4, 5))
    old = pixels(source)
    new = pixels(picture_of(run("seamless_preview", save(source), layout="half_drop", columns=3, rows=2)))
    assert all(new[y][x] == old[(y - 2 * (x // 4 % 2)) % 5][x % 4] for y in range(10) for x in range(12))


def test_brick_moves_every_second_row_right_by_half() -> None:
    source = sample((5, 4))
    old = pixels(source)
    new = pixels(picture_of(run("seamless_preview", save(source), layout="brick", columns=2, rows=3)))
    assert all(new[y][x] == old[y % 4][(x - 2 * (y // 4 % 2)) % 5] for y in range(12) for x in range(10))


def test_transparency_and_dpi_stay() -> None:
    source = sample((4, 3), "RGBA")
    made = picture_of(run("seamless_preview", save(source, dpi=(300, 300)), columns=1, rows=1))
    assert pixels(made) == pixels(source)
    assert round(made.info["dpi"][0]) == 300


def test_a_large_result_is_reduced_without_making_seams() -> None:
    report = run("seamless_preview", save(wave(64)), columns=4, rows=4, max_long_edge=100, dpi=1)
    made = picture_of(report)
    assert made.size == (100, 100)
    tile = made.crop((0, 0, 25, 25))
    assert made.crop((25, 50, 50, 75)).tobytes() == tile.tobytes()
    # The filter saw its neighbours: reducing a picture rolled by half gives the reduced picture rolled by half.
    rolled = ImageChops.offset(wave(64), 32, 32)
    again = picture_of(run("seamless_preview", save(rolled), columns=4, rows=4, max_long_edge=128))
    straight = picture_of(run("seamless_preview", save(wave(64)), columns=4, rows=4, max_long_edge=128))
    assert ImageChops.offset(again, 16, 16).tobytes() == straight.tobytes()


def test_a_flat_tile_has_no_seam() -> None:
    report = run("seamless_preview", save(Image.new("RGB", (32, 32), "teal")))
    assert report.metadata["seams"]["score"] == 0
    assert report.metadata["seams"]["verdict"] == "seamless"
    assert warnings_of(report) == []


def test_a_pattern_that_closes_on_itself_is_seamless() -> None:
    assert seams(wave())["verdict"] == "seamless"


def test_a_ramp_has_one_hard_seam_and_one_good_one() -> None:
    report = run("seamless_preview", save(ramp()))
    found = report.metadata["seams"]
    assert (found["score"], found["verdict"]) == (100, "visible")
    assert (found["vertical"]["score"], found["horizontal"]["score"]) == (100, 0)
    assert (found["vertical"]["step"], found["vertical"]["usual_step"]) == (255.0, 4.0)
    assert warnings_of(report) == ["SEAM_VISIBLE"]


def test_a_single_cut_motif_is_not_averaged_away() -> None:
    source = Image.new("RGB", (256, 256), "white")
    source.paste("black", (0, 100, 20, 112))
    found = seams(source)
    assert found["verdict"] == "visible"


def test_noise_hides_its_seams() -> None:
    assert seams(Image.effect_noise((128, 128), 60).convert("RGB"))["score"] < 20  # type: ignore[operator]


def test_the_layout_decides_which_edges_meet() -> None:
    """A tile made for half-drop: its right edge continues half a tile lower on the left."""
    height = 64
    left = Image.new("L", (1, height))
    left.putdata([abs(y - 32) * 7 for y in range(height)])
    source = Image.new("L", (64, height))
    for x in range(64):
        share = x / 63
        source.paste(Image.blend(left, ImageChops.offset(left, 0, 32), share), (x, 0))
    assert seams(source.convert("RGB"), layout="half_drop")["vertical"]["score"] == 0  # type: ignore[index]
    assert seams(source.convert("RGB"), layout="straight")["vertical"]["score"] == 100  # type: ignore[index]


def test_differences_under_full_transparency_are_not_seen() -> None:
    source = Image.new("RGBA", (16, 16), (255, 255, 255, 0))
    source.paste((0, 0, 0, 0), (0, 0, 8, 16))
    assert seams(source)["score"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("columns", 0), ("columns", 21), ("rows", 1.5), ("rows", "x"), ("layout", "herringbone"), ("max_long_edge", 1)],
)
def test_names_the_wrong_field(field: str, value: object) -> None:
    assert list(rejected("seamless_preview", png(), **{field: value}).fields) == [field]
