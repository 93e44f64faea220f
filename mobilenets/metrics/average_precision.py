"""Average precision: how well scores put the positives first, attribute by attribute.

It is no sum over examples, so that the rows of all batches are kept until the end.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from mobilenets.metrics.base import Batch

Rows = list[tuple[np.ndarray, np.ndarray]]  # of each batch: scores and targets


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """The mean average precision of attributes, some of whose labels may be unknown.

    The total is a list of (scores, targets), both [N, attributes] float32.

    Attributes without a known positive have no average precision. They are left out of
    the mean and counted as "attributes_left_out"; if all are, the mean is 0.
    """

    names = ("mAP", "attributes_left_out")
    less_is_better = frozenset({"attributes_left_out"})

    def empty(self) -> Rows:
        """See `Metric`."""
        return []

    def update(self, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
        """The rows of the batch.

        Args:
          outputs: (logits [N, attributes], endpoints). The logits are the scores:
            their probabilities would be equal where the logits are far from 0.
          batch: with "label" [N, attributes], 1, 0 or nan where it is unknown, and
            "mask" [N].
        """
        logits, _ = outputs
        return {"scores": logits, "targets": batch["label"], "mask": batch["mask"]}

    def merge(self, total: Rows, update: dict[str, np.ndarray]) -> Rows:
        """Appends the rows of real examples."""
        real = np.asarray(update["mask"]) > 0
        scores, targets = (np.asarray(update[k])[real] for k in ("scores", "targets"))
        total.append((scores, targets))
        return total

    def compute(self, total: Rows) -> dict[str, float]:
        """See `Metric`."""
        values = by_attribute(total)
        left_out = np.isnan(values)
        mean = 0.0 if left_out.all() else float(values[~left_out].mean())
        return {"mAP": mean, "attributes_left_out": float(left_out.sum())}


def by_attribute(total: Rows) -> np.ndarray:
    """The average precision of each attribute of a total, [attributes] float64.

    It is nan for an attribute without a known positive.
    """
    scores, targets = (np.concatenate(parts) for parts in zip(*total, strict=True))
    return np.array(
        [average_precision(*column) for column in zip(scores.T, targets.T, strict=True)]
    )


def average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """The sum over the thresholds of (recall - the recall before) * precision.

    Every different score is a threshold: examples of equal scores are found together.

    Args:
      scores: [N]; more means more likely positive.
      targets: [N]: 1, 0 or nan where it is unknown, which is left out.

    Returns:
      From 0 to 1; nan without a known positive.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0]))
    0.8333333333333333
    """
    known = ~np.isnan(targets)
    scores, positive = scores[known], targets[known] > 0.5
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    # The last example of each threshold.
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    found = np.cumsum(positive[order])[ends]
    precision = found / (ends + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / found[-1])
