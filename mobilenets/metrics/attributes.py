"""The loss and the hits of attributes, over what is known of the images."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mobilenets.metrics.base import Batch

# What a total counts of each attribute.
COUNTS = ("true_positives", "false_positives", "false_negatives", "true_negatives")


def weighted_losses(
    logits: jax.Array, labels: jax.Array, weights: np.ndarray
) -> tuple[jax.Array, jax.Array]:
    """The sigmoid cross-entropy of each label times its weight, and the weights.

    Args:
      logits: [N, attributes].
      labels: [N, attributes] of 1, 0 and nan for unknown, whose weight is 0.
      weights: [attributes].

    Returns:
      Both [N, attributes] float32.
    """
    known = ~jnp.isnan(labels)
    losses = optax.sigmoid_binary_cross_entropy(logits, jnp.where(known, labels, 0.0))
    weighting = known * weights
    return losses * weighting, weighting


@dataclasses.dataclass(frozen=True)
class KnownAttributes:
    """The weighted mean of the loss, and the part of the known labels that is right.

    The total is {"loss", "weight", "count"} and, for each of `COUNTS`, an int64 array
    [attributes].

    Args:
      weights: of the loss of each attribute.
      threshold: the probability from which an image has an attribute.
    """

    weights: tuple[float, ...]
    threshold: float

    names = ("loss", "accuracy", "count")
    less_is_better = frozenset({"loss"})

    def empty(self) -> dict[str, Any]:
        """See `Metric`."""
        zeros = {name: np.zeros(len(self.weights), np.int64) for name in COUNTS}
        return {"loss": 0.0, "weight": 0.0, "count": 0.0, **zeros}

    def update(self, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
        """Sums over the examples where "mask" is 1.

        Args:
          outputs: (logits [N, attributes], endpoints).
          batch: with "label" [N, attributes], 1, 0 or nan, and "mask" [N].
        """
        (logits, _), labels = outputs, batch["label"]
        losses, weighting = weighted_losses(logits, labels, np.array(self.weights))
        mask = batch["mask"][:, None]
        given = jax.nn.sigmoid(logits) >= self.threshold
        real = mask > 0
        cells = {
            "true_positives": given & (labels == 1),
            "false_positives": given & (labels == 0),
            "false_negatives": ~given & (labels == 1),
            "true_negatives": ~given & (labels == 0),
        }
        return {
            "loss": (losses * mask).sum(),
            "weight": (weighting * mask).sum(),
            "count": mask.sum(),
            **{name: (cell & real).sum(0, jnp.int32) for name, cell in cells.items()},
        }

    def merge(self, total: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
        """Adds in double precision and 64 bits."""
        return {name: value + np.asarray(update[name]) for name, value in total.items()}

    def compute(self, total: dict[str, Any]) -> dict[str, float]:
        """See `Metric`; of labels none of which is known, all zero."""
        right = total["true_positives"].sum() + total["true_negatives"].sum()
        known = sum(total[name].sum() for name in COUNTS)
        return {
            "loss": float(total["loss"]) / max(float(total["weight"]), 1e-12),
            "accuracy": float(right) / max(int(known), 1),
            "count": float(total["count"]),
        }
