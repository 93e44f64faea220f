"""The painted scenes: the same each time, with their place in the picture."""

import colorsys

import numpy as np
import pytest

from mobilenets.data.sources.painted_places import SIDE, PaintedPlacesSource, paint
from mobilenets.geography.sphere import Place


def test_an_image_follows_from_its_split_and_number():
    part, later = PaintedPlacesSource("train[:4]"), PaintedPlacesSource("train[3:5]")
    np.testing.assert_array_equal(part[3].image, later[0].image)
    np.testing.assert_array_equal(part.places[3], later.places[0])
    assert part[3].target == tuple(part.places[3])
    other = PaintedPlacesSource("validation[:4]")
    assert not np.isin(other.places, part.places).any()
    assert len(PaintedPlacesSource("validation")) == 500


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "place", [(0, 0), (60, 120), (-50, -90), (85, 10), (-80, 179), (10, -179)]
)
def test_the_place_is_in_the_picture(place, seed):
    """Read back without a network: the hue above, and where the ground begins."""
    image = paint(Place(*place), np.random.default_rng(seed)) / 255
    saturation = np.ptp(image, axis=-1) > 0.25  # the ground and clouds are grey
    rows = np.median(saturation, axis=1) > 0.5
    latitude = (2 * rows.sum() / SIDE - 1) / 0.9 * 90
    assert abs(latitude - place[0]) < 10
    hue = colorsys.rgb_to_hsv(*np.median(image[saturation], axis=0))[0]
    assert abs((360 * hue - place[1] + 180) % 360 - 180) < 10
