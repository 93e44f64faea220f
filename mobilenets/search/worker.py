"""A worker's process: `python -m mobilenets.search.worker FOLDER STORAGE PARENT`.

`mobilenets search --workers N` starts it. The supernet is trained and the latency table
is there.
"""

import functools
import pathlib
import sys
from typing import cast

from mobilenets.errors import UserError
from mobilenets.runtime import start_up
from mobilenets.search import exploration, folder
from mobilenets.search.evaluator import Evaluator
from mobilenets.search.jobs import Jobs
from mobilenets.tasks.registry import make_task
from mobilenets.tasks.supernet import Supernet
from mobilenets.workers import ending


def main(path: str, url: str, parent: int) -> None:
    """Goes through the search, and evaluates what waits.

    Args:
      path: the search's folder.
      url: of Optuna's storage.
      parent: see `ending.if_stopped`.
    """
    ending.by_signals()
    start_up.prepare_jax()
    files = folder.open_folder(pathlib.Path(path))
    task = cast(Supernet, make_task(files.config))
    table = folder.use_table(files, None)
    assert table, "the command that starts workers has measured it"
    tell = functools.partial(print, flush=True)
    evaluator = Evaluator(files, task, table, tell)
    jobs = Jobs(files, url, evaluator, lambda: ending.if_stopped(parent))
    exploration.explore(files.search, task.spec.counts, jobs.evaluate, tell)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except UserError as error:
        sys.exit(f"error: {error}")
