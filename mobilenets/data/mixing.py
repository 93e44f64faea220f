"""Mixup and CutMix: images of a batch are mixed in pairs, and so are their labels.

It is done on the host, in the workers that made the images: a batch is then exactly
what the network sees, pixels stay uint8, and the accelerator's program is the same.
Partners are neighbours in the batch, whose order is random. What is drawn depends only
on the two examples, so a batch is the same with any number of workers and processes.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mobilenets.config.schema import CutMix, Mixup, Operation

Batch = dict[str, Any]
SEED = "mixing_seed"  # of an example: what is drawn for it depends on this number

# A share is a whole number of steps, so that pixels and label have exactly the same.
_BITS = 8
_STEPS = 2**_BITS


def mixer(operations: Sequence[Operation]) -> Callable[[Batch], Batch] | None:
    """What mixes a batch by the operations of a configuration; None: nothing does."""
    chosen = tuple(o for o in operations if isinstance(o, Mixup | CutMix))
    return functools.partial(mix, operations=chosen) if chosen else None


def mix(batch: Batch, operations: Sequence[Mixup | CutMix]) -> Batch:
    """The batch with each image mixed with its neighbour, or as it is.

    Args:
      batch: "image" [N, H, W, 3] uint8, "label" [N, ...] and `SEED` [N]; N is even.
      operations: at most one is applied to a pair, each with its probability.

    Returns:
      The batch without `SEED`, and with "partner_label", the labels of the neighbours,
      and "share", [N] float32: how much of an image is of its own label, 1 if it is not
      mixed. The partner has the rest.
    """
    seeds = batch[SEED]
    images, shares = batch["image"].copy(), np.ones(len(seeds), np.float32)
    for first in range(0, len(seeds), 2):
        pair = slice(first, first + 2)
        rng = np.random.default_rng(seeds[pair])
        operation = _draw_operation(rng, operations)
        if operation is not None:
            apply = _mixup if isinstance(operation, Mixup) else _cutmix
            images[pair], shares[pair] = apply(
                batch["image"][pair], rng, operation.alpha
            )
    kept = {name: values for name, values in batch.items() if name != SEED}
    partners = np.arange(len(seeds)) ^ 1
    return {
        **kept,
        "image": images,
        "partner_label": batch["label"][partners],
        "share": shares,
    }


def _draw_operation(
    rng: np.random.Generator, operations: Sequence[Mixup | CutMix]
) -> Mixup | CutMix | None:
    number, end = rng.random(), 0.0
    for operation in operations:
        end += operation.probability
        if number < end:
            return operation
    return None


def _draw_share(rng: np.random.Generator, alpha: float) -> float:
    """From Beta(alpha, alpha); with 0, at which it has its limit, 1."""
    return rng.beta(alpha, alpha) if alpha else 1.0


def _mixup(
    pair: np.ndarray, rng: np.random.Generator, alpha: float
) -> tuple[np.ndarray, float]:
    """Means of two images with the weights share and 1 - share."""
    parts = round(_draw_share(rng, alpha) * _STEPS)
    own, partner = pair
    sums = np.multiply(own, parts, dtype=np.uint16)  # stays below 2**16
    sums += np.multiply(partner, _STEPS - parts, dtype=np.uint16)
    sums += _STEPS // 2
    mixed = (sums >> _BITS).astype(np.uint8)
    # The two means add up to what the images do; uint8 wraps around to the right value.
    return np.stack([mixed, own + partner - mixed]), parts / _STEPS


def _cutmix(
    pair: np.ndarray, rng: np.random.Generator, alpha: float
) -> tuple[np.ndarray, float]:
    """Images that have a box of each other; the share is what it leaves."""
    height, width = pair.shape[1:3]
    scale = np.sqrt(1 - _draw_share(rng, alpha))
    rows, columns = (_draw_span(rng, n, scale * n) for n in (height, width))
    mixed = pair.copy()
    mixed[:, rows, columns] = pair[::-1, rows, columns]
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - covered / (height * width)


def _draw_span(rng: np.random.Generator, size: int, length: float) -> slice:
    """A part of a side around a random place; what is outside is cut off."""
    center, half = rng.integers(size), int(length) // 2
    return slice(max(int(center) - half, 0), min(int(center) + half, size))
