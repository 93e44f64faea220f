"""Cells: a partition worked by hand, and what holds of any; against Google's S2."""

import numpy as np
import pytest

from mobilenets.geography import cells, sphere

s2 = pytest.importorskip("s2geometry", reason="has no wheel for this platform")


def leaf(latitude, longitude):
    return s2.S2CellId(s2.S2LatLng.FromDegrees(float(latitude), float(longitude)))


def token(latitude, longitude, level):
    return leaf(latitude, longitude).parent(level).ToToken()


def anywhere(count, seed=0):
    return sphere.places_of(np.random.default_rng(seed).normal(size=(count, 3)))


# At most two photographs in a cell, at least two.
BY_HAND = [
    # The face around 0, 0 has two: it is not divided.
    (0.0, 0.5),
    (0.0, 40.0),
    # That of the north pole has four. The pole itself is one place, whatever its
    # longitude, and the corner of all quarters: by the rule of S2 (from the middle of
    # an axis on it is the upper half) it is in the one from 180 to 90 degrees west. So
    # is the third, which makes it three: divided again, the pole's sixteenth has two
    # and the third is alone, as the fourth is in the opposite quarter.
    (90.0, 0.0),
    (90.0, 120.0),
    (50.0, -135.0),
    (50.0, 45.0),
    # That of 0, 180 has three. The date line is the eastern end of its quarter in the
    # north-west; 180 and -180 are one place. The third is east of it, alone.
    (10.0, 180.0),
    (10.0, -180.0),
    (12.0, -179.9),
    # One is alone on its face.
    (0.0, -90.0),
]


def test_a_small_partition_worked_by_hand():
    made = cells.partition(np.array(BY_HAND), most=2, fewest=2)
    assert made.cells.tokens == ("1", token(89.9, -135, 2), token(10, 179.9, 1))
    np.testing.assert_array_equal(made.numbers, [0, 0, 1, 1, -1, -1, 2, 2, -1, -1])
    assert (made.dropped_cells, made.dropped_images) == (4, 4)
    equator, pole, date_line = made.cells.places
    assert equator == pytest.approx((0, 20.25), abs=1e-6)
    assert pole[0] == 90
    assert (date_line[0], abs(date_line[1])) == (10, 180)
    # The same photographs are found in the same cells when they are evaluated.
    again = made.cells.numbers_of(np.array(BY_HAND))
    np.testing.assert_array_equal(again, made.numbers)


@pytest.mark.parametrize(
    "places",
    [
        [(90, longitude) for longitude in range(-180, 181, 9)],
        [(-90, longitude) for longitude in range(-180, 181, 9)],
        [(latitude, sign * 180) for sign in (-1, 1) for latitude in (-33.3,)],
    ],
    ids=["north pole", "south pole", "date line"],
)
def test_one_place_has_one_leaf_however_it_is_written(places):
    assert len({*cells.leaves_of(np.array(places, float)).tolist()}) == 1


def test_with_one_photograph_a_cell_none_is_lost():
    made = cells.partition(np.array(BY_HAND), most=2, fewest=1)
    assert (made.dropped_cells, made.dropped_images) == (0, 0)
    assert len(made.cells.tokens) == 3 + 4
    assert np.bincount(made.numbers).tolist().count(2) == 3


