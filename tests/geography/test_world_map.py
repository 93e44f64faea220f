"""The map: land where there is land, and cells that fill it once."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.path import Path

from mobilenets.geography import cells, world_map


def is_inside(rings, latitude, longitude):
    """Whether the outer ring has a place, and no inner one."""
    return [
        any(
            Path(world_map.on_map(ring)).contains_point((longitude + turn, latitude))
            for turn in (-360, 0, 360)
        )
        for ring in rings
    ] == [True] + [False] * (len(rings) - 1)


@pytest.mark.parametrize(
    ("latitude", "longitude", "is_land"),
    [
        (48.86, 2.35, True),  # Paris
        (-33.0, 147.0, True),  # New South Wales
        (66.5, -176.0, True),  # Chukotka, beyond the date line
        (66.5, 175.0, True),
        (-85.0, 100.0, True),  # Antarctica
        (-89.9, -100.0, True),
        (0.0, 0.0, False),
        (42.0, 51.0, False),  # the Caspian Sea
        (10.0, 180.0, False),
        (89.0, 20.0, False),
    ],
)
def test_land_is_where_it_is(latitude, longitude, is_land):
    found = any(is_inside(rings, latitude, longitude) for rings in world_map.land())
    assert found == is_land


def area(ring):
    x, y = ring.T
    return abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2


FACES = tuple("13579b")
QUARTERS = tuple(f"{4 + 8 * i:02x}" for i in range(24))


@pytest.mark.parametrize("tokens", [FACES, QUARTERS], ids=["faces", "quarters"])
def test_cells_fill_the_map_once(tokens):
    rings = [world_map.on_map(cells.outline(token, 200)) for token in tokens]
    assert sum(map(area, rings)) == pytest.approx(360 * 180, rel=1e-4)
    for ring in rings:
        np.testing.assert_array_equal(ring[0], ring[-1])
        # No line across the map: along the edges that are the poles alone.
        leaps = np.abs(np.diff(ring, axis=0)).max(axis=1) > 45
        ends = np.abs(ring[1:][leaps, 1]), np.abs(ring[:-1][leaps, 1])
        assert (np.maximum(*ends) > 89.99).all()


def test_a_cell_on_the_date_line_is_drawn_on_both_sides():
    figure = Figure(figsize=(3.6, 1.8), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-180, 180), ylim=(-90, 90))
    world_map.draw_cell(axis, "7", 1.0, "#ff0000")
    axis.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., 1]
    is_red = (pixels < 128)[90]
    assert is_red[2] and is_red[-3] and not is_red[180]
    assert abs(is_red.mean() - 0.25) < 0.02
