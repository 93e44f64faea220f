"""Whether a network is as often right as it is sure."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.metrics.base import Batch
from mobilenets.metrics.judging import judge


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The expected calibration error of Guo et al., arXiv:1706.04599, Eq. 3.

    The images are put into bins by the probability of the predicted class; of each bin
    the mean of these probabilities is compared with the part that is right. The error
    is the mean of the differences, weighted by the images in the bins: 0 to 1.

    Its total holds "sums", [2, bins] float64, of probabilities and of hits, and the
    "count" of the images.

    Args:
      bins: of equal width; bin m holds probabilities in ((m - 1) / bins, m / bins]. 15
        are the paper's, Table 1.
    """

    bins: int = 15

    names = ("calibration_error",)
    less_is_better = frozenset({"calibration_error"})

    def empty(self) -> dict[str, Any]:
        """See `Metric`."""
        return {"sums": np.zeros((2, self.bins)), "count": 0.0}

    def update(self, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
        """The float32 sums over the examples where "mask" is 1, see `judge`."""
        judged = judge(outputs, batch)
        confidence = jax.nn.softmax(judged.logits).max(-1)
        places = jnp.ceil(confidence * self.bins).astype(jnp.int32) - 1
        of_example = jnp.stack([confidence, judged.predicted == judged.label])
        sums = jnp.zeros((2, self.bins)).at[:, places].add(of_example * batch["mask"])
        return {"sums": sums, "count": batch["mask"].sum()}

    def merge(self, total: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
        """See `Metric`."""
        return {name: total[name] + np.float64(update[name]) for name in total}

    def compute(self, total: dict[str, Any]) -> dict[str, float]:
        """The error; in a bin the weight cancels the number of its images."""
        confidences, hits = total["sums"]
        error = np.abs(hits - confidences).sum() / total["count"]
        return {"calibration_error": float(error)}
