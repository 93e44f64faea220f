"""The losses of detectors, against values worked by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets.detection.losses import (
    TENSORFLOW_FOCAL,
    TENSORFLOW_MINED,
    TORCHVISION,
    DetectionLoss,
    Focal,
    HardNegatives,
    class_losses,
    detection_loss,
    hard_examples,
    smooth_l1,
)
from mobilenets.detection.matching import BACKGROUND, IGNORED, Targets
from mobilenets.networks.architectures.ssd import TENSORFLOW_CODER

SIGMOID = DetectionLoss("sigmoid")
loss_of_class = jax.jit(class_losses, static_argnums=2)


def test_smooth_l1_is_a_square_within_one_and_linear_beyond():
    found = smooth_l1(jnp.array([0.0, 0.5, -0.5, 1.0, -3.0]))
    np.testing.assert_allclose(found, [0, 0.125, 0.125, 0.5, 2.5])


def log1p_exp(x):
    return math.log(1 + math.exp(x))


@pytest.mark.parametrize(
    ("rule", "slot", "expected"),
    [
        # -log of the right answer of each slot; the logits are 1, 2 and -1.
        (SIGMOID, 1, log1p_exp(1) + log1p_exp(-2) + log1p_exp(-1)),
        (SIGMOID, 0, log1p_exp(1) + log1p_exp(2) + log1p_exp(-1)),
        (
            dataclasses.replace(SIGMOID, background_slot=True),
            0,
            log1p_exp(-1) + log1p_exp(2) + log1p_exp(-1),
        ),
        (
            DetectionLoss("softmax"),
            1,
            math.log(math.exp(1) + math.exp(2) + math.exp(-1)) - 2,
        ),
    ],
)
def test_the_loss_of_a_class_is_that_worked_by_hand(rule, slot, expected):
    logits = jnp.array([1.0, 2.0, -1.0])
    assert loss_of_class(logits, slot, rule) == pytest.approx(expected)


def test_focal_loss_weighs_objects_and_what_is_wrong():
    rule = DetectionLoss("sigmoid", focal=Focal(alpha=0.75, gamma=2.0))
    logits = jnp.array([0.0, math.log(3), -math.log(3)])  # .5, .75 and .25
    # Slot 1 is right: it lacks 1/4, as the others have 1/2 and 1/4 too much.
    expected = (
        0.25 * 0.5**2 * math.log(2)
        + 0.75 * 0.25**2 * -math.log(0.75)
        + 0.25 * 0.25**2 * -math.log(0.75)
    )
    assert loss_of_class(logits, 1, rule) == pytest.approx(expected)
    without = dataclasses.replace(rule, focal=Focal(alpha=0.5, gamma=0.0))
    plain = loss_of_class(logits, 1, SIGMOID)
    assert loss_of_class(logits, 1, without) == pytest.approx(plain / 2)


def test_losses_and_gradients_of_extreme_logits_are_finite():
    logits = jnp.array([200.0, -200.0, 0.0])
    both = jax.jit(jax.value_and_grad(class_losses), static_argnums=2)
    for rule in (TENSORFLOW_FOCAL, TENSORFLOW_MINED, TORCHVISION):
        loss, gradient = both(logits, 1, rule)
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()


# Eight anchors that do not overlap; the first is an object.
APART = np.array([[i, 0, i + 1, 1] for i in range(8)], np.float32)
LOSSES = np.array([0.1, 5, 1, 4, 2, 3, 9, 0.5], np.float32)
MATCHES = np.array([0, *[BACKGROUND] * 5, IGNORED, BACKGROUND])


def chosen(rule, changed_matches=(), changed_boxes=()):
    matches, boxes = MATCHES.copy(), APART.copy()
    for i, match in changed_matches:
        matches[i] = match
    for i, like in changed_boxes:
        boxes[i] = APART[like]
    kept = jax.jit(hard_examples, static_argnums=3)(LOSSES, matches, boxes, rule)
    return np.flatnonzero(kept).tolist()


def test_the_background_counts_where_its_loss_is_among_the_highest():
    assert chosen(HardNegatives(3)) == [0, 1, 3, 5]
    assert chosen(HardNegatives(2)) == [0, 1, 3]
    assert chosen(HardNegatives(100)) == [0, 1, 2, 3, 4, 5, 7]


def test_without_an_object_the_least_number_of_negatives_counts():
    nothing = [(0, BACKGROUND)]
    assert chosen(HardNegatives(3), nothing) == []
    assert chosen(HardNegatives(3, min_negatives=2), nothing) == [1, 3]


def test_anchors_that_suppression_drops_do_not_count():
    # Anchor 3 is predicted where anchor 1 is, which has a higher loss; then 0 as well.
    rule = HardNegatives(3, iou_threshold=0.99)
    assert chosen(rule, changed_boxes=[(3, 1)]) == [0, 1, 4, 5]
    assert chosen(HardNegatives(3), changed_boxes=[(3, 1)]) == [0, 1, 3, 5]
    moved = [(3, 1), (0, 1)]
    rule = dataclasses.replace(rule, min_negatives=1)
    assert chosen(rule, changed_boxes=moved) == [1]  # the object is dropped as well
    rule = dataclasses.replace(rule, min_negatives=8, examples=3)
    # Of the highest losses 6, 1 and 5 are left; 6 is ignored.
    assert chosen(rule, changed_boxes=moved) == [1, 5]


def batch():
    """Two images of three anchors and three slots; only the first has an object."""
    matches = jnp.array([[0, BACKGROUND, IGNORED], [BACKGROUND] * 3])
    slots = jnp.array([[2, 0, 0], [0, 0, 0]])
    codes = jnp.zeros((2, 3, 4)).at[0, 0].set(jnp.array([1.0, 0.0, 2.0, 0.0]))
    return Targets(matches, slots, codes)


def loss_of(rule, targets):
    logits = jnp.zeros((2, 3, 3))
    codes = jnp.zeros((2, 3, 4)).at[:, 1:].set(7.0)  # where there is no object
    anchors = APART[:3]
    compiled = jax.jit(detection_loss, static_argnums=(4, 5))
    return compiled(codes, logits, targets, anchors, TENSORFLOW_CODER, rule)


def test_the_loss_is_divided_by_the_matches_of_the_batch():
    loss, parts = loss_of(SIGMOID, batch())
    # Codes are wrong by 1 and 2: .5 and 1.5. Five anchors count, each with three slots
    # of log 2.
    assert parts["box_loss"] == pytest.approx(2.0)
    assert parts["class_loss"] == pytest.approx(5 * 3 * math.log(2))
    assert loss == pytest.approx(2.0 + 15 * math.log(2))
    assert parts["matches"] == pytest.approx(0.5)
    two = batch()
    two = two._replace(matches=two.matches.at[0, 1].set(0))
    _, parts = loss_of(SIGMOID, two)
    assert parts["class_loss"] == pytest.approx(7.5 * math.log(2))


def test_boxes_are_weighed_and_divided_by_the_size_of_a_code():
    rule = dataclasses.replace(SIGMOID, box_weight=3.0, per_code=True)
    assert loss_of(rule, batch())[1]["box_loss"] == pytest.approx(2.0 * 3 / 4)


def test_an_image_without_objects_adds_nothing_where_negatives_follow_positives():
    # The object and the only background of its image, three slots each.
    _, parts = loss_of(TORCHVISION, batch())
    assert parts["class_loss"] == pytest.approx(2 * math.log(3))
    _, parts = loss_of(TENSORFLOW_MINED, batch())
    assert parts["class_loss"] == pytest.approx((2 + 3) * 3 * math.log(2))


def test_the_box_of_an_anchor_that_mining_drops_does_not_count():
    # Both anchors are predicted at the same place, and the second has a higher loss.
    matches, slots = np.array([[0, BACKGROUND]]), np.array([[1, 0]])
    targets = Targets(matches, slots, np.ones((1, 2, 4), "f"))
    logits = np.array([[[-5.0, 5.0], [-5.0, 5.0]]], "f")
    codes, anchors = np.zeros((1, 2, 4), "f"), APART[[0, 0]]
    compiled = jax.jit(detection_loss, static_argnums=(4, 5))
    for rule, expected in ((SIGMOID, 4 * 0.5), (TENSORFLOW_MINED, 0.0)):
        _, parts = compiled(codes, logits, targets, anchors, TENSORFLOW_CODER, rule)
        assert parts["box_loss"] == pytest.approx(expected)


def test_a_batch_without_objects_has_a_finite_loss():
    nothing = Targets(
        jnp.full((2, 3), BACKGROUND), jnp.zeros((2, 3), int), jnp.zeros((2, 3, 4))
    )
    loss, parts = loss_of(TENSORFLOW_FOCAL, nothing)
    assert parts["box_loss"] == 0
    assert np.isfinite(loss)
    assert loss > 0
