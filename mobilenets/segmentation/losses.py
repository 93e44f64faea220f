"""The loss of segmentation: softmax cross-entropy over the pixels with a label."""

import jax
import jax.numpy as jnp
import optax


def mean_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over all pixels of the batch that have a label.

    Args:
      logits: [N, H, W, classes].
      labels: [N, H, W] integers; a pixel whose label is no class, such as 255, has
        none.

    Returns:
      A scalar; 0 if no pixel has a label.
    """
    known = labels < logits.shape[-1]
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits, jnp.where(known, labels, 0).astype(jnp.int32)
    )
    return losses.sum(where=known) / jnp.maximum(known.sum(), 1)
