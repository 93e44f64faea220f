"""From the outputs of a detector to its detections."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mobilenets.detection import boxes as box
from mobilenets.detection.suppression import NONE, suppress
from mobilenets.networks.detector import DetectorSpec, PostprocessingSpec

NO_CLASS = -1  # of the rows after the last detection


class Detections(NamedTuple):
    """The detections of a batch, for each image the highest scores first.

    After the last detection of an image the rows are boxes of 0, scores of 0 and
    classes of `NO_CLASS`.
    """

    boxes: jax.Array  # [N, D, 4], within the image
    scores: jax.Array  # [N, D]
    classes: jax.Array  # [N, D] int32, from 0, without the background


def detect(
    box_codes: jax.Array,
    class_logits: jax.Array,
    anchors: jax.Array,
    spec: DetectorSpec,
) -> Detections:
    """The detections in the outputs of a detector.

    All shapes are static. Memory grows with images * classes * anchors alone.

    Args:
      box_codes: [N, A, 4], the detector's.
      class_logits: [N, A, slots], the detector's.
      anchors: [A, 4], see `anchor_boxes`.
      spec: of the detector.

    Returns:
      D = `spec.postprocessing.detections` rows for each image.
    """
    rule = spec.postprocessing
    boxes = box.decode(box_codes, anchors, spec.box_coder)
    scores = class_scores(class_logits, rule)
    return jax.vmap(lambda boxes, scores: _of_image(boxes, scores, rule))(boxes, scores)


def class_scores(class_logits: jax.Array, rule: PostprocessingSpec) -> jax.Array:
    """[..., slots] -> [..., slots - 1]: the scores of all but the background."""
    convert = {"sigmoid": jax.nn.sigmoid, "softmax": jax.nn.softmax}[rule.scores]
    return convert(class_logits)[..., 1:]


def _of_image(
    boxes: jax.Array, scores: jax.Array, rule: PostprocessingSpec
) -> Detections:
    """[A, 4] and [A, classes] -> the same without the axis of images."""
    scores = jnp.where(scores > rule.score_threshold, scores, NONE).T  # [classes, A]
    compared = box.clip(boxes) if rule.clip_first else boxes
    candidates = min(rule.candidates_per_class or len(boxes), len(boxes))
    most = min(rule.detections_per_class, candidates)

    def of_class(scores):
        if candidates == len(boxes):
            return suppress(compared, scores, rule.iou_threshold, most)
        scores, numbers = jax.lax.top_k(scores, candidates)
        taken, scores = suppress(compared[numbers], scores, rule.iou_threshold, most)
        return numbers[taken], scores

    numbers, scores = jax.vmap(of_class)(scores)  # [classes, most]
    kept = min(rule.detections, scores.size)
    scores, places = jax.lax.top_k(scores.reshape(-1), kept)
    boxes = box.clip(boxes[numbers.reshape(-1)[places]])
    classes = (places // most).astype(jnp.int32)
    # Of those outside the image nothing is left; the others move up.
    scores = jnp.where(box.area(boxes) > 0, scores, NONE)
    scores, order = jax.lax.top_k(scores, kept)
    is_detection = scores > NONE
    missing = rule.detections - kept
    return Detections(
        boxes=jnp.pad(
            jnp.where(is_detection[:, None], boxes[order], 0.0), ((0, missing), (0, 0))
        ),
        scores=jnp.pad(jnp.where(is_detection, scores, 0.0), (0, missing)),
        classes=jnp.pad(
            jnp.where(is_detection, classes[order], NO_CLASS),
            (0, missing),
            constant_values=NO_CLASS,
        ),
    )
