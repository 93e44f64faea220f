"""Detections against non-maximum suppression in numpy, written from its definition."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets.detection.boxes import encode
from mobilenets.detection.postprocessing import NO_CLASS, class_scores, detect
from mobilenets.detection.suppression import suppress, survivors
from mobilenets.networks.architectures.ssd import (
    TENSORFLOW_CODER,
    get_detector,
)


def overlap(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(np.maximum(sides, 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def reference(boxes, scores, iou_threshold, most):
    """The numbers of the boxes taken, best first."""
    taken = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] == -np.inf or len(taken) == most:
            break
        if all(overlap(boxes[i], boxes[j]) <= iou_threshold for j in taken):
            taken.append(i)
    return taken


def random_boxes(rng, *shape):
    corners = rng.uniform(0, 0.6, (*shape, 2))
    sides = rng.uniform(0.1, 0.4, (*shape, 2))
    return np.concatenate([corners, corners + sides], -1).astype("f")


@functools.partial(jax.jit, static_argnums=(2, 3))
def taken_by_ours(boxes, scores, iou_threshold, most):
    return suppress(boxes, scores, iou_threshold, most)


@pytest.mark.parametrize("levels", [2, 5, 1000])  # few levels: many equal scores
@pytest.mark.parametrize("iou_threshold", [0.1, 0.5, 0.9])
def test_the_boxes_taken_are_those_of_the_definition(levels, iou_threshold):
    rng = np.random.default_rng(levels)
    for _ in range(5):
        boxes = random_boxes(rng, 60)
        scores = (rng.integers(levels, size=60) / levels).astype("f")
        scores[rng.random(60) < 0.2] = -np.inf
        expected = reference(boxes, scores, iou_threshold, 20)
        numbers, taken = taken_by_ours(boxes, scores, iou_threshold, 20)
        assert numbers[: len(expected)].tolist() == expected
        np.testing.assert_array_equal(taken[: len(expected)], scores[expected])
        assert np.isneginf(taken[len(expected) :]).all()


def crowded_boxes(rng, images, number):
    """Boxes of which many nearly coincide, in chains; no overlap is a threshold."""
    centres = random_boxes(rng, images, number // 6)
    boxes = centres[:, rng.integers(number // 6, size=number)]
    side = (boxes[..., 2:] - boxes[..., :2]).max(-1)[..., None]
    steps = rng.integers(-2, 3, boxes.shape) * rng.choice([0.0, 0.0021, 0.0473])
    return (boxes + side * steps).astype("f")


ours_survivors = jax.jit(survivors, static_argnums=2)


@pytest.mark.parametrize("iou_threshold", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("levels", [3, 1000])
def test_the_survivors_are_the_boxes_taken_one_by_one(iou_threshold, levels):
    rng = np.random.default_rng(levels)
    one_by_one = jax.jit(jax.vmap(lambda b, s: suppress(b, s, iou_threshold, 90)))
    dropped = 0
    for _ in range(12):
        boxes = crowded_boxes(rng, 3, 90)
        scores = (rng.integers(levels, size=(3, 90)) / levels).astype("f")
        scores[rng.random(scores.shape) < 0.1] = -np.inf
        numbers, taken = one_by_one(boxes, scores)
        expected = np.zeros(scores.shape, bool)
        for image in range(3):
            expected[image, numbers[image][taken[image] > -np.inf]] = True
        np.testing.assert_array_equal(
            ours_survivors(boxes, scores, iou_threshold), expected
        )
        dropped += (np.isfinite(scores) & ~expected).sum()
    assert dropped > 100


def test_a_chain_of_boxes_drops_every_second_one():
    """Each overlaps the next by .8 and the next but one by .64, 20 of them in a row."""
    tops = 0.1111 * np.arange(20)  # of boxes of height 1: .8889 / 1.1111 = .8
    boxes = np.stack([tops, 0 * tops, tops + 1, 0 * tops + 1], -1).astype("f")
    scores = np.linspace(1, 0.5, 20).astype("f")
    expected = np.arange(20) % 2 == 0
    for shuffle in (np.arange(20), np.random.default_rng(0).permutation(20)):
        found = ours_survivors(boxes[shuffle], scores[shuffle], 0.7)
        np.testing.assert_array_equal(found, expected[shuffle])


def test_of_no_boxes_none_is_taken():
    numbers, taken = taken_by_ours(jnp.zeros((4, 4)), jnp.full(4, -jnp.inf), 0.5, 3)
    assert np.isneginf(taken).all()
    assert numbers.tolist() == [0, 0, 0]


def rule(**changes):
    spec = get_detector("ssdlite_mobilenet_v2", resolution=32)
    changes = {"detections_per_class": 4, "detections": 6, **changes}
    changed = dataclasses.replace(spec.postprocessing, **changes)
    return dataclasses.replace(spec, postprocessing=changed)


def detections(boxes, scores, **changes):
    """Of boxes [N, A, 4] whose scores [N, A, classes] are to be these."""
    anchors = jnp.array([[0.2, 0.2, 0.8, 0.8]] * boxes.shape[1])
    codes = encode(jnp.array(boxes), anchors, TENSORFLOW_CODER)
    logits = np.log(scores) - np.log1p(-scores)
    background = np.full((*scores.shape[:2], 1), 50.0)  # which must not count
    logits = jnp.array(np.concatenate([background, logits], -1), jnp.float32)
    call = jax.jit(functools.partial(detect, spec=rule(**changes)))
    return call(codes, logits, anchors)


def expected_detections(boxes, scores, most_of_class=4, most=6, candidates=None):
    rows = []
    for number in range(scores.shape[1]):
        mine = scores[:, number].copy()
        if candidates:
            mine[np.argsort(-mine, kind="stable")[candidates:]] = -np.inf
        taken = reference(boxes, mine, 0.6, most_of_class)
        rows += [(scores[i, number], number, i) for i in taken]
    return sorted(rows, key=lambda row: -row[0])[:most]


@pytest.mark.parametrize("candidates", [None, 5])
def test_each_class_suppresses_its_own_and_the_best_of_all_are_kept(candidates):
    rng = np.random.default_rng(0)
    boxes = random_boxes(rng, 3, 30)
    scores = rng.uniform(0.01, 0.99, (3, 30, 3))
    found = detections(boxes, scores, candidates_per_class=candidates)
    assert found.boxes.shape == (3, 6, 4)
    for i in range(3):
        rows = expected_detections(boxes[i], scores[i], candidates=candidates)
        np.testing.assert_allclose(found.scores[i], [s for s, _, _ in rows], rtol=1e-5)
        assert found.classes[i].tolist() == [number for _, number, _ in rows]
        places = [place for *_, place in rows]
        np.testing.assert_allclose(found.boxes[i], boxes[i, places], atol=1e-5)


def test_low_scores_and_boxes_outside_are_dropped_and_others_cut_at_the_borders():
    boxes = [[[-0.5, 0.25, 0.5, 1.75], [0.5, 0.5, 1, 1], [1.1, 0, 1.5, 1]]]
    scores = np.array([[[0.9], [0.2], [0.8]]])
    found = detections(np.array(boxes, "f"), scores, score_threshold=0.3)
    found = jax.tree.map(np.asarray, found)
    assert found.scores[0].tolist() == pytest.approx([0.9, 0, 0, 0, 0, 0])
    assert found.classes[0].tolist() == [0, *[NO_CLASS] * 5]
    np.testing.assert_allclose(found.boxes[0, 0], [0, 0.25, 0.5, 1], atol=1e-6)
    assert not found.boxes[0, 1:].any()


@pytest.mark.parametrize(("clip_first", "number"), [(True, 1), (False, 2)])
def test_boxes_are_compared_before_or_after_they_are_cut(clip_first, number):
    # The same within the image, but the second is three times as wide.
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 3], [1.1, 0, 1.5, 1]]], "f")
    scores = np.array([[[0.9], [0.7], [0.8]]])
    found = detections(boxes, scores, clip_first=clip_first)
    assert (found.scores[0] > 0).sum() == number
    np.testing.assert_allclose(
        found.boxes[0][:number], [[0, 0, 1, 1]] * number, atol=1e-6
    )


def test_scores_are_sigmoids_or_a_softmax_without_the_background():
    logits = jnp.array([1.0, 2.0, 3.0])
    found = class_scores(logits, rule().postprocessing)
    np.testing.assert_allclose(found, 1 / (1 + np.exp([-2.0, -3.0])), rtol=1e-6)
    found = class_scores(logits, rule(scores="softmax").postprocessing)
    exponentials = np.exp([1.0, 2.0, 3.0])
    np.testing.assert_allclose(found, exponentials[1:] / exponentials.sum(), rtol=1e-6)
