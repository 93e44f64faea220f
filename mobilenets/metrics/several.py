"""Metrics side by side."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mobilenets.metrics.base import Batch, Metric


@dataclasses.dataclass(frozen=True)
class Several:
    """One metric made of several, found in the same pass over the data.

    Its total holds theirs under the same names as `parts`.

    Args:
      parts: no two of them have a number of the same name.
    """

    parts: Mapping[str, Metric]

    @property
    def names(self) -> tuple[str, ...]:
        """See `Metric`."""
        return tuple(name for part in self.parts.values() for name in part.names)

    @property
    def less_is_better(self) -> frozenset[str]:
        """See `Metric`."""
        return frozenset().union(*(p.less_is_better for p in self.parts.values()))

    def empty(self) -> dict[str, Any]:
        """See `Metric`."""
        return {key: part.empty() for key, part in self.parts.items()}

    def update(self, outputs: Any, batch: Batch) -> dict[str, Any]:
        """See `Metric`."""
        return {key: part.update(outputs, batch) for key, part in self.parts.items()}

    def merge(self, total: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
        """See `Metric`."""
        return {
            key: part.merge(total[key], update[key]) for key, part in self.parts.items()
        }

    def compute(self, total: dict[str, Any]) -> dict[str, float]:
        """See `Metric`."""
        numbers = {}
        for key, part in self.parts.items():
            numbers |= part.compute(total[key])
        return numbers
