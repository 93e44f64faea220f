"""Distances on the earth against geopy, and means that know no border."""

import geopy.distance
import numpy as np
import pytest

from mobilenets.geography import sphere

PARIS, SYDNEY = (48.8584, 2.2945), (-33.8568, 151.2153)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (PARIS, SYDNEY),
        (PARIS, (48.8585, 2.2946)),  # 13 metres
        ((10.0, 179.9), (10.0, -179.9)),  # over the date line
        ((90.0, 0.0), (90.0, 120.0)),  # the same pole
        ((90.0, 50.0), (-90.0, -10.0)),
        ((89.9, 0.0), (89.9, 180.0)),  # over the pole
        ((0.0, 0.0), (0.0, 180.0)),  # the other side of the earth
        ((-12.5, 40.0), (12.4, -140.1)),
    ],
)
def test_a_distance_is_that_of_geopy(a, b):
    # Its radius is 6371.009 km, ours has one more digit.
    expected = geopy.distance.great_circle(a, b).km
    found = sphere.distances_km(np.array(a), np.array(b))
    assert float(found) == pytest.approx(expected, rel=1e-7, abs=1e-6)


def test_many_distances_at_once_are_those_of_geopy():
    rng = np.random.default_rng(0)
    a, b = sphere.places_of(rng.normal(size=(2, 50, 3)))
    expected = [
        geopy.distance.great_circle(*pair).km for pair in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(sphere.distances_km(a, b), expected, rtol=1e-7)


def test_vectors_and_places_are_the_same_thing():
    places = np.array([PARIS, SYDNEY, (0, -180), (-45, 0), (89, 10)])
    vectors = sphere.unit_vectors(places)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1)
    np.testing.assert_allclose(sphere.places_of(7 * vectors), places, atol=1e-12)


def test_a_mean_knows_no_border():
    def mean(*places):
        return sphere.places_of(sphere.unit_vectors(np.array(places)).mean(axis=0))

    assert abs(mean((10, 179), (10, -179))[1]) == pytest.approx(180)
    assert mean((80, 0), (80, 180))[0] == pytest.approx(90)
    np.testing.assert_allclose(mean((0, 10), (0, 30)), (0, 20), atol=1e-12)
