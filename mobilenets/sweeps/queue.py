"""The points of a sweep as trials of an Optuna study, for any number of workers.

Every point is a trial that waits in the storage; a worker takes the first one. The
storage hears from each running trial every few seconds. One of which it does not is
that of a dead worker: it is marked as failed, and its copy waits for the next worker,
which goes on from the last checkpoint, as the folder is the point's.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import optuna
import sqlalchemy.exc

from mobilenets.errors import UserError
from mobilenets.sweeps.definition import (
    OBJECTIVES,
    STARTUP_TRIALS,
    Choices,
    Range,
    Sweep,
    Values,
)
from mobilenets.sweeps.results import SweepFolder

HEARTBEAT_SECONDS = 4
GRACE_SECONDS = 20  # a worker that is silent for so long is dead
POLL_SECONDS = 1.0

_SQLITE = {"connect_args": {"timeout": 60}}  # seconds for others to finish writing
_POINT = "point"  # the attribute of a trial that holds its point's number
# The heartbeat is called experimental; it has been there since Optuna 2.8.
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
_TrialState = optuna.trial.TrialState
_retry = optuna.storages.RetryHeartbeatStaleTrialCallback(
    inherit_intermediate_values=True
)


class _NothingWaits(Exception):
    """Another worker was faster: Optuna has made a new trial that is no point."""


def open_study(files: SweepFolder, url: str) -> optuna.Study:
    """The study of the sweep, with a trial for each of its points.

    Raises:
      UserError: the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep = files.sweep
    with files.lock():
        study = optuna.create_study(
            study_name=files.name,
            storage=_storage(url),
            load_if_exists=True,
            directions=[
                "maximize" if OBJECTIVES[o] else "minimize" for o in sweep.objectives
            ],
            pruner=optuna.pruners.MedianPruner(),
        )
        queued = {t.user_attrs.get(_POINT) for t in study.get_trials(deepcopy=False)}
        fixed = sweep.points
        for number in sorted(set(range(sweep.size)) - queued):
            values = fixed[number] if number < len(fixed) else {}
            study.enqueue_trial(_encoded(sweep, values), {_POINT: number})
    return study


def work(
    study: optuna.Study, sweep: Sweep, run: Callable[[optuna.Trial, int, Values], Any]
) -> None:
    """Takes one trial after the other, until all points are done.

    While others work on the last ones it waits, for what they may leave.

    Args:
      study: see `open_study`.
      sweep: what is run.
      run: is given a trial, the number of its point and its values; returns the values
        of the objectives. What it raises is logged, and the trial has failed.
    """
    taken: list[int] = []

    def objective(trial: optuna.Trial) -> Any:
        if _POINT not in trial.user_attrs:
            raise _NothingWaits
        taken.append(trial.number)
        # Two workers that know the same would choose the same, but for their seeds.
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            constant_liar=True,
            seed=sweep.seed + trial.number,
        )
        return run(trial, trial.user_attrs[_POINT], _suggest(sweep, trial))

    while _is_one_waiting(study):
        taken.clear()
        try:
            study.optimize(objective, n_trials=1, catch=(Exception,))
        except (KeyboardInterrupt, SystemExit):  # stopped; others may go on
            if taken:
                _put_back(study, taken[-1])
            raise
        except ValueError:
            # This machine slept, and was taken for dead: the trial is failed, its copy
            # will find what is done.
            pass


def _is_one_waiting(study: optuna.Study) -> bool:
    """Waits until there is a trial to take, or none runs that might be left."""
    while True:
        optuna.storages.fail_stale_trials(study)
        states = [
            trial.state
            for trial in study.get_trials(deepcopy=False)
            if _POINT in trial.user_attrs
        ]
        if _TrialState.WAITING in states:
            return True
        if _TrialState.RUNNING not in states:
            return False
        time.sleep(POLL_SECONDS)


def _put_back(study: optuna.Study, number: int) -> None:
    """Lets a copy of a trial that was interrupted wait in its place."""
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state is _TrialState.RUNNING:
        study.tell(number, state=_TrialState.FAIL)
    _retry(study, trial)


def _storage(url: str) -> optuna.storages.RDBStorage:
    try:
        return optuna.storages.RDBStorage(
            url,
            engine_kwargs=_SQLITE if url.startswith("sqlite") else None,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=_retry,
        )
    except ImportError as error:
        raise UserError(
            f"--storage needs a package that is not installed ({error}): for "
            "postgresql+psycopg://… it is pip install '.[postgresql]'."
        ) from None
    except sqlalchemy.exc.ArgumentError:
        raise UserError(
            "--storage must be a database URL, such as "
            "postgresql+psycopg://user:password@host/database."
        ) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise UserError(f"The storage cannot be used: {reason}.") from None


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
