"""The candidates of a search as jobs for any number of workers.

Each worker goes through the same evolution. Whoever comes to a generation first lets
its candidates wait in the storage, and all take of them. So there is no worker on which
the others depend, and none whose end changes the search.
"""

import time
from collections.abc import Callable, Sequence

import optuna

from mobilenets.errors import UserError
from mobilenets.networks.search_space import Genes
from mobilenets.search.folder import Evaluated, Known, SearchFolder
from mobilenets.workers.processes import Workers
from mobilenets.workers.queue import Queue, open_storage, storage_errors

# A job costs about 50 ms of Optuna's own, so it has several candidates; and there are
# enough of them for six workers.
JOBS_OF_A_GENERATION = 6
# A worker that is taken for dead by mistake costs a second job, which finds all done.
GRACE_SECONDS = 1.0
POLL_SECONDS = 0.2
_CANDIDATES = "candidates"  # the attribute of a trial that holds the genes


class Jobs:
    """Evaluates candidates beside other workers, each candidate once.

    Args:
      files: of the search.
      url: of Optuna's storage.
      evaluate: what one candidate reaches.
      before: is called before each job; what it raises ends this worker.

    Raises:
      UserError: the storage cannot be used.
    """

    def __init__(
        self,
        files: SearchFolder,
        url: str,
        evaluate: Callable[[Genes], Evaluated],
        before: Callable[[], None] = lambda: None,
    ):
        self._files, self._evaluate_one, self._before = files, evaluate, before
        self._known = Known(files)
        self._asked = 0
        with storage_errors(), files.lock():
            study = optuna.create_study(
                study_name=files.name, storage=open_storage(url), load_if_exists=True
            )
        # Not of a job that another worker was faster to take.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._queue = Queue(
            study, files.job_lock, grace=GRACE_SECONDS, poll=POLL_SECONDS
        )

    def evaluate(self, candidates: Sequence[Genes]) -> list[Evaluated]:
        """Of each, in their order. All workers ask for the same in the same order.

        Raises:
          UserError: the storage is gone.
        """
        first = self._asked * JOBS_OF_A_GENERATION
        self._asked += 1
        jobs = {first + i: part for i, part in enumerate(_parts(candidates))}
        known = self._known.read()
        while not all(genes in known for genes in candidates):
            with storage_errors():
                self._add(jobs)
                self._queue.work(self._run)
            known = self._known.read()
        return [known[genes] for genes in candidates]

    def _add(self, jobs: dict[int, list[Genes]]) -> None:
        """Lets those wait that are not done, and that nobody has added."""
        with self._files.lock():
            queued, known = self._queue.unfinished(), self._known.read()
            for number, genes in jobs.items():
                is_done = all(one in known for one in genes)
                if not is_done and number not in queued:
                    self._queue.add(number, {}, **{_CANDIDATES: genes})

    def _run(self, trial: optuna.Trial, number: int) -> float:
        self._before()
        with self._files.job_lock(number):
            for genes in map(tuple, trial.user_attrs[_CANDIDATES]):
                if genes not in self._known.read():
                    self._files.add(self._evaluate_one(genes))
        return 0.0


def _parts(candidates: Sequence[Genes]) -> list[list[Genes]]:
    """The candidates of each job: those that begin alike are in one."""
    ordered = sorted(set(candidates))
    size = -(-len(ordered) // JOBS_OF_A_GENERATION)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def wait_for(
    files: SearchFolder, workers: Workers
) -> Callable[[Sequence[Genes]], list[Evaluated]]:
    """What looks like `Jobs.evaluate`, but leaves the work to workers here.

    It raises UserError if they end before they have evaluated all, and SystemExit if
    they were stopped.
    """
    found = Known(files)

    def evaluate(candidates: Sequence[Genes]) -> list[Evaluated]:
        while True:
            are_running = workers.are_running()
            known = found.read()
            if all(genes in known for genes in candidates):
                return [known[genes] for genes in candidates]
            if not are_running:
                break
            time.sleep(POLL_SECONDS)
        if workers.stopped:
            print("Stopped. Run the same command to resume.")
            raise SystemExit(128 + workers.stopped)
        raise UserError(
            f"The workers have ended before the search {workers.deaths}: see "
            f"{files.workers} for the reason. Run the same command to resume."
        )

    return evaluate
