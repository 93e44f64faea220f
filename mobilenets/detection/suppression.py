"""Non-maximum suppression with static shapes, on the device."""

import jax
import jax.numpy as jnp

from mobilenets.detection import boxes as box

NONE = -jnp.inf  # the score of a box that does not count


def suppress(
    boxes: jax.Array, scores: jax.Array, iou_threshold: float, most: int
) -> tuple[jax.Array, jax.Array]:
    """Takes the best box again and again, and drops those that overlap it more.

    Of equal scores the first counts as the best. A step compares one box with all, so
    that no matrix of overlaps is needed.

    Args:
      boxes: [K, 4].
      scores: [K]; -inf for a box that does not count.
      iou_threshold: boxes that overlap a taken one more than this are dropped.
      most: of the boxes that are taken.

    Returns:
      The numbers of the boxes taken, [most] int32, best first, and their scores,
      [most]; where no box was left these are 0 and -inf.
    """

    def take(step, state):
        left, numbers, taken = state
        best = left.argmax()
        score = left[best]
        numbers = numbers.at[step].set(jnp.where(score > NONE, best, 0))
        dropped = box.iou(boxes[best], boxes) > iou_threshold
        left = jnp.where(dropped, NONE, left).at[best].set(NONE)
        return left, numbers, taken.at[step].set(score)

    numbers = jnp.zeros(most, jnp.int32)
    taken = jnp.full(most, NONE, scores.dtype)
    _, numbers, taken = jax.lax.fori_loop(0, most, take, (scores, numbers, taken))
    return numbers, taken


def survivors(boxes: jax.Array, scores: jax.Array, iou_threshold: float) -> jax.Array:
    """Which boxes `suppress` takes if it may take all, without a step for each.

    A box is dropped by a better one that overlaps it and is not dropped itself. That is
    applied to all boxes at once, first as if none was dropped, until nothing changes:
    each time, at least one more box of every chain has its final answer. Chains are
    short where the threshold is high.

    Only boxes are compared whose tops are near each other. An overlap above t needs an
    overlap of the heights above t, so the tops differ by less than 1 - t of the height.
    With the boxes in the order of their tops, each is compared with the next one, the
    next but one, and so on until no pair is that near. At a low threshold these are all
    pairs.

    Args:
      boxes: [..., K, 4].
      scores: [..., K]; -inf for a box that does not count.
      iou_threshold: see `suppress`.

    Returns:
      [..., K] bool.
    """
    order = jnp.argsort(boxes[..., 0], axis=-1)
    ranks = jnp.argsort(jnp.argsort(-scores, axis=-1), axis=-1)
    boxes = jnp.take_along_axis(boxes, order[..., None], axis=-2)
    ranks, counts = (
        jnp.take_along_axis(array, order, axis=-1) for array in (ranks, scores > NONE)
    )
    number, tops = boxes.shape[-2], boxes[..., 0]
    heights = boxes[..., 2] - tops
    # A little farther, as all of it is rounded.
    reach = tops + 1.05 * (1 - iou_threshold) * heights + 1e-6 * (1 + jnp.abs(tops))
    # Behind the last box there are empty ones, farther than any.
    far = jnp.full_like(boxes, jnp.finfo(boxes.dtype).max)
    padded_boxes = jnp.concatenate([boxes, far], axis=-2)
    padded_ranks = jnp.concatenate([ranks, ranks], axis=-1)

    def dropped_by(is_kept):
        """Which boxes overlap a better one of those."""
        padded_kept = jnp.concatenate([is_kept, jnp.zeros_like(is_kept)], axis=-1)

        def next_boxes(distance):
            return _window(padded_boxes, distance, number, axis=-2)

        def is_near(state):
            distance, _ = state
            near = next_boxes(distance)[..., 0] < reach
            return (distance < number) & near.any()

        def compare(state):
            distance, dropped = state
            overlap = box.iou(boxes, next_boxes(distance)) > iou_threshold
            is_better = ranks < _window(padded_ranks, distance, number)
            of_next = _window(padded_kept, distance, number)
            by_next = overlap & ~is_better & of_next
            dropped = dropped.at[..., :number].max(by_next)
            window = _window(dropped, distance, number)
            window |= overlap & is_better & is_kept
            dropped = jax.lax.dynamic_update_slice_in_dim(dropped, window, distance, -1)
            return distance + 1, dropped

        nothing = jnp.zeros_like(padded_kept)
        _, dropped = jax.lax.while_loop(is_near, compare, (1, nothing))
        return dropped[..., :number]

    def improve(state):
        is_kept, _ = state
        better = counts & ~dropped_by(is_kept)
        return better, (better != is_kept).any()

    is_kept, _ = jax.lax.while_loop(lambda state: state[1], improve, (counts, True))
    return jnp.take_along_axis(is_kept, jnp.argsort(order, axis=-1), axis=-1)


def _window(array: jax.Array, start: jax.Array, size: int, axis: int = -1) -> jax.Array:
    return jax.lax.dynamic_slice_in_dim(array, start, size, axis)
