"""What a task must offer. The training and evaluation loops know nothing else of it."""

import pathlib
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import grain
import jax
import numpy as np

HostBatch = dict[str, np.ndarray]  # this process's part of a batch
Batch = dict[str, jax.Array]  # the global batch, sharded over the devices
Metrics = dict[str, jax.Array]


class Task(Protocol):
    """Model, data, loss and metrics; built from a `Configuration`."""

    train_size: int  # images
    eval_size: int  # images
    headline: str  # the metric by which the best checkpoint is chosen; more is better

    @property
    def model(self) -> nn.Module:
        """Applied to `inputs`; gives the outputs that `loss` reads."""
        ...

    @property
    def data_facts(self) -> dict[str, Any]:
        """What a run must find unchanged in its data; JSON values."""
        ...

    @property
    def description(self) -> dict[str, Any]:
        """What the weights belong to, for who uses them later; JSON values."""
        ...

    def init_variables(self, rng: jax.Array) -> dict[str, Any]:
        """{"params", "batch_stats"} of the untrained model."""
        ...

    def with_pretrained(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The same on the host, with pretrained values where there are any."""
        ...

    def relative_rates(self, params: Any) -> Any:
        """For each parameter a factor of its learning rate; 0 where it is frozen."""
        ...

    def train_batches(self) -> grain.DatasetIterator:
        """Endless batches of "image" and what the loss needs."""
        ...

    def eval_batches(self) -> grain.DatasetIterator:
        """Every example once; "mask" is 0 for what only fills the last batch."""
        ...

    def inputs(self, batch: Batch) -> jax.Array:
        """What the model is applied to."""
        ...

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """The scalar loss and scalar metrics, means over the batch."""
        ...

    def eval_sums(self, outputs: Any, batch: Batch) -> Metrics:
        """Sums over the examples where "mask" is 1, and their "count"."""
        ...

    def summarize(self, sums: dict[str, float]) -> dict[str, float]:
        """The metrics of the whole split from the sums over it."""
        ...

    def predictions(self, outputs: Any) -> jax.Array:
        """What is predicted for each example of a batch, [N, ...]."""
        ...

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """Draws the first evaluation images with their predictions.

        Args:
          predict: the `predictions` for a batch.
          path: the PNG file to write.
        """
        ...
