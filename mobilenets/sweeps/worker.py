"""A worker's process: `python -m mobilenets.sweeps.worker FOLDER STORAGE PARENT`.

`mobilenets sweep` starts it.
"""

import sys
import traceback
from typing import Any

import jax
import optuna

from mobilenets.errors import UserError
from mobilenets.evaluation.evaluator import Results
from mobilenets.profiling import latency
from mobilenets.runtime import start_up
from mobilenets.sweeps import queue, results
from mobilenets.sweeps.definition import Values
from mobilenets.sweeps.results import Outcome, SweepFolder
from mobilenets.training import loop
from mobilenets.workers import ending


def main(path: str, url: str, parent: int) -> None:
    """Trains one point after the other, until all are done.

    Args:
      path: the sweep's folder.
      url: of Optuna's storage.
      parent: the process that has started this one. If it was killed, this one ends at
        the next evaluation: who starts the command again has no more workers than
        asked for.
    """
    ending.by_signals()
    start_up.prepare_jax()
    files = results.open_folder(path)

    def run(trial: optuna.Trial, number: int, values: Values) -> list[float]:
        ending.if_stopped(parent)
        print(f"Point {number}: {dict(values)}", flush=True)
        jax.clear_caches()  # of the programs of the point before
        with files.point_lock(number):
            outcome = files.outcome(number)  # if a worker died before it could tell
            if outcome is None:
                outcome = _train(files, trial, number, values, parent)
                files.end(number, outcome)
            return _objectives(files, number, values, outcome)

    queue.work(queue.open_study(files, url), files, run)


def _train(
    files: SweepFolder,
    trial: optuna.Trial,
    number: int,
    values: Values,
    parent: int,
) -> Outcome:
    """Trains a point from its last checkpoint, if any."""
    try:
        files.check_config()
    except UserError as error:  # no point can be run; others may be here
        sys.exit(f"error: {error}")

    try:
        planned, task = results.prepare(files.sweep, values)
        files.save_plan(number, planned)

        def after_evaluation(step: int, evaluated: Results) -> None:
            ending.if_stopped(parent)
            if files.sweep.prune and step < planned.total_steps:
                # By their number, as batches of other sizes make other steps.
                number_done = len(files.evaluations(number, planned.headline))
                trial.report(evaluated["val"]["ema"][planned.headline], number_done)
                if trial.should_prune():
                    raise optuna.TrialPruned

        loop.train(task, str(files.point(number)), after_evaluation)
        return Outcome(state="finished", latency=_latency(files, planned))
    except optuna.TrialPruned:
        return Outcome(state="pruned")
    except optuna.exceptions.OptunaError:  # of the storage, not of the training
        raise
    except Exception as error:
        traceback.print_exc()
        return Outcome(state="failed", error=str(error) or type(error).__name__)


def _latency(files: SweepFolder, planned: results.Run) -> float | None:
    """Seconds, if the sweep looks for it."""
    if "latency" not in files.sweep.objectives:
        return None
    nets = {"": latency.Net(planned.spec, planned.num_classes)}
    return latency.measure(nets)[""].median


def _objectives(
    files: SweepFolder, number: int, values: Values, outcome: Outcome
) -> list[float]:
    """The values of the objectives, in their order.

    Raises:
      optuna.TrialPruned: the training was ended early.
      RuntimeError: it has failed.
    """
    if outcome.state == "pruned":
        raise optuna.TrialPruned
    if outcome.state == "failed":
        raise RuntimeError(outcome.error)
    planned = results.plan(files.sweep, values)
    facts: dict[str, Any] = {
        "accuracy": files.evaluations(number, planned.headline)[-1],
        "latency": outcome.latency,
        "madds": planned.madds,
        "parameters": planned.parameters,
    }
    return [facts[objective] for objective in files.sweep.objectives]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
