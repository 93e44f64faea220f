"""How the prediction of one class is judged, the same for all numbers of a set."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mobilenets.metrics.base import Batch


class Judged(NamedTuple):
    """The predictions for a batch and what is right."""

    logits: jax.Array  # [N, classes] float32; -inf for what is not to be predicted
    right: jax.Array  # [N, classes] bool
    predicted: jax.Array  # [N] int32
    label: jax.Array  # [N] int32: of several right classes the predicted one, if it is


def judge(outputs: Any, batch: Batch) -> Judged:
    """Compares the predictions with the labels.

    Args:
      outputs: (logits [N, classes], endpoints).
      batch: "label" [N] int32. Where an image may have several classes, also "right"
        [N, classes] bool, any of which is a hit. Where the images are of some of the
        classes alone, also "candidates" [N, classes] bool: only these compete.
    """
    logits, _ = outputs
    label = batch["label"]
    if "candidates" in batch:
        logits = jnp.where(batch["candidates"], logits, -jnp.inf)
    right = batch.get("right")
    if right is None:
        right = label[:, None] == jnp.arange(logits.shape[-1])
    predicted = logits.argmax(-1).astype(jnp.int32)
    is_hit = jnp.take_along_axis(right, predicted[:, None], axis=1)[:, 0]
    return Judged(logits, right, predicted, jnp.where(is_hit, predicted, label))
