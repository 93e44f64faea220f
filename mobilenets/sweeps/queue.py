"""The points of a sweep as jobs for any number of workers.

A point has a folder. So the worker that takes up a point whose worker has died resumes
from its last checkpoint.
"""

import random
from collections.abc import Callable
from typing import Any

import optuna
from optuna.study import StudyDirection

from mobilenets.sweeps.definition import (
    OBJECTIVES,
    STARTUP_TRIALS,
    Choices,
    Range,
    Sweep,
    Values,
)
from mobilenets.sweeps.results import PointExists, SweepFolder
from mobilenets.workers.queue import Queue, open_storage, storage_errors


def open_study(files: SweepFolder, url: str) -> optuna.Study:
    """The study of the sweep, with a trial for each of its points.

    Raises:
      UserError: the storage cannot be used.
    """
    with storage_errors(), files.lock():
        return _filled(files, open_storage(url))


def _filled(files: SweepFolder, storage: optuna.storages.RDBStorage) -> optuna.Study:
    """The study; a point that has neither a result nor a trial is queued again."""
    sweep = files.sweep
    maximize, minimize = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    directions = [maximize if OBJECTIVES[o] else minimize for o in sweep.objectives]
    study = optuna.create_study(
        study_name=files.name,
        storage=storage,
        load_if_exists=True,
        directions=directions,
        pruner=optuna.pruners.MedianPruner(),
    )
    points = _points(study, files)
    queued = points.unfinished()
    for number in range(sweep.size):
        if number not in queued and files.outcome(number) is None:
            points.add(number, _encoded(sweep, files.values(number) or {}))
    return study


def _points(study: optuna.Study, files: SweepFolder) -> Queue:
    """The points as jobs; one that fails does not end its worker."""
    return Queue(study, files.point_lock, catch=(Exception,))


def work(
    study: optuna.Study,
    files: SweepFolder,
    run: Callable[[optuna.Trial, int, Values], Any],
) -> None:
    """Takes one point after the other; see `Queue.work`.

    Args:
      study: see `open_study`.
      files: of the sweep.
      run: is given a trial, the number of its point and its values; returns the values
        of the objectives. What it raises is logged, and the trial has failed.
    """
    sweep, points = files.sweep, _points(study, files)

    def run_point(trial: optuna.Trial, number: int) -> Any:
        # Two workers that know the same would choose the same, but for their seeds.
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            constant_liar=True,
            seed=sweep.seed + trial.number,
        )
        values = _suggest(sweep, trial)
        try:
            files.begin(number, values)
        except PointExists:  # among a few choices TPE draws its favourite again
            others = files.others(number)
            other = sweep.draw_other(others, random.Random(sweep.seed + trial.number))
            points.add(number, _encoded(sweep, other))
            raise
        return run(trial, number, values)

    points.work(run_point)


def _encoded(sweep: Sweep, values: Values) -> dict[str, Any]:
    """The values as Optuna's parameters: those of choices by their position.

    A choice may be a dict, which Optuna does not store.
    """
    return {
        key: parameter.values.index(values[key])
        if isinstance(parameter := sweep.parameters[key], Choices)
        else values[key]
        for key in values
    }


def _suggest(sweep: Sweep, trial: optuna.Trial) -> Values:
    """The values of a trial: those it was queued with, or new ones of the search."""
    return {key: _suggest_one(key, p, trial) for key, p in sweep.parameters.items()}


def _suggest_one(key: str, parameter: Choices | Range, trial: optuna.Trial) -> Any:
    if isinstance(parameter, Choices):
        positions = range(len(parameter.values))
        return parameter.values[trial.suggest_categorical(key, list(positions))]
    low, high, log = parameter.low, parameter.high, parameter.log
    if parameter.is_integer:
        return trial.suggest_int(key, int(low), int(high), log=log)
    return trial.suggest_float(key, low, high, log=log)
