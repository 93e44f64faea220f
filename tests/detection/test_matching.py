"""Which anchor gets which object, worked by hand."""

import jax
import numpy as np
import pytest

from mobilenets.detection import boxes
from mobilenets.detection.matching import (
    BACKGROUND,
    IGNORED,
    TENSORFLOW,
    TORCHVISION,
    Matcher,
    assign,
    match,
)
from mobilenets.networks.architectures.ssd import TENSORFLOW_CODER

# Strips of height 1, so that an IoU is that of intervals.
ANCHORS = [(0, 10), (0, 6), (20, 30), (40, 50), (60, 70)]


def strips(intervals):
    return np.array([[0, left, 1, right] for left, right in intervals], np.float32)


match_compiled = jax.jit(match, static_argnums=3)


def matches_of(objects, matcher=TENSORFLOW, valid=None):
    valid = [True] * len(objects) if valid is None else valid
    found = match_compiled(strips(ANCHORS), strips(objects), np.array(valid), matcher)
    assert found.dtype == np.int32
    return found.tolist()


def test_an_anchor_gets_the_object_that_it_overlaps_most():
    # Object 0 has an IoU of 7/10 with anchor 0 and of 6/7 with anchor 1; object 1 has
    # 8/10 with anchor 2.
    assert matches_of([(0, 7), (20, 28)]) == [0, 0, 1, BACKGROUND, BACKGROUND]
    # Anchor 0 is the best one of another object (4/10), and so is no longer object 0's.
    assert matches_of([(0, 7), (6, 10)])[:2] == [1, 0]


def test_half_is_enough():
    # 5/10 with anchor 0; anchor 1 is the best one.
    assert matches_of([(0, 5)])[:2] == [0, 0]
    assert matches_of([(0, 4.9)])[:2] == [BACKGROUND, 0]


def test_the_best_anchor_of_an_object_gets_it_whatever_the_overlap():
    # 1/10 with anchor 4.
    assert matches_of([(69, 70)])[4] == 0
    assert matches_of([(69, 70)])[:4] == [BACKGROUND] * 4


@pytest.mark.parametrize(("matcher", "winner"), [(TENSORFLOW, 0), (TORCHVISION, 1)])
def test_an_anchor_that_is_best_for_two_objects_gets_one_by_the_rule(matcher, winner):
    assert matches_of([(60, 64), (66, 70)], matcher)[4] == winner


def test_between_the_thresholds_an_anchor_is_ignored():
    # Anchor 1 covers 6/9, anchor 0 9/10 of the object.
    matcher = Matcher(matched_threshold=0.8, unmatched_threshold=0.5)
    assert matches_of([(0, 9)], matcher)[:2] == [0, IGNORED]
    matcher = Matcher(matched_threshold=0.8, unmatched_threshold=0.7)
    assert matches_of([(0, 9)], matcher)[:2] == [0, BACKGROUND]


def test_padding_matches_nothing():
    objects = [(0, 10), (20, 30), (0, 0)]
    assert matches_of(objects, valid=[False, True, False]) == [
        BACKGROUND,
        BACKGROUND,
        1,
        BACKGROUND,
        BACKGROUND,
    ]
    assert matches_of(objects, valid=[False] * 3) == [BACKGROUND] * 5


def test_targets_have_the_slot_and_the_code_of_their_object():
    objects = np.stack([strips([(0, 9), (20, 28)]), np.zeros((2, 4), "f")])
    classes = np.array([[7, 0], [3, 3]])
    valid = np.array([[True, True], [False, False]])
    anchors = strips(ANCHORS)
    targets = jax.jit(assign, static_argnums=(4, 5))(
        anchors, objects, classes, valid, TENSORFLOW, TENSORFLOW_CODER
    )
    assert targets.slots.tolist() == [[8, 8, 1, 0, 0], [0] * 5]
    assert targets.matches.tolist() == [[0, 0, 1, -1, -1], [-1] * 5]
    targets = jax.tree.map(np.asarray, targets)
    decode = jax.jit(boxes.decode, static_argnums=2)
    found = decode(targets.codes[0, :3], anchors[:3], TENSORFLOW_CODER)
    np.testing.assert_allclose(found, strips([(0, 9), (0, 9), (20, 28)]), atol=1e-5)
    assert not np.any(targets.codes[0][3:])
    assert not np.any(targets.codes[1])
