"""Cross-entropy, top-1 and top-5 of a classification."""

from typing import Any

import jax
import jax.numpy as jnp

from mobilenets.metrics.base import Batch
from mobilenets.metrics.judging import judge
from mobilenets.metrics.means import Means


def _per_example(outputs: Any, batch: Batch) -> dict[str, jax.Array]:
    """Cross-entropy (labels not smoothed), and whether it is a hit.

    Where several classes are right, the cross-entropy is that of their probability
    together.
    """
    judged = judge(outputs, batch)
    logits, right = judged.logits, judged.right
    of_right = jax.nn.logsumexp(logits, axis=-1, where=right)
    _, top5 = jax.lax.top_k(logits, min(5, logits.shape[-1]))
    return {
        "loss": jax.nn.logsumexp(logits, axis=-1) - of_right,
        "top1": judged.predicted == judged.label,
        "top5": jnp.take_along_axis(right, top5, axis=1).any(-1),
    }


# Of outputs (logits [N, classes], endpoints) and a batch as `judge` reads it: the hits
# are fractions of 1. Of fewer than five classes all are in the top 5.
TOP_K = Means(_per_example, ("loss", "top1", "top5"), frozenset({"loss"}))