@pytest.mark.parametrize(("most", "fewest"), [(40, 1), (40, 12), (7, 4)])
def test_the_partition_is_that_of_the_rule_by_googles_library(most, fewest):
    places = np.concatenate([anywhere(400), [(48.8, 2.3)] * 3, BY_HAND])
    # S2 itself has two leaves for one place on the date line.
    places[places[:, 1] == -180, 1] = 180
    ids = [leaf(*place) for place in places]

    def rule(cell, inside):
        if len(inside) > most:
            return [
                found
                for i in range(4)
                for found in rule(
                    cell.child(i), [k for k in inside if cell.child(i).contains(ids[k])]
                )
            ]
        return [(cell.ToToken(), inside)] if inside else []

    expected = [
        found
        for face, name in enumerate("13579b")
        for found in rule(
            s2.S2CellId.FromToken(name),
            [k for k, one in enumerate(ids) if one.face() == face],
        )
    ]
    kept = {name: inside for name, inside in expected if len(inside) >= fewest}
    made = cells.partition(places, most, fewest)
    assert made.cells.tokens == tuple(kept)
    assert made.dropped_cells == len(expected) - len(kept)
    for number, inside in enumerate(kept.values()):
        np.testing.assert_array_equal(np.flatnonzero(made.numbers == number), inside)
    lost = sum(len(inside) for _, inside in expected if len(inside) < fewest)
    assert made.dropped_images == lost


def test_a_place_outside_of_all_cells_has_none():
    made = cells.partition(anywhere(300), most=20, fewest=12)
    places = anywhere(500, seed=1)
    numbers = made.cells.numbers_of(places)
    assert (numbers == cells.NO_CELL).any() and (numbers >= 0).any()
    for place, number in zip(places, numbers, strict=True):
        inside = [
            i
            for i, name in enumerate(made.cells.tokens)
            if s2.S2CellId.FromToken(name).contains(leaf(*place))
        ]
        assert inside == ([number] if number >= 0 else [])


def test_a_place_that_is_unknown_is_in_no_cell():
    made = cells.partition(np.array(BY_HAND), most=2, fewest=2)
    nan = np.nan
    places = np.array([(nan, nan), BY_HAND[0], (nan, nan)])
    assert made.cells.numbers_of(places).tolist() == [cells.NO_CELL, 0, cells.NO_CELL]
    assert made.cells.numbers_of(places[:1]).tolist() == [cells.NO_CELL]


def test_the_place_of_a_cell_is_within_it():
    made = cells.partition(anywhere(400), most=10, fewest=1)
    numbers = made.cells.numbers_of(np.array(made.cells.places))
    np.testing.assert_array_equal(numbers, np.arange(len(made.cells.tokens)))


def test_photographs_of_one_place_end_in_a_leaf():
    """They can be divided no further: it has more than the most."""
    place = (48.8584, 2.2945)
    made = cells.partition(np.array([place] * 5 + [(0, 90.0)] * 2), most=2, fewest=2)
    assert made.numbers.tolist() == [1] * 5 + [0] * 2
    assert made.cells.tokens == ("3", leaf(*place).ToToken())


@pytest.mark.parametrize(
    "name",
    [*"13579b", token(90, 0, 1), token(89, 30, 3), token(5, 180, 2), token(-40, 7, 9)],
)
def test_the_outline_has_the_corners_of_the_cell(name):
    cell = s2.S2Cell(s2.S2CellId.FromToken(name))
    vertices = [s2.S2LatLng(cell.GetVertex(i)) for i in range(4)]
    expected = [(v.lat().degrees(), v.lng().degrees()) for v in vertices]
    found = cells.outline(name, points=1)
    distances = sphere.distances_km(found[:, None], np.array(expected)[None])
    assert distances.min(axis=1).max() < 2e-5  # two centimetres
    assert sorted(distances.argmin(axis=1)) == [0, 1, 2, 3]
    # One corner is beside the next: they are no two diagonals.
    order = distances.argmin(axis=1)
    assert {*np.diff([*order, order[0]]) % 4} in ({1}, {3})


@pytest.mark.parametrize(
    ("tokens", "wrong"),
    [
        (("1", "3", "b"), None),
        (("47e4", "89c3"), None),
        (("1", "x"), "x"),
        (("1", ""), ""),
        (("10", "3"), "10"),  # written in another way
        (("3", "1"), "1"),  # before it
        (("1", "0ff"), "0ff"),  # within it
        (("1", "1"), "1"),
        (("1", "dd"), "dd"),  # there is no such face
    ],
)
def test_a_wrong_token_is_found(tokens, wrong):
    assert cells.wrong_token(tokens) == wrong
