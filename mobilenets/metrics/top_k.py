"""Cross-entropy, top-1 and top-5 of a classification with one class an image."""

from typing import Any

import jax
import optax

from mobilenets.metrics.base import Batch
from mobilenets.metrics.means import Means


def _per_example(outputs: Any, batch: Batch) -> dict[str, jax.Array]:
    """Cross-entropy (labels not smoothed), and whether it is a hit."""
    (logits, _), labels = outputs, batch["label"]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    _, top5 = jax.lax.top_k(logits, min(5, logits.shape[-1]))
    hits = top5 == labels[:, None]
    return {"loss": losses, "top1": hits[:, 0], "top5": hits.any(-1)}


# Of outputs (logits [N, classes], endpoints) and a batch with "label" [N] int32: the
# hits are fractions of 1. Of fewer than five classes all are in the top 5.
TOP_K = Means(_per_example, ("loss", "top1", "top5"), frozenset({"loss"}))
