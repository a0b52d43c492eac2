"""The flood fill over big integers agrees with the plain one, pixel by pixel."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from executors.providers.imaging.regions import connected_from_edges

rows = st.integers(1, 19).flatmap(
    lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=12)
)


def flood(mask: list[list[bool]]) -> list[list[bool]]:
    height, width = len(mask), len(mask[0])
    found = [[False] * width for _ in mask]
    todo = [(x, y) for y in range(height) for x in range(width) if x in (0, width - 1) or y in (0, height - 1)]
    while todo:
        x, y = todo.pop()
        if 0 <= x < width and 0 <= y < height and mask[y][x] and not found[y][x]:
            found[y][x] = True
            todo += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return found


def to_image(mask: list[list[bool]]) -> Image.Image:
    image = Image.new("1", (len(mask[0]), len(mask)))
    for y, row in enumerate(mask):
        for x, is_set in enumerate(row):
            image.putpixel((x, y), 255 if is_set else 0)
    return image


def to_rows(image: Image.Image) -> list[list[bool]]:
    return [[bool(image.getpixel((x, y))) for x in range(image.width)] for y in range(image.height)]


@settings(max_examples=200, deadline=None)
@given(rows)
def test_agrees_with_a_plain_flood_fill(mask: list[list[bool]]) -> None:
    assert to_rows(connected_from_edges(to_image(mask))) == flood(mask)


def test_follows_a_spiral_to_its_end() -> None:
    picture = """
        .........
        .#######.
        .#.....#.
        .#.###.#.
        .#.#.#.#.
        .#.#...#.
        .#.#####.
        .#.......
        .########
    """
    mask = [[sign == "." for sign in line.strip()] for line in picture.strip().splitlines()]
    assert to_rows(connected_from_edges(to_image(mask))) == flood(mask)
    assert flood(mask)[4][4]


def test_a_corner_is_no_way_through() -> None:
    mask = [[False, False, False], [False, True, False], [False, False, True]]
    assert to_rows(connected_from_edges(to_image(mask)))[1][1] is False
