"""Which of many points are best where there are several objectives. Less is better."""

from collections.abc import Sequence

import numpy as np


def fronts(values: np.ndarray) -> list[np.ndarray]:
    """The points by rank: those that no other dominates, then those that only they do.

    A point dominates another if it is nowhere worse and somewhere better. NSGA-II, Deb
    et al. 2002, Sec. III-A.

    Args:
      values: [points, objectives].

    Returns:
      The numbers of the points of each front, in ascending order.
    """
    no_worse = np.all(values[:, None] <= values, axis=-1)
    below = no_worse & np.any(values[:, None] < values, axis=-1)
    left = np.ones(len(values), bool)
    result = []
    while left.any():
        dominated = below[left].any(0)
        front = np.flatnonzero(left & ~dominated)
        result.append(front)
        left[front] = False
    return result


def best(values: np.ndarray, at_once: int = 500) -> np.ndarray:
    """The first of `fronts`, in less memory.

    Args:
      values: [points, objectives].
      at_once: points that are compared with each other.

    Returns:
      The numbers of its points, in ascending order.
    """
    kept = np.empty(0, int)
    for start in range(0, len(values), at_once):
        new = np.arange(start, min(start + at_once, len(values)))
        both = np.append(kept, new)
        kept = both[fronts(values[both])[0]]
    return kept


def crowding(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How far the neighbours of each point of a front are.

    For each objective the distance from the next lower point to the next higher one as
    a fraction of the range; the weighted sum over the objectives. NSGA-II, Sec. III-B,
    whose weights are equal. What is equal to an earlier point has 0, but in a front of
    two points, which are both extreme.

    Args:
      values: [points, objectives] of one front.
      weights: [objectives], above 0.

    Returns:
      [points]; infinity where an objective is extreme.
    """
    if len(values) <= 2:
        return np.full(len(values), np.inf)
    result = np.zeros(len(values))
    _, first = np.unique(values, axis=0, return_index=True)
    unique = values[np.sort(first)]
    total = np.zeros(len(unique))
    for column, weight in zip(unique.T, weights, strict=True):
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        span = ordered[-1] - ordered[0]
        if span == 0:
            continue
        around = np.full(len(column), np.inf)
        around[1:-1] = (ordered[2:] - ordered[:-2]) / span
        total[order] += weight * around
    result[np.sort(first)] = total
    return result


def hypervolume(values: np.ndarray, reference: np.ndarray) -> float:
    """The volume that the points dominate up to a reference point.

    Zitzler & Thiele 1998. Objective by objective: between two points in the last one,
    the volume is a slice over the others.

    Args:
      values: [points, objectives].
      reference: [objectives]; a point that is not better everywhere counts nothing.
    """
    values = values[(values < reference).all(-1)]
    if not len(values):
        return 0.0
    if values.shape[1] == 1:
        return float(reference[0] - values.min())
    values = values[np.argsort(values[:, -1], kind="stable")]
    ends = np.append(values[1:, -1], reference[-1])
    return sum(
        (end - start) * hypervolume(values[: i + 1, :-1], reference[:-1])
        for i, (start, end) in enumerate(zip(values[:, -1], ends, strict=True))
        if end > start
    )


def hypervolumes(
    values: np.ndarray, reference: np.ndarray, ends: Sequence[int]
) -> list[float]:
    """The hypervolume of the first points, for several numbers of them.

    Args:
      values: [points, objectives].
      reference: see `hypervolume`.
      ends: how many of the first points count, ascending.
    """
    kept, begin = values[:0], 0
    result = []
    for end in ends:
        both = np.concatenate([kept, values[begin:end]])
        kept, begin = both[best(both)], end
        result.append(hypervolume(kept, reference))
    return result
