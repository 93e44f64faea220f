"""Pixels as a network sees them."""

import jax
import jax.numpy as jnp

from mobilenets.config.schema import Preprocessing


def normalize(images: jax.Array, preprocessing: Preprocessing) -> jax.Array:
    """The images with the mean subtracted and divided by the deviation, float32.

    Args:
      images: [..., 3], values of 0 to 255.
      preprocessing: what the weights expect.
    """
    mean, std = jnp.array(preprocessing.mean), jnp.array(preprocessing.std)
    return (images.astype(jnp.float32) - mean) / std
