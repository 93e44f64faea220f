"""Metrics that are means over the examples."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mobilenets.metrics.base import Batch


@dataclasses.dataclass(frozen=True)
class Means:
    """The means of numbers that each example has by itself, and "count".

    Args:
      per_example: (outputs, batch) -> the numbers [N] by name.
      of: the names.
      less_is_better: see `Metric`.
    """

    per_example: Callable[[Any, Batch], Mapping[str, jax.Array]]
    of: tuple[str, ...]
    less_is_better: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """See `Metric`."""
        return (*self.of, "count")

    def empty(self) -> dict[str, float]:
        """See `Metric`."""
        return dict.fromkeys(self.names, 0.0)

    def update(self, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
        """Sums over the examples where "mask" is 1, and their "count"."""
        numbers, mask = self.per_example(outputs, batch), batch["mask"]
        # Not a product: of what is masked, a number may be infinite.
        sums = {name: jnp.where(mask > 0, numbers[name], 0.0).sum() for name in self.of}
        return sums | {"count": mask.sum()}

    def merge(
        self, total: dict[str, float], update: Mapping[str, Any]
    ) -> dict[str, float]:
        """Adds in double precision: 50,000 losses lose digits in single."""
        return {name: total[name] + float(update[name]) for name in total}

    def compute(self, total: dict[str, float]) -> dict[str, float]:
        """The means, and how many examples they are of."""
        count = total["count"]
        return {name: total[name] / count for name in self.of} | {"count": count}
