"""Jobs as trials of an Optuna study, for any number of workers on any machines.

Every job is a trial that waits in the storage; a worker takes the first one. The
storage hears from each running trial every few seconds. One of which it does not is
that of a dead worker: it is marked as failed, and its copy waits for the next worker.
"""

import contextlib
import dataclasses
import datetime
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import filelock
import optuna
import sqlalchemy.engine
import sqlalchemy.exc
from optuna.trial import FrozenTrial

from mobilenets.errors import UserError

HEARTBEAT_SECONDS = 4
GRACE_SECONDS = 20  # a worker that is silent for so long is dead
POLL_SECONDS = 1.0
# The attribute of a trial that holds the number of its job. In storages it has been
# called so since there were only sweeps.
JOB = "point"

_SERVER = {"pool_pre_ping": True}  # a connection that was cut is made again
_SQLITE = {"connect_args": {"timeout": 60}}  # seconds for others to finish writing
# The heartbeat is called experimental; it has been there since Optuna 2.8.
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
_TrialState = optuna.trial.TrialState
_retry = optuna.storages.RetryHeartbeatStaleTrialCallback(
    inherit_intermediate_values=True
)

Run = Callable[[optuna.Trial, int], Any]


class _NothingWaits(Exception):
    """Another worker was faster: Optuna has made a new trial that is no job."""


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Optuna's tables in a database, made if there are none.

    Raises:
      UserError: the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with storage_errors(url):
        return optuna.storages.RDBStorage(
            url,
            engine_kwargs=_SQLITE if url.startswith("sqlite") else _SERVER,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=_retry,
        )


@contextlib.contextmanager
def storage_errors(url: str | None = None) -> Iterator[None]:
    """Errors of a storage that cannot be used, as sentences.

    Args:
      url: of a storage that is being opened; None if it has been.
    """
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
        if isinstance(error, RuntimeError) and type(error) is not RuntimeError:
            raise  # of JAX, in a job
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", cause)).strip().splitlines()[0]
        if url is None:
            which, remedy = "The storage", "What is done is not lost: run"
        else:
            shown = sqlalchemy.engine.make_url(url).render_as_string()  # no password
            which, remedy = f"The storage {shown}", "Correct the URL, or run"
        raise UserError(
            f"{which} cannot be used: {reason.rstrip('.')}. {remedy} the same command "
            "again when it can be used."
        ) from None


@dataclasses.dataclass(frozen=True)
class Queue:
    """The jobs of a study.

    Args:
      study: of a storage that `open_storage` has opened.
      lock: of a job, by its number: whoever runs the job holds it.
      catch: what a job may raise without ending its worker: it has failed then.
      grace: seconds after which a running job whose lock is free counts as left behind.
      poll: seconds between looks, while others work on the last jobs.
    """

    study: optuna.Study
    lock: Callable[[int], filelock.FileLock]
    catch: tuple[type[Exception], ...] = ()
    grace: float = GRACE_SECONDS
    poll: float = POLL_SECONDS

    def unfinished(self) -> set[int]:
        """The numbers of the jobs that wait or run."""
        return {
            trial.user_attrs[JOB]
            for trial in self._trials()
            if not trial.state.is_finished()
        }

    def add(self, number: int, parameters: dict[str, Any], **facts: Any) -> None:
        """Lets a job wait for a worker.

        Args:
          number: of the job.
          parameters: which its trial will suggest.
          **facts: the trial's `user_attrs`.
        """
        self.study.enqueue_trial(parameters, {JOB: number, **facts})

    def work(self, run: Run) -> None:
        """Takes one job after the other, until all are done.

        While others work on the last ones it waits, for what they may leave.

        Args:
          run: is given a trial and the number of its job; returns the values of the
            study's objectives.
        """
        taken: int | None = None
        raised: Exception | None = None

        def objective(trial: optuna.Trial) -> Any:
            nonlocal taken, raised
            if JOB not in trial.user_attrs:
                raise _NothingWaits
            taken = trial.number
            try:
                return run(trial, trial.user_attrs[JOB])
            except Exception as error:
                raised = error
                raise

        while self._is_one_waiting():
            taken = raised = None
            try:
                self.study.optimize(
                    objective, n_trials=1, catch=(*self.catch, _NothingWaits)
                )
            except (KeyboardInterrupt, SystemExit):  # stopped; others may go on
                if taken is not None:
                    self._put_back(taken)
                raise
            except Exception as error:
                if error is raised or taken is None:
                    raise
                # This machine slept, say, and was taken for dead: Optuna will not hear
                # of the trial any more. Its copy finds what is done.
                if not self._trial(taken).state.is_finished():
                    raise

    def _is_one_waiting(self) -> bool:
        """Waits until there is a trial to take, or none runs that might be left."""
        while True:
            optuna.storages.fail_stale_trials(self.study)
            trials = self._trials()
            if any(trial.state is _TrialState.WAITING for trial in trials):
                return True
            running = [trial for trial in trials if trial.state is _TrialState.RUNNING]
            if not running:
                return False
            for trial in running:
                if self._is_abandoned(trial):
                    self._put_back(trial.number)
            time.sleep(self.poll)

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        """Whether its worker is gone, though Optuna may not know it yet.

        It knows none that died before its first heartbeat. A worker holds the lock of
        its job.
        """
        started = trial.datetime_start
        if not started:
            return False
        if (datetime.datetime.now() - started).total_seconds() < self.grace:
            return False
        try:
            with self.lock(trial.user_attrs[JOB]).acquire(timeout=0):
                return True
        except (filelock.Timeout, OSError):  # it is held
            return False

    def _put_back(self, number: int) -> None:
        """Lets a copy of a trial that was interrupted wait in its place."""
        trial = self._trial(number)
        if trial.state is _TrialState.RUNNING:
            try:
                self.study.tell(number, state=_TrialState.FAIL)
            except ValueError:  # it has ended meanwhile
                return
        elif trial.state is not _TrialState.FAIL:  # it was done, after all
            return
        if trial.user_attrs[JOB] not in self.unfinished():
            _retry(self.study, trial)

    def _trials(self) -> list[FrozenTrial]:
        """Those that are jobs."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if JOB in trial.user_attrs]

    def _trial(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]
