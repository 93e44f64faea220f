"""The points of a sweep as trials of an Optuna study, for any number of workers.

Every point is a trial that waits in the storage; a worker takes the first one. The
storage hears from each running trial every few seconds. One of which it does not is
that of a dead worker: it is marked as failed, and its copy waits for the next worker,
which goes on from the last checkpoint, as the folder is the point's.
"""

import contextlib
import datetime
import random
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import filelock
import optuna
import sqlalchemy.exc
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from mobilenets.errors import UserError
from mobilenets.sweeps.definition import (
    OBJECTIVES,
    STARTUP_TRIALS,
    Choices,
    Range,
    Sweep,
    Values,
)
from mobilenets.sweeps.results import PointExists, SweepFolder

HEARTBEAT_SECONDS = 4
GRACE_SECONDS = 20  # a worker that is silent for so long is dead
POLL_SECONDS = 1.0

_SERVER = {"pool_pre_ping": True}  # a connection that was cut is made again
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
    with _storage_errors(), files.lock():
        return _filled(files, open_storage(url))


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Optuna's tables in a database, made if there are none.

    Raises:
      UserError: the storage cannot be used.
    """
    with _storage_errors():
        return optuna.storages.RDBStorage(
            url,
            engine_kwargs=_SQLITE if url.startswith("sqlite") else _SERVER,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=_retry,
        )


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    """Errors of a storage that cannot be used, as sentences."""
    try:
        yield
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
    except (
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        RuntimeError,  # made by another version of Optuna
    ) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", cause)).strip().splitlines()[0]
        raise UserError(f"The storage cannot be used: {reason}.") from None


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
    trials = study.get_trials(deepcopy=False)
    queued = {t.user_attrs.get(_POINT) for t in trials if not t.state.is_finished()}
    for number in range(sweep.size):
        if number not in queued and files.outcome(number) is None:
            values = files.values(number) or {}
            study.enqueue_trial(_encoded(sweep, values), {_POINT: number})
    return study


def work(
    study: optuna.Study,
    files: SweepFolder,
    run: Callable[[optuna.Trial, int, Values], Any],
) -> None:
    """Takes one trial after the other, until all points are done.

    While others work on the last ones it waits, for what they may leave.

    Args:
      study: see `open_study`.
      files: of the sweep.
      run: is given a trial, the number of its point and its values; returns the values
        of the objectives. What it raises is logged, and the trial has failed.
    """
    sweep = files.sweep
    taken: int | None = None

    def objective(trial: optuna.Trial) -> Any:
        nonlocal taken
        if _POINT not in trial.user_attrs:
            raise _NothingWaits
        taken = trial.number
        # Two workers that know the same would choose the same, but for their seeds.
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            constant_liar=True,
            seed=sweep.seed + trial.number,
        )
        number = trial.user_attrs[_POINT]
        values = _suggest(sweep, trial)
        try:
            files.begin(number, values)
        except PointExists:  # among a few choices TPE draws its favourite again
            others = files.others(number)
            other = sweep.draw_other(others, random.Random(sweep.seed + trial.number))
            study.enqueue_trial(_encoded(sweep, other), {_POINT: number})
            raise
        return run(trial, number, values)

    while _is_one_waiting(study, files):
        taken = None
        try:
            study.optimize(objective, n_trials=1, catch=(Exception,))
        except (KeyboardInterrupt, SystemExit):  # stopped; others may go on
            if taken is not None:
                _put_back(study, taken)
            raise
        except Exception:
            # This machine slept, say, and was taken for dead: Optuna will not hear of
            # the trial any more. Its copy finds what is done.
            if taken is None or not _trial(study, taken).state.is_finished():
                raise


def _is_one_waiting(study: optuna.Study, files: SweepFolder) -> bool:
    """Waits until there is a trial to take, or none runs that might be left."""
    while True:
        optuna.storages.fail_stale_trials(study)
        trials = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if _POINT in trial.user_attrs
        ]
        if any(trial.state is _TrialState.WAITING for trial in trials):
            return True
        running = [trial for trial in trials if trial.state is _TrialState.RUNNING]
        if not running:
            return False
        for trial in running:
            if _is_abandoned(trial, files):
                _put_back(study, trial.number)
        time.sleep(POLL_SECONDS)


def _is_abandoned(trial: FrozenTrial, files: SweepFolder) -> bool:
    """Whether its worker died before its first heartbeat, of which Optuna knows none.

    A worker holds the lock of its point from then on.
    """
    started = trial.datetime_start
    if not started:
        return False
    if (datetime.datetime.now() - started).total_seconds() < GRACE_SECONDS:
        return False
    try:
        with files.point_lock(trial.user_attrs[_POINT]).acquire(timeout=0):
            return True
    except (filelock.Timeout, OSError):  # it is held
        return False


def _put_back(study: optuna.Study, number: int) -> None:
    """Lets a copy of a trial that was interrupted wait in its place."""
    trial = _trial(study, number)
    if trial.state is _TrialState.RUNNING:
        try:
            study.tell(number, state=_TrialState.FAIL)
        except ValueError:  # it has ended meanwhile
            return
    elif trial.state is not _TrialState.FAIL:  # it was done, after all
        return
    copies = [
        other
        for other in study.get_trials(deepcopy=False)
        if other.user_attrs.get(_POINT) == trial.user_attrs[_POINT]
        and not other.state.is_finished()
    ]
    if not copies:
        _retry(study, trial)


def _trial(study: optuna.Study, number: int) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[number]


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
