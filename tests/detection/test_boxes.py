"""Overlaps and codes of boxes, against values worked by hand."""

import math

import jax
import numpy as np
import pytest

from mobilenets.detection import boxes as box
from mobilenets.networks.architectures.ssd import TENSORFLOW_CODER, TORCHVISION_CODER

# Compiled: every operation by itself takes longer to compile than all together.
area, clip, iou = jax.jit(box.area), jax.jit(box.clip), jax.jit(box.iou)
encode = jax.jit(box.encode, static_argnums=2)
decode = jax.jit(box.decode, static_argnums=2)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),
        ([0, 0, 2, 2], [0, 1, 2, 3], 2 / 6),
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7),
        ([0, 0, 4, 4], [1, 1, 2, 2], 1 / 16),
        ([0, 0, 1, 1], [0, 1, 1, 2], 0.0),  # they only touch
        ([0, 0, 1, 1], [5, 5, 6, 6], 0.0),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0.0),  # padding
        ([2, 2, 0, 0], [0, 0, 2, 2], 0.0),  # upside down
    ],
)
def test_the_overlap_is_that_worked_by_hand(a, b, expected):
    a, b = np.array(a, np.float32), np.array(b, np.float32)
    assert iou(a, b) == pytest.approx(expected)
    assert iou(b, a) == pytest.approx(expected)


def test_overlaps_are_broadcast_and_have_gradients_where_boxes_are_empty():
    a, b = np.zeros((3, 1, 4), "f"), np.ones((5, 4), "f")
    assert iou(a, b).shape == (3, 5)
    gradient = jax.jit(jax.grad(lambda a: box.iou(a, b).sum()))
    assert not np.isnan(gradient(a)).any()


def test_areas_and_clipping_are_those_worked_by_hand():
    boxes = np.array([[-0.5, 0.25, 0.5, 2.0], [1.5, 0.0, 2.0, 1.0]])
    np.testing.assert_allclose(area(boxes), [1.75, 0.5])
    np.testing.assert_allclose(clip(boxes), [[0, 0.25, 0.5, 1], [1, 0, 1, 1]])
    np.testing.assert_allclose(area(clip(boxes)), [0.375, 0])


# The anchor is .4 high, .2 wide and centred on (.5, .5); the box is .8 high and .2
# wide, and its centre is .1 lower and .05 further left.
ANCHOR = [0.3, 0.4, 0.7, 0.6]
BOX = [0.2, 0.35, 1.0, 0.55]
DOWN, RIGHT = 10 * 0.1 / 0.4, 10 * -0.05 / 0.2
TALLER, WIDER = 5 * math.log(2), 0.0


@pytest.mark.parametrize(
    ("coder", "code"),
    [
        (TENSORFLOW_CODER, [DOWN, RIGHT, TALLER, WIDER]),
        (TORCHVISION_CODER, [RIGHT, DOWN, WIDER, TALLER]),
    ],
)
def test_a_box_is_told_beside_its_anchor_in_the_order_of_the_coder(coder, code):
    anchor, box = np.array(ANCHOR), np.array(BOX)
    np.testing.assert_allclose(encode(box, anchor, coder), code, atol=2e-6)
    np.testing.assert_allclose(decode(np.array(code), anchor, coder), box, atol=1e-6)


@pytest.mark.parametrize("coder", [TENSORFLOW_CODER, TORCHVISION_CODER])
def test_decoding_undoes_encoding(coder):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5, (2, 50, 2))
    sides = rng.uniform(0.05, 0.5, (2, 50, 2))
    boxes, anchors = np.concatenate([corners, corners + sides], -1).astype("f")
    codes = encode(np.array(boxes), np.array(anchors), coder)
    np.testing.assert_allclose(decode(codes, anchors, coder), boxes, atol=1e-6)


def test_torchvision_cuts_sides_at_62_and_a_half_anchors():
    code, anchor = np.array([0.0, 0.0, 1000.0, 0.0]), np.array(ANCHOR)
    top, left, bottom, right = np.array(decode(code, anchor, TORCHVISION_CODER))
    assert (right - left) / 0.2 == pytest.approx(62.5, rel=1e-5)
    assert bottom - top == pytest.approx(0.4)


def test_the_code_of_padding_is_finite():
    code = encode(np.zeros(4), np.array(ANCHOR), TENSORFLOW_CODER)
    assert np.isfinite(code).all()
