"""Evaluation of a run's checkpoint, or of weights from elsewhere."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from mobilenets.config.schema import Preprocessing
from mobilenets.errors import UserError
from mobilenets.evaluation.evaluator import Evaluator, Results
from mobilenets.runs import soundness, workdir
from mobilenets.runs.checkpoint import Checkpoints, abstract_like
from mobilenets.runtime import sharding
from mobilenets.runtime.console import progress_bar
from mobilenets.tasks.base import Task


@dataclasses.dataclass(frozen=True)
class RunEvaluation:
    """What was found of a network.

    Args:
      step: of the checkpoint; None for weights that are not of a run.
      split: of the config's data set, which is the set "val".
      results: by evaluation set, weights and metric.
      by_class: by evaluation set and class, see `Task.by_class`; empty unless asked
        for.
      files: that were written.
    """

    step: int | None
    split: str
    results: Results
    by_class: dict[str, dict[str, dict[str, float]]]
    files: list[pathlib.Path]


def evaluate_run(
    task: Task,
    directory: str,
    ema: bool = True,
    best: bool = True,
    per_class: bool = False,
    report: str = "",
) -> RunEvaluation:
    """Evaluates a checkpoint of a run on all evaluation sets of the task.

    Args:
      task: its model and preprocessing must be the run's.
      directory: the run's workdir.
      ema: the averaged weights, not the raw ones.
      best: the best checkpoint, not the latest.
      per_class: find the numbers of each class, too.
      report: the folder for tables and pictures, see `Task.write_report`; "": none.

    Raises:
      UserError: the batch cannot be split over the devices, the directory has no
        checkpoint, its network or classes are others, or the report cannot be written.
    """
    mesh = sharding.data_mesh(task.config.batch_size)
    step, variables = _restore(task, mesh, directory, ema, best)
    weights = "ema" if ema else "raw"
    return _evaluate(task, mesh, {weights: variables}, step, per_class, report)


def evaluate_weights(
    task: Task,
    name: str,
    variables: Any,
    per_class: bool = False,
    report: str = "",
    network: Callable[[np.ndarray], Any] | None = None,
) -> RunEvaluation:
    """Evaluates weights that are not of a run on all evaluation sets of the task.

    Args:
      task: made for these weights.
      name: of the weights, for the results.
      variables: what `task.model.apply` takes.
      per_class: see `evaluate_run`.
      report: see `evaluate_run`.
      network: computes the outputs in the place of the model, see `Evaluator`.

    Raises:
      UserError: the batch cannot be split over the devices, or the report cannot be
        written.
    """
    mesh = sharding.data_mesh(task.config.batch_size)
    variables = jax.device_put(variables, sharding.replicated(mesh))
    named = {name: variables}
    return _evaluate(task, mesh, named, None, per_class, report, network)


def _evaluate(
    task: Task,
    mesh: Mesh,
    named_variables: dict[str, Any],
    step: int | None,
    per_class: bool,
    report: str,
    network: Callable[[np.ndarray], Any] | None = None,
) -> RunEvaluation:
    """Evaluates one set of variables, by its name."""
    folder = _make_folder(report) if report else None  # before minutes of work
    metric = task.report_metric if per_class or report else task.metric
    (weights,) = named_variables
    evaluator = Evaluator(task, mesh, metric, network)
    with progress_bar("evaluating", evaluator.batches) as on_batch:
        totals = {
            name: evaluator.totals(name, named_variables, on_batch)[weights]
            for name in task.eval_sizes
        }
    return RunEvaluation(
        step=step,
        split=task.config.dataset.eval_split,
        results={n: {weights: metric.compute(total)} for n, total in totals.items()},
        by_class={n: task.by_class(t) for n, t in totals.items()} if per_class else {},
        files=_write_report(task, totals, folder) if folder else [],
    )


def _restore(
    task: Task, mesh: Mesh, directory: str, ema: bool, best: bool
) -> tuple[int, Any]:
    """The step and the variables of the checkpoint, on all devices of the mesh."""
    files = workdir.of_run(directory)
    workdir.refuse_other_config(files, task.config, _compared(files))
    missing = f"--workdir {directory} {soundness.has_no_checkpoint(files)}."
    if not files.checkpoints.exists():
        raise UserError(missing)
    with contextlib.closing(Checkpoints(files, read_only=True)) as checkpoints:
        if checkpoints.latest_step is None:
            raise UserError(missing)
        step = checkpoints.best_step if best else checkpoints.latest_step
        if step is None:
            raise UserError(
                f"No checkpoint of --workdir {directory} was evaluated yet, so none is "
                "the best: use --checkpoint=latest."
            )
        # The threshold is of the evaluation, not of the weights.
        described = {k: v for k, v in task.description.items() if k != "threshold"}
        checkpoints.check_description(step, described)
        shapes = jax.eval_shape(task.init_variables, jax.random.key(0))
        abstract = abstract_like(shapes, sharding.replicated(mesh))
        return step, checkpoints.restore_variables(step, abstract, ema)


def _make_folder(report: str) -> pathlib.Path:
    folder = pathlib.Path(report).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return folder


def _compared(files: workdir.Workdir) -> tuple[str, ...]:
    """The sections of the run's config that an evaluation must have, too.

    Version 0.1 did not save the preprocessing that a run had from its weights. The
    checkpoint's description holds it.
    """
    config = workdir.read_config(files)
    is_left_out = config.init_from and config.preprocessing == Preprocessing()
    return ("model",) if is_left_out else ("model", "preprocessing")


def _write_report(
    task: Task, totals: dict[str, Any], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Writes the report of each set, on the first process."""
    if jax.process_index() != 0:
        return []
    try:
        written = [task.write_report(n, total, folder) for n, total in totals.items()]
    except OSError as error:
        raise _unwritable(folder, error) from None
    return [path for paths in written for path in paths]


def _unwritable(folder: pathlib.Path, error: OSError) -> UserError:
    return UserError(f"Cannot write to --report {folder}: {error.strerror or error}.")
