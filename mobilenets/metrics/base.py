"""What a metric must offer. The evaluation knows nothing else of it."""

from collections.abc import Mapping
from typing import Any, Protocol

import jax

Batch = Mapping[str, jax.Array]  # the global batch, sharded over the devices


class Metric(Protocol):
    """Numbers of a whole data set, found batch by batch.

    `update` runs on the device for one batch; on the host `merge` adds what it gave to
    a total, and `compute` turns the total into the numbers.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers that `compute` gives, in their order."""
        ...

    @property
    def less_is_better(self) -> frozenset[str]:
        """Those of the names of which the smaller number is the better one."""
        ...

    def empty(self) -> Any:
        """The total of no batch at all."""
        ...

    def update(self, outputs: Any, batch: Batch) -> Any:
        """What is known of one batch: sums over its examples, or a row for each.

        It is traced, and sees the global batch, so that a sum needs no collective.

        Args:
          outputs: of the task's model.
          batch: "mask" is 0 for what only fills the batch up.

        Returns:
          A pytree of arrays. A sum is exact: integers, or float32 where a batch has no
          more than rounding to lose.
        """
        ...

    def merge(self, total: Any, update: Any) -> Any:
        """The total with one more batch, which may be written in place of the old one.

        Args:
          total: of the batches before.
          update: what `update` gave, as numpy arrays; every process has all rows.
        """
        ...

    def compute(self, total: Any) -> dict[str, float]:
        """The numbers by name, of a total of at least one example."""
        ...
