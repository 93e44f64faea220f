"""The loss of SSD, arXiv:1512.02325, Sec. 2.2, as released models were trained by it.

It has two parts, for boxes and classes, each a sum over anchors that is divided by the
number of matched anchors in the batch.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from mobilenets.detection import boxes as box
from mobilenets.detection.matching import BACKGROUND, Targets
from mobilenets.detection.suppression import survivors
from mobilenets.networks.detector import BOX_CODES, BoxCoderSpec


@dataclasses.dataclass(frozen=True)
class Focal:
    """Focal loss, Lin et al. 2017, arXiv:1708.02002, Eq. 5: the rare count more."""

    alpha: float = 0.75  # the weight of objects; that of the background is 1 - alpha
    gamma: float = 2.0


@dataclasses.dataclass(frozen=True)
class HardNegatives:
    """Of the background only the anchors with the highest losses: SSD, Sec. 2.2.

    TensorFlow's mining looks only at anchors that non-maximum suppression by their
    losses leaves, and drops matched ones with the others.
    """

    negatives_per_positive: float = 3.0  # in each image
    min_negatives: int = 0  # in each image, also where there is no object
    iou_threshold: float | None = None  # of the suppression; None for none
    examples: int = 3000  # that the suppression leaves at most


@dataclasses.dataclass(frozen=True)
class DetectionLoss:
    """What is summed up, and how."""

    classes: Literal["sigmoid", "softmax"]  # cross-entropy of each slot, or of all
    # Whether the background of sigmoids is a slot of its own, or that all are 0.
    background_slot: bool = False
    focal: Focal | None = None  # on sigmoids
    mining: HardNegatives | None = None
    box_weight: float = 1.0
    per_code: bool = False  # divides the loss of boxes by 4 as well


# Of TensorFlow's MobileNetV1 (where min_negatives is 0), V2 and V3, and torchvision's.
TENSORFLOW_MINED = DetectionLoss(
    "sigmoid",
    background_slot=True,
    mining=HardNegatives(min_negatives=3, iou_threshold=0.99),
)
TENSORFLOW_FOCAL = DetectionLoss("sigmoid", focal=Focal(), per_code=True)
TORCHVISION = DetectionLoss("softmax", mining=HardNegatives())


def smooth_l1(difference: jax.Array) -> jax.Array:
    """Half the square within 1, linear beyond: Fast R-CNN, arXiv:1504.08083, Eq. 3."""
    size = jnp.abs(difference)
    return jnp.where(size < 1, 0.5 * size**2, size - 0.5)


def class_losses(logits: jax.Array, slots: jax.Array, rule: DetectionLoss) -> jax.Array:
    """The loss of each anchor's class.

    Args:
      logits: [..., slots].
      slots: [...] int, the right one; 0 for the background.
      rule: which loss.

    Returns:
      [...], summed over the slots.
    """
    targets = jax.nn.one_hot(slots, logits.shape[-1])
    if rule.classes == "softmax":
        return -(targets * jax.nn.log_softmax(logits)).sum(-1)
    if not rule.background_slot:
        targets = targets.at[..., 0].set(0.0)
    # Of the right answer: log p where the target is 1, log(1 - p) where it is 0.
    log_right = jax.nn.log_sigmoid(jnp.where(targets > 0, logits, -logits))
    losses = -log_right
    if rule.focal:
        alpha, gamma = rule.focal.alpha, rule.focal.gamma
        weights = jnp.where(targets > 0, alpha, 1 - alpha)
        losses *= weights * (1 - jnp.exp(log_right)) ** gamma
    return losses.sum(-1)


def hard_examples(
    losses: jax.Array, matches: jax.Array, boxes: jax.Array, rule: HardNegatives
) -> jax.Array:
    """Which anchors of each image count: `HardNegatives`.

    Args:
      losses: [..., A], of the classes.
      matches: [..., A], see `Targets`.
      boxes: [..., A, 4], as predicted.
      rule: the mining.

    Returns:
      [..., A] bool.
    """
    is_left = jnp.ones(losses.shape, bool)
    if rule.iou_threshold is not None:
        is_left = survivors(boxes, losses, rule.iou_threshold)
        is_left &= _ranks(losses, is_left) < rule.examples
    positives = is_left & (matches >= 0)
    negatives = is_left & (matches == BACKGROUND)
    wanted = rule.negatives_per_positive * positives.sum(-1, keepdims=True)
    wanted = jnp.maximum(wanted.astype(int), rule.min_negatives)
    return positives | (negatives & (_ranks(losses, negatives) < wanted))


def _ranks(losses: jax.Array, chosen: jax.Array) -> jax.Array:
    """[..., A]: the place of each of the chosen ones by its loss, the highest at 0."""
    order = jnp.argsort(jnp.where(chosen, -losses, jnp.inf), axis=-1)
    return jnp.argsort(order, axis=-1)


def detection_loss(
    box_codes: jax.Array,
    class_logits: jax.Array,
    targets: Targets,
    anchors: jax.Array,
    coder: BoxCoderSpec,
    rule: DetectionLoss,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of a batch.

    Args:
      box_codes: [N, A, 4], the detector's.
      class_logits: [N, A, slots], the detector's.
      targets: from `matching.assign`.
      anchors: [A, 4].
      coder: the detector's.
      rule: what is summed up.

    Returns:
      The scalar loss, and its parts: "box_loss" and "class_loss", whose sum it is, and
      "matches", the number of matched anchors for an image.
    """
    is_matched = targets.matches >= 0
    of_classes = class_losses(class_logits, targets.slots, rule)
    of_boxes = smooth_l1(box_codes - targets.codes).sum(-1)
    counts = is_matched | (targets.matches == BACKGROUND)
    if rule.mining:
        boxes = box.decode(box_codes, anchors, coder)
        seen = jax.lax.stop_gradient((of_classes, targets.matches, boxes))
        counts = hard_examples(*seen, rule.mining)
    normalizer = jnp.maximum(is_matched.sum(), 1).astype(jnp.float32)
    class_loss = jnp.where(counts, of_classes, 0.0).sum() / normalizer
    box_loss = jnp.where(counts & is_matched, of_boxes, 0.0).sum() / normalizer
    box_loss *= rule.box_weight / (BOX_CODES if rule.per_code else 1)
    metrics = {
        "box_loss": box_loss,
        "class_loss": class_loss,
        "matches": is_matched.sum(-1).mean(),
    }
    return box_loss + class_loss, metrics
