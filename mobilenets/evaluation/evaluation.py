"""Evaluation of a whole split, every example counted once."""

import contextlib
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from mobilenets.config.schema import Configuration
from mobilenets.errors import UserError
from mobilenets.runs import workdir
from mobilenets.runs.checkpoint import Checkpoints, abstract_like
from mobilenets.runtime import progress, sharding
from mobilenets.tasks.base import Task
from mobilenets.training.step import make_eval_step, make_predict_step


def evaluate_run(
    task: Task, config: Configuration, directory: str, ema: bool, best: bool
) -> dict[str, float]:
    """Evaluates a checkpoint of a run and prints the metrics.

    Args:
      task: made from the configuration.
      config: of the evaluation; its model and preprocessing must be the run's.
      directory: the run's workdir.
      ema: the averaged weights, not the raw ones.
      best: the best checkpoint, not the latest.

    Raises:
      UserError: the batch cannot be split over the devices, the directory has no
        checkpoint, or its network or classes are others.
    """
    mesh = sharding.data_mesh(config.batch_size)
    files = workdir.of_run(directory)
    workdir.refuse_other_config(files, config, sections=("model", "preprocessing"))
    if not files.checkpoints.exists():
        raise UserError(f"--workdir {directory} holds no checkpoint yet.")
    with contextlib.closing(Checkpoints(files, read_only=True)) as checkpoints:
        if checkpoints.latest_step is None:
            raise UserError(f"--workdir {directory} holds no checkpoint yet.")
        step = checkpoints.best_step if best else checkpoints.latest_step
        if step is None:
            raise UserError(
                f"No checkpoint of --workdir {directory} was evaluated yet, so none is "
                "the best: use --checkpoint=latest."
            )
        class_names = task.data_facts["class_names"]
        checkpoints.check_data(step, {"class_names": class_names})
        checkpoints.check_description(step, task.description)
        shapes = jax.eval_shape(task.init_variables, jax.random.key(0))
        variables = checkpoints.restore_variables(
            step, abstract_like(shapes, sharding.replicated(mesh)), ema
        )
    weights = "ema" if ema else "raw"
    batches = math.ceil(task.eval_size / config.batch_size)
    with progress.evaluation_bar(batches) as on_batch:
        results = Evaluator(task, mesh).evaluate({weights: variables}, on_batch)
    split = config.dataset.eval_split
    progress.print_results(f"Step {step}, split {split}", results)
    return results[weights]


class Evaluator:
    """Evaluates variables on the task's evaluation split; compiled once."""

    def __init__(self, task: Task, mesh: Mesh):
        self._task, self._mesh = task, mesh
        in_shardings = (sharding.replicated(mesh), sharding.by_example(mesh))
        self._eval_step = jax.jit(
            make_eval_step(task),
            in_shardings=in_shardings,
            out_shardings=sharding.replicated(mesh),
        )
        self._predict_step = jax.jit(
            make_predict_step(task),
            in_shardings=in_shardings,
            out_shardings=sharding.by_example(mesh),
        )

    def evaluate(
        self,
        named_variables: dict[str, Any],
        on_batch: Callable[[], None] = lambda: None,
    ) -> dict[str, dict[str, float]]:
        """Metrics of each set of variables, all in one pass over the data.

        Args:
          named_variables: what `model.apply` takes, by a name such as "raw" or "ema".
          on_batch: called after each batch, for a progress bar.
        """
        totals: dict[str, dict[str, float]] = {name: {} for name in named_variables}
        with contextlib.closing(self._task.eval_batches()) as host_batches:
            for host_batch in host_batches:
                batch = sharding.to_devices(self._mesh, host_batch)
                for name, variables in named_variables.items():
                    sums = jax.device_get(self._eval_step(variables, batch))
                    # Added in double precision: 50,000 losses lose digits in single.
                    totals[name] = {
                        k: totals[name].get(k, 0.0) + float(v) for k, v in sums.items()
                    }
                on_batch()
        return {name: self._task.summarize(sums) for name, sums in totals.items()}

    def draw_predictions(self, variables: Any, path: pathlib.Path) -> None:
        """Writes a picture of what the model says of the first evaluation images."""

        def predict(host_batch):
            batch = sharding.to_devices(self._mesh, host_batch)
            return sharding.local_part(self._predict_step(variables, batch))

        self._task.draw_predictions(predict, path)
