"""Maps of another height and width, as TensorFlow and PyTorch resize them."""

import functools
import math

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
    # The height last, so that the gradient makes it small first: that is the cheap one.
    for axis, out in ((2, size[1]), (1, size[0])):
        if x.shape[axis] != out:
            x = _along(x, axis, x.shape[axis], out, resizing)
    return x


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _along(
    x: jax.Array, axis: int, size: int, out: int, resizing: Resizing
) -> jax.Array:
    """The map with `out` in place of `size` pixels along an axis."""
    before, after, weight = _neighbours(size, out, resizing)
    shape = [1] * x.ndim
    shape[axis] = out
    weight = jnp.asarray(weight.reshape(shape), x.dtype)
    low, high = jnp.take(x, before, axis), jnp.take(x, after, axis)
    return low + (high - low) * weight


def _forward(x, axis, size, out, resizing):
    return _along(x, axis, size, out, resizing), None


def _backward(axis, size, out, resizing, _, cotangent):
    """As matrix products: XLA's own adds pixel after pixel, on a CPU far slower."""
    before, after, weight = _neighbours(size, out, resizing)
    matrix, new = np.zeros((size, out)), np.arange(out)
    matrix[before, new] += 1 - weight
    matrix[after, new] += weight
    shape = cotangent.shape
    lines = math.prod(shape[:axis])
    # One product for each line, which XLA computes without transposing the map.
    matrices = jnp.broadcast_to(
        jnp.asarray(matrix, cotangent.dtype), (lines, size, out)
    )
    of_lines = cotangent.reshape(lines, out, -1)
    y = jnp.matmul(matrices, of_lines, precision="highest")
    return (y.reshape(*shape[:axis], size, *shape[axis + 1 :]),)


_along.defvjp(_forward, _backward)


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
