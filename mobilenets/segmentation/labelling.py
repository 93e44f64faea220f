"""From the logits of what a network sees to the classes of an image's own pixels."""

import jax
import jax.numpy as jnp

_ROWS = 32  # of the image that are found at once; all logits of an image fill memory


def classes_of_image(
    logits: jax.Array, to_image: jax.Array, size: tuple[int, int]
) -> jax.Array:
    """The class of each pixel of the images from which the network's inputs were made.

    The logits are interpolated bilinearly at the centres of the pixels; beyond the
    outermost centres of the input they are those at its border.

    Args:
      logits: [N, H, W, classes], of the input's pixels.
      to_image: [N, 2, 2], what y and x, as fractions of the input, are multiplied by
        and what is added to get pixels of the image: see `Geometry.to_image`.
      size: height and width of the images, or of what they are padded to.

    Returns:
      [N, *size] uint8; what it says of pixels beyond an image has no meaning.
    """
    height, width = size
    chunks = -(-height // _ROWS)
    scale, offset = to_image[:, 0], to_image[:, 1]  # [N, 2]

    def places(axis: int, pixels: jax.Array) -> jax.Array:
        """Where pixels of the image are among the input's, [N, pixels]."""
        fractions = (pixels + 0.5 - offset[:, axis, None]) / scale[:, axis, None]
        inputs = logits.shape[axis + 1]
        return jnp.clip(fractions * inputs - 0.5, 0, inputs - 1)

    columns = places(1, jnp.arange(width))

    def of_rows(first: jax.Array) -> jax.Array:
        rows = places(0, first + jnp.arange(_ROWS))
        found = _interpolated(_interpolated(logits, rows, 1), columns, 2)
        return found.argmax(-1).astype(jnp.uint8)

    found = jax.lax.map(of_rows, jnp.arange(chunks) * _ROWS)  # [chunks, N, rows, width]
    found = jnp.moveaxis(found, 1, 0).reshape(logits.shape[0], -1, width)
    return found[:, :height]


def _interpolated(x: jax.Array, places: jax.Array, axis: int) -> jax.Array:
    """[N, H, W, C] at places [N, P] along H or W, which becomes P."""
    before = jnp.floor(places).astype(jnp.int32)
    after = jnp.minimum(before + 1, x.shape[axis] - 1)
    weights = jnp.expand_dims(places - before, -1 if axis == 2 else (-2, -1))
    if axis == 2:
        weights = weights[:, None]

    def taken(indices: jax.Array) -> jax.Array:
        return jax.vmap(lambda image, i: jnp.take(image, i, axis - 1))(x, indices)

    low, high = taken(before), taken(after)
    return low + (high - low) * weights
