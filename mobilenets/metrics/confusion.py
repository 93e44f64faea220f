"""Which classes are taken for which."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.metrics.base import Batch
from mobilenets.metrics.judging import judge


@dataclasses.dataclass(frozen=True)
class Confusion:
    """The confusion matrix; of it the mean accuracy of the classes.

    Its total is an int64 matrix [classes, classes]: how many images of the class of
    the row are predicted to be of the class of the column. An image of several classes
    counts for the predicted one if that is right, otherwise for the first of them.

    Args:
      num_classes: as many as there are logits.
    """

    num_classes: int

    names = ("balanced_accuracy",)
    less_is_better = frozenset()

    def empty(self) -> np.ndarray:
        """See `Metric`."""
        return np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, outputs: Any, batch: Batch) -> jax.Array:
        """The int32 matrix of the batch.

        Args:
          outputs: (logits [N, classes], endpoints).
          batch: as `judge` reads it, with "mask" [N].
        """
        judged = judge(outputs, batch)
        counts = jnp.zeros((self.num_classes, self.num_classes), jnp.int32)
        places = judged.label, judged.predicted
        return counts.at[places].add(batch["mask"].astype(jnp.int32))

    def merge(self, total: np.ndarray, update: np.ndarray) -> np.ndarray:
        """See `Metric`."""
        total += update
        return total

    def compute(self, total: np.ndarray) -> dict[str, float]:
        """The mean of the classes' accuracies, over those that have an image."""
        return {"balanced_accuracy": float(np.nanmean(class_accuracies(total)))}


def class_accuracies(matrix: np.ndarray) -> np.ndarray:
    """Of a confusion matrix: which part of each class is found, [classes] float64.

    It is nan for a class without images.
    """
    counts = matrix.sum(1)
    with np.errstate(invalid="ignore"):
        return np.diag(matrix) / counts
