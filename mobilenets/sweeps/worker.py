"""A worker's process: `python -m mobilenets.sweeps.worker FOLDER STORAGE`.

`mobilenets sweep` starts it.
"""

import sys
import traceback
from typing import Any

import jax
import optuna

from mobilenets import launch
from mobilenets.sweeps import queue, results
from mobilenets.sweeps.definition import Values
from mobilenets.sweeps.results import Outcome, SweepFolder
from mobilenets.tasks.registry import make_task
from mobilenets.training import loop, workdir
from mobilenets.training.metric_log import read_metrics


def main(path: str, url: str) -> None:
    """Trains one point after the other, until all are done."""
    launch.prepare_jax()
    files = results.open_folder(path)
    study = queue.open_study(files, url)

    def run(trial: optuna.Trial, number: int, values: Values) -> list[float]:
        print(f"Point {number}: {dict(values)}", flush=True)
        files.begin(number, values)
        jax.clear_caches()  # of the programs of the point before
        with files.point_lock(number):
            if files.outcome(number) is None:  # else a worker died before it could tell
                files.end(number, _train(files, trial, number, values))
        return _objectives(files, number, values)

    queue.work(study, files.sweep, run)


def _train(
    files: SweepFolder, trial: optuna.Trial, number: int, values: Values
) -> Outcome:
    """Trains a point from its last checkpoint, if any."""
    sweep = files.sweep
    planned = results.plan(sweep, values)

    def after_evaluation(step: int, evaluated: loop.Results) -> None:
        if sweep.prune:
            trial.report(evaluated["ema"][planned.headline], step)
            if trial.should_prune():
                raise optuna.TrialPruned

    try:
        task = make_task(planned.config)
        loop.train(task, planned.config, str(files.point(number)), after_evaluation)
    except optuna.TrialPruned:
        return Outcome(state="pruned")
    except Exception as error:
        traceback.print_exc()
        return Outcome(state="failed", error=str(error) or type(error).__name__)
    return Outcome(state="finished", latency=_latency(files, planned))


def _latency(files: SweepFolder, planned: results.Run) -> float | None:
    """Seconds, if the sweep looks for it."""
    if "latency" not in files.sweep.objectives:
        return None
    from mobilenets import latency

    nets = {"": latency.Net(planned.spec, planned.num_classes)}
    return latency.measure(nets)[""].median


def _objectives(files: SweepFolder, number: int, values: Values) -> list[float]:
    """The values of the objectives, in their order.

    Raises:
      optuna.TrialPruned: the training was ended early.
      RuntimeError: it has failed.
    """
    outcome = files.outcome(number)
    assert outcome
    if outcome.state == "pruned":
        raise optuna.TrialPruned
    if outcome.state == "failed":
        raise RuntimeError(outcome.error)
    planned = results.plan(files.sweep, values)
    records = read_metrics(workdir.Workdir(files.point(number)).metrics)
    facts: dict[str, Any] = {
        "accuracy": results.accuracy(records, planned.headline),
        "latency": outcome.latency,
        "madds": planned.madds,
        "parameters": planned.parameters,
    }
    return [facts[objective] for objective in files.sweep.objectives]


if __name__ == "__main__":
    main(*sys.argv[1:])
