"""Maps of another height and width, as TensorFlow and PyTorch resize them."""

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.networks.segmenter import Resizing


def resize(x: jax.Array, size: tuple[int, int], resizing: Resizing) -> jax.Array:
    """Bilinear interpolation, without a filter when a map is made smaller.

    Args:
      x: [N, H, W, C].
      size: the new height and width in pixels.
      resizing: "half_pixel" takes pixels for squares, so that the borders of both maps
        meet: PyTorch's `interpolate` and TensorFlow 2's `tf.image.resize`.
        "align_corners" takes them for points, and the centres of the corner pixels
        meet: `align_corners=True` of both. TensorFlow's DeepLab resizes in this way, so
        that its maps of 8 k + 1 pixels keep every pixel where it was.

    Returns:
      [N, *size, C] of the same dtype.
    """
    for axis, out in zip((1, 2), size, strict=True):
        if x.shape[axis] != out:
            x = _along(x, axis, out, resizing)
    return x


def _along(x: jax.Array, axis: int, out: int, resizing: Resizing) -> jax.Array:
    before, after, weight = _neighbours(x.shape[axis], out, resizing)
    shape = [1] * x.ndim
    shape[axis] = out
    weight = jnp.asarray(weight.reshape(shape), x.dtype)
    low, high = jnp.take(x, before, axis), jnp.take(x, after, axis)
    return low + (high - low) * weight


def _neighbours(
    size: int, out: int, resizing: Resizing
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each new pixel the two old ones around it, and the second one's weight."""
    new = np.arange(out)
    if resizing == "align_corners":
        position = new * ((size - 1) / max(out - 1, 1))
    else:
        position = np.clip((new + 0.5) * (size / out) - 0.5, 0, size - 1)
    before = np.floor(position).astype(int)
    return before, np.minimum(before + 1, size - 1), position - before
