"""The wrong predictions that a network is surest of."""

import dataclasses
from typing import Any

import jax
import numpy as np

from mobilenets.metrics.base import Batch
from mobilenets.metrics.judging import judge

# A row of the total.
_MISTAKE = np.dtype(
    [
        ("index", np.int32),  # the place of the image in its source
        ("label", np.int32),
        ("predicted", np.int32),
        ("confidence", np.float32),  # the probability of the predicted class
    ]
)


@dataclasses.dataclass(frozen=True)
class Mistakes:
    """The most confident wrong predictions; no number is computed of them.

    The total is an array of at most `most` records with "index", "label", "predicted"
    and "confidence", the most confident first; of equal ones the lower index.

    Args:
      most: how many are kept.
    """

    most: int

    names = ()
    less_is_better = frozenset()

    def empty(self) -> np.ndarray:
        """See `Metric`."""
        return np.zeros(0, _MISTAKE)

    def update(self, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
        """A row for each example, and whether it is a mistake.

        Args:
          outputs: (logits [N, classes], endpoints).
          batch: as `judge` reads it, with "index" [N] int32, and "mask" [N].
        """
        judged = judge(outputs, batch)
        return {
            "index": batch["index"],
            "label": judged.label,
            "predicted": judged.predicted,
            "confidence": jax.nn.softmax(judged.logits).max(-1),
            "wrong": (judged.predicted != judged.label) & (batch["mask"] > 0),
        }

    def merge(self, total: np.ndarray, update: dict[str, np.ndarray]) -> np.ndarray:
        """See `Metric`."""
        wrong = np.asarray(update["wrong"])
        new = np.zeros(np.count_nonzero(wrong), _MISTAKE)
        for name in _MISTAKE.fields or ():
            new[name] = np.asarray(update[name])[wrong]
        rows = np.concatenate([total, new])
        return rows[np.lexsort((rows["index"], -rows["confidence"]))[: self.most]]

    def compute(self, total: np.ndarray) -> dict[str, float]:
        """Nothing."""
        return {}
