"""Whole data sets under a model, every example counted once."""

import contextlib
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from mobilenets.metrics.base import Batch, Metric
from mobilenets.runtime import sharding
from mobilenets.tasks.base import HostBatch, Task

# Metrics by the names of the evaluation set, of the weights and of the metric.
Results = dict[str, dict[str, dict[str, float]]]


class Evaluator:
    """Evaluates variables on the task's evaluation sets; compiled once.

    Args:
      task: gives model and data.
      mesh: over whose devices each batch is split.
      metric: what is found; None: the task's `metric`.
      network: computes the outputs in the place of the task's model, from its inputs on
        the host; the variables are then not used.
    """

    def __init__(
        self,
        task: Task,
        mesh: Mesh,
        metric: Metric | None = None,
        network: Callable[[np.ndarray], Any] | None = None,
    ):
        self._task, self._mesh = task, mesh
        self._metric = metric or task.metric
        in_shardings = (sharding.replicated(mesh), sharding.by_example(mesh))
        self._eval_step = (
            _make_host_step(task, self._metric, network)
            if network
            else jax.jit(
                make_eval_step(task, self._metric),
                in_shardings=in_shardings,
                out_shardings=sharding.replicated(mesh),  # every process has all rows
            )
        )
        self._predict_step = jax.jit(
            make_predict_step(task),
            in_shardings=in_shardings,
            out_shardings=sharding.by_example(mesh),
        )

    @property
    def batches(self) -> int:
        """Of all evaluation sets together."""
        size = self._task.config.batch_size
        return sum(math.ceil(n / size) for n in self._task.eval_sizes.values())

    def totals(
        self,
        name: str,
        named_variables: dict[str, Any],
        on_batch: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """The metric's total over one set for each of the variables, in one pass.

        Args:
          name: of the evaluation set.
          named_variables: what `model.apply` takes, by a name such as "raw" or "ema".
          on_batch: called after each batch, for a progress bar.
        """
        totals = {weights: self._metric.empty() for weights in named_variables}
        with contextlib.closing(self._task.eval_batches(name)) as host_batches:
            for host_batch in host_batches:
                batch = sharding.to_devices(self._mesh, host_batch)
                for weights, variables in named_variables.items():
                    update = jax.device_get(self._eval_step(variables, batch))
                    totals[weights] = self._metric.merge(totals[weights], update)
                on_batch()
        return totals

    def evaluate(
        self,
        named_variables: dict[str, Any],
        on_batch: Callable[[], None] = lambda: None,
    ) -> Results:
        """The metrics on every set; see `totals`."""
        return {
            name: {
                weights: self._metric.compute(total)
                for weights, total in self.totals(
                    name, named_variables, on_batch
                ).items()
            }
            for name in self._task.eval_sizes
        }

    def draw_predictions(self, variables: Any, path: pathlib.Path) -> None:
        """Writes a picture of the worst predictions for the evaluation images."""

        def predict(host_batch: HostBatch) -> np.ndarray:
            batch = sharding.to_devices(self._mesh, host_batch)
            return sharding.local_part(self._predict_step(variables, batch))

        self._task.draw_predictions(predict, path)


def make_eval_step(task: Task, metric: Metric) -> Callable[[Any, Batch], Any]:
    """Builds the evaluation of one batch: the metric's `update`."""

    def eval_step(variables, batch):
        outputs = task.model.apply(variables, task.inputs(batch), train=False)
        return metric.update(outputs, batch)

    return eval_step


def _make_host_step(
    task: Task, metric: Metric, network: Callable[[np.ndarray], Any]
) -> Callable[[Any, Batch], Any]:
    """As `make_eval_step`, with the outputs of another network on the host."""
    inputs, update = jax.jit(task.inputs), jax.jit(metric.update)

    def eval_step(variables, batch):
        del variables
        return update(network(np.asarray(inputs(batch))), batch)

    return eval_step


def make_predict_step(task: Task) -> Callable[[Any, Batch], Any]:
    """Builds the prediction for one batch, the task's own `predictions`."""

    def predict_step(variables, batch):
        outputs = task.model.apply(variables, task.inputs(batch), train=False)
        return task.predictions(outputs)

    return predict_step
