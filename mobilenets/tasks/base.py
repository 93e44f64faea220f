"""What a task must offer. The training and evaluation loops know nothing else of it."""

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import flax.linen as nn
import jax
import numpy as np

from mobilenets.config.schema import Configuration
from mobilenets.metrics.base import Batch, Metric

HostBatch = dict[str, np.ndarray]  # this process's part of a batch
Metrics = dict[str, jax.Array]


class Batches(Protocol):
    """Batches that are made ahead of time, until they are closed."""

    @property
    def bad_images(self) -> int:
        """Broken images that were passed over so far; asked for if any may be."""
        ...

    @property
    def loading_seconds(self) -> Mapping[str, float]:
        """What each stage of loading adds to the time of making a batch."""
        ...

    def __iter__(self) -> Iterator[HostBatch]: ...

    def __next__(self) -> HostBatch: ...

    def close(self) -> None:
        """Ends what makes them."""
        ...


class Task(Protocol):
    """Model, data, loss and metrics; built from a `Configuration`."""

    config: Configuration  # resolved: every value is the one that is used
    headline: str  # the metric that says most

    @property
    def train_size(self) -> int:
        """Images to train."""
        ...

    @property
    def eval_sizes(self) -> Mapping[str, int]:
        """Images by evaluation set: "val", then `config.evals`."""
        ...

    @property
    def summary(self) -> str:
        """What is trained, how large it is, and on what: "NETWORK (…) on … images"."""
        ...

    @property
    def metric(self) -> Metric:
        """What every evaluation finds; of the outputs of `model` and its batches."""
        ...

    @property
    def report_metric(self) -> Metric:
        """What `by_class` and `write_report` need, with all that `metric` finds."""
        ...

    @property
    def model(self) -> nn.Module:
        """Applied to `inputs`; gives the outputs that `loss` reads."""
        ...

    @property
    def teacher_variables(self) -> Any:
        """What `taught` needs and nothing changes: a teacher's variables, or {}."""
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

    @property
    def stages(self) -> "Sequence[tuple[int, Task]]":
        """The tasks that train a run in turn, each with the step from which it does.

        Most are the only one of theirs, from step 0. The others have the same
        parameters and data, and steps of their own, for each of which a program is
        compiled. Evaluations are always of this task itself.

        Raises:
          UserError: a task is not to be had.
        """
        ...

    def train_batches(self, first_step: int = 0) -> Batches:
        """Endless batches of "image" and what the loss needs.

        Which examples a batch holds, and how they are augmented, follows from the seed
        and the number of the step alone.

        Args:
          first_step: the steps whose batches are left out at the start.

        Raises:
          BrokenImage: from `next`, at the step that would see a broken image.
        """
        ...

    def eval_batches(self, name: str) -> Batches:
        """Every example of a set once; "mask" is 0 for what only fills the last batch.

        Args:
          name: one of `eval_sizes`.

        Yields:
          What the metrics need, "mask" and "index": the place in the set, -1 for what
          only fills the batch.
        """
        ...

    def variants(self, rng: jax.Array) -> Batch:
        """What a batch passes through the model with, [passes, ...] each.

        In one update the batch passes once with each of these values beside its own,
        and the update follows the mean of the gradients. Empty, as for most tasks: one
        pass with the batch as it is.

        Args:
          rng: of the step.
        """
        ...

    def taught(self, batch: Batch, teacher_variables: Any) -> Batch:
        """The batch with what a teacher says of it; without a teacher as it is.

        Args:
          batch: of `train_batches`, or a part of it.
          teacher_variables: on the devices.
        """
        ...

    def inputs(self, batch: Batch) -> Any:
        """What the model is applied to."""
        ...

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """The scalar loss, and means over the batch to log, "loss" among them."""
        ...

    def predictions(self, outputs: Any) -> jax.Array:
        """What is predicted for each example of a batch, [N, ...]."""
        ...

    def draw_first_batch(self, batch: HostBatch, path: pathlib.Path) -> None:
        """Draws augmented images with what is known of them, so that it can be checked.

        It is called when a run begins, on the first process alone, and should take
        less than a second. What it raises costs the picture, not the run.

        Args:
          batch: the first of `train_batches`.
          path: the PNG file to write.
        """
        ...

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """Draws the worst predictions for images of "val".

        Args:
          predict: the `predictions` for a batch.
          path: the PNG file to write.
        """
        ...

    def by_class(self, total: Any) -> dict[str, dict[str, float]]:
        """The numbers of each class (or attribute) by its name, the same of each.

        Args:
          total: of `report_metric`. A number may be nan where there is nothing to find
            it of.
        """
        ...

    def write_report(
        self, name: str, total: Any, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """Writes tables and pictures of an evaluation.

        Args:
          name: of the evaluation set; the names of the files begin with it.
          total: of `report_metric`.
          folder: an existing one.

        Returns:
          The files.
        """
        ...
