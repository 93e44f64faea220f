"""Which anchor is to find which object: SSD, arXiv:1512.02325, Sec. 2.2."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from mobilenets.detection import boxes as box
from mobilenets.networks.detector import BoxCoderSpec

# Instead of the number of an object.
BACKGROUND = -1
IGNORED = -2  # too much of an object for background, and too little for it


@dataclasses.dataclass(frozen=True)
class Matcher:
    """How anchors are matched with objects.

    An anchor gets the object that it overlaps most, if their IoU reaches the matched
    threshold. Below the unmatched threshold it is background. Then the best anchor of
    every object gets this object, whatever their IoU.
    """

    matched_threshold: float = 0.5
    unmatched_threshold: float = 0.5
    # The object of an anchor that is the best one for several.
    shared: Literal["first", "last"] = "first"


TENSORFLOW = Matcher(shared="first")
TORCHVISION = Matcher(shared="last")


class Targets(NamedTuple):
    """What the outputs of a detector should be, for each anchor."""

    matches: jax.Array  # [N, A] int32: an object's number, BACKGROUND or IGNORED
    slots: jax.Array  # [N, A] int32: of the class; 0 unless there is an object
    codes: jax.Array  # [N, A, 4], see `boxes.encode`; 0 unless there is an object


def match(
    anchors: jax.Array, boxes: jax.Array, valid: jax.Array, matcher: Matcher
) -> jax.Array:
    """The object of each anchor of an image.

    Args:
      anchors: [A, 4].
      boxes: [M, 4], of the objects.
      valid: [M] bool: False for what is padding, or no object to be found (a crowd).
      matcher: the rule.

    Returns:
      [A] int32: the number of an object, BACKGROUND or IGNORED.
    """
    overlaps = box.iou(boxes[:, None], anchors)
    overlaps = jnp.where(valid[:, None], overlaps, -1.0)
    best = overlaps.max(axis=0)
    unmatched = jnp.where(best < matcher.unmatched_threshold, BACKGROUND, IGNORED)
    is_matched = best >= matcher.matched_threshold
    matches = jnp.where(is_matched, overlaps.argmax(axis=0), unmatched)

    best_anchors = overlaps.argmax(axis=1)
    is_best = best_anchors[:, None] == jnp.arange(len(anchors))
    is_best &= valid[:, None]
    numbers = jnp.arange(len(boxes))[:, None]
    if matcher.shared == "first":
        forced = jnp.where(is_best, numbers, len(boxes)).min(axis=0)
    else:
        forced = jnp.where(is_best, numbers, -1).max(axis=0)
    return jnp.where(is_best.any(axis=0), forced, matches).astype(jnp.int32)


def assign(
    anchors: jax.Array,
    boxes: jax.Array,
    classes: jax.Array,
    valid: jax.Array,
    matcher: Matcher,
    coder: BoxCoderSpec,
) -> Targets:
    """The targets of a batch.

    Args:
      anchors: [A, 4].
      boxes: [N, M, 4], of the objects.
      classes: [N, M] int, from 0; there is no number for the background.
      valid: [N, M] bool, see `match`.
      matcher: the rule.
      coder: the detector's.
    """

    def of_image(boxes, classes, valid):
        matches = match(anchors, boxes, valid, matcher)
        is_object, numbers = matches >= 0, jnp.maximum(matches, 0)
        slots = jnp.where(is_object, classes[numbers] + 1, 0)
        codes = box.encode(boxes[numbers], anchors, coder)
        return Targets(matches, slots, jnp.where(is_object[:, None], codes, 0.0))

    return jax.vmap(of_image)(boxes, classes, valid)
