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
