"""Boxes: overlap, and the code of a box beside its anchor.

A box is [top, left, bottom, right], as fractions of the image's height and width. The
last axis of every array of boxes has these four; the others are free.
"""

import jax
import jax.numpy as jnp

from mobilenets.networks.detector import BoxCoderSpec

# A side of 0 (padding, or a broken annotation) has no logarithm.
_LEAST_SIDE = 1e-8


def area(boxes: jax.Array) -> jax.Array:
    """[..., 4] -> [...]; 0 for a box whose height or width is not above 0."""
    sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """The intersection of boxes over their union.

    Args:
      a: [..., 4].
      b: [..., 4]; the shapes are broadcast, as from [A, 1, 4] and [B, 4].

    Returns:
      [...], 0 to 1; 0 where both boxes are empty.
    """
    top_left = jnp.maximum(a[..., :2], b[..., :2])
    bottom_right = jnp.minimum(a[..., 2:], b[..., 2:])
    shared = area(jnp.concatenate([top_left, bottom_right], axis=-1))
    union = area(a) + area(b) - shared
    return jnp.where(shared > 0, shared / jnp.where(union > 0, union, 1.0), 0.0)


def clip(boxes: jax.Array) -> jax.Array:
    """The part within the image, which is empty for a box outside it."""
    return jnp.clip(boxes, 0.0, 1.0)


def encode(boxes: jax.Array, anchors: jax.Array, coder: BoxCoderSpec) -> jax.Array:
    """The numbers that a detector should give for boxes at anchors.

    Args:
      boxes: [..., 4].
      anchors: [..., 4], of the same number.
      coder: the detector's.

    Returns:
      [..., 4], in the order of `coder`.
    """
    centres, sides = _centres_and_sides(boxes)
    anchor_centres, anchor_sides = _centres_and_sides(anchors)
    offsets = coder.centre_scale * (centres - anchor_centres) / anchor_sides
    ratios = jnp.maximum(sides, _LEAST_SIDE) / anchor_sides
    logarithms = coder.size_scale * jnp.log(ratios)
    return jnp.concatenate(
        [_swapped(offsets, coder), _swapped(logarithms, coder)], axis=-1
    )


def decode(codes: jax.Array, anchors: jax.Array, coder: BoxCoderSpec) -> jax.Array:
    """The boxes that numbers of a detector mean: the inverse of `encode`.

    Args:
      codes: [..., 4], in the order of `coder`.
      anchors: [..., 4].
      coder: the detector's.

    Returns:
      [..., 4]; they may extend beyond the image.
    """
    anchor_centres, anchor_sides = _centres_and_sides(anchors)
    offsets = _swapped(codes[..., :2], coder) / coder.centre_scale
    logarithms = _swapped(codes[..., 2:], coder) / coder.size_scale
    if coder.most_log_ratio is not None:
        logarithms = jnp.minimum(logarithms, coder.most_log_ratio)
    centres = anchor_centres + offsets * anchor_sides
    sides = anchor_sides * jnp.exp(logarithms)
    return jnp.concatenate([centres - sides / 2, centres + sides / 2], axis=-1)


def _centres_and_sides(boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both [..., 2], vertical first."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return (top_left + bottom_right) / 2, bottom_right - top_left


def _swapped(pairs: jax.Array, coder: BoxCoderSpec) -> jax.Array:
    """[..., 2] from our order, vertical first, to the coder's, or back."""
    return pairs if coder.order == "yxhw" else pairs[..., ::-1]
