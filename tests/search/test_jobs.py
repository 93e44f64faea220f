"""Candidates as jobs, with an evaluation that is made up."""

import sqlite3
import threading
import time

import optuna
import pytest

from mobilenets import UserError
from mobilenets.config import check, files
from mobilenets.search import exploration, folder
from mobilenets.search import jobs as module
from mobilenets.search.definition import Search
from mobilenets.search.folder import Evaluated, Known
from mobilenets.search.jobs import Jobs
from mobilenets.workers.queue import open_storage

COUNTS = (4, 4, 4)
SEARCH = Search(supernet="any", population=7, generations=2, seed=1)


def reach(genes):
    """More accurate, but slower, the larger the genes; never the same twice."""
    total = sum(gene * 4**i for i, gene in enumerate(genes))
    return Evaluated(genes, (1 + sum(genes)) / 20, 1.0 + total % 7, total, total, total)


@pytest.fixture
def begin(tmp_path):
    """The folder of a search that has begun."""

    def begin(name="search"):
        config = check.check(files.read("quickstart"))
        return folder.claim(str(tmp_path / name), SEARCH, config)

    return begin


def explore(files, evaluate=reach):
    jobs = Jobs(files, files.storage_url, evaluate)
    return exploration.explore(SEARCH, COUNTS, jobs.evaluate, lambda line: None)


def alone():
    """What is explored without any queue."""
    return exploration.explore(
        SEARCH, COUNTS, lambda ones: list(map(reach, ones)), lambda line: None
    )


def lines(files):
    return files.evaluated.read_text().splitlines()


def test_one_worker_explores_what_no_queue_does(begin):
    files = begin()
    assert explore(files) == alone()
    assert len(lines(files)) == len(set(lines(files))) == len(Known(files).read())


def test_three_workers_share_the_work_and_change_nothing(begin):
    files, explored, shares = begin(), [], [[], [], []]

    def work(share):
        def slow(genes):
            share.append(genes)
            time.sleep(0.02)
            return reach(genes)

        explored.append(explore(files, slow))

    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert explored == [alone()] * 3
    done = [genes for share in shares for genes in share]
    assert len(done) == len(set(done)) == len(lines(files))
    assert all(shares)


class Killed(BaseException):
    """What a process does not survive."""


def test_a_worker_that_is_killed_within_a_job_changes_nothing(begin):
    """The trial runs on in the storage, without a lock, and half a line is left."""
    files, left = begin(), [5]

    def dies(genes):
        left[0] -= 1
        if not left[0]:
            raise Killed
        return reach(genes)

    with pytest.raises(Killed):
        explore(files, dies)
    with files.evaluated.open("a") as file:
        file.write('{"genes": [0, 1')
    study = optuna.load_study(study_name=files.name, storage=files.storage_url)
    running = [t for t in study.trials if t.state is optuna.trial.TrialState.RUNNING]
    assert len(running) == 1
    again = []
    assert explore(files, lambda g: again.append(g) or reach(g)) == alone()
    assert len(lines(files)) == len(set(lines(files))) == 4 + len(again)


def test_what_a_finished_search_has_is_not_evaluated_again(begin):
    files = begin()
    expected = explore(files)
    # Another storage knows of nothing; the folder does.
    jobs = Jobs(files, f"sqlite:///{files.path}/other.db", None)
    found = exploration.explore(SEARCH, COUNTS, jobs.evaluate, lambda line: None)
    assert found == expected


def test_an_evaluation_that_fails_says_why_and_can_be_repeated(begin):
    files = begin()

    def fails(genes):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        explore(files, fails)
    assert explore(files) == alone()


def test_a_storage_that_is_gone_is_a_sentence_and_nothing_is_lost(begin):
    files = begin()
    jobs = Jobs(files, files.storage_url, reach)
    jobs.evaluate([(0, 0, 0), (1, 1, 1)])
    with sqlite3.connect(files.path / "trials.db") as database:
        database.execute("DROP TABLE trials")
    with pytest.raises(UserError, match="The storage cannot be used: no such table"):
        jobs.evaluate([(2, 2, 2)])
    assert set(Known(files).read()) == {(0, 0, 0), (1, 1, 1)}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "sqlite:///{}/none/trials.db",
            "sqlite:///{}/none/trials.db cannot be used: un",
        ),
        (
            "postgresql+psycopg://me:secret@localhost:1/x",
            "postgresql+psycopg://me:***@localhost:1/x cannot be used: ",
        ),
    ],
)
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(
    url, shown, tmp_path
):
    with pytest.raises(UserError) as raised:
        open_storage(url.format(tmp_path))
    message = str(raised.value)
    assert shown.format(tmp_path) in message and "secret" not in message
    assert "Correct the URL" in message


def test_jobs_have_all_candidates_and_those_that_begin_alike_together():
    candidates = [(i % 4, i // 4, 0) for i in range(16)]
    parts = module._parts(candidates)
    assert [genes for part in parts for genes in part] == sorted(candidates)
    assert len(parts) == 6  # 16 in threes
    assert module._parts([(0, 0, 0)]) == [[(0, 0, 0)]]


class Ended:
    """Workers that have ended."""

    def __init__(self, stopped=None):
        self.stopped = stopped
        self.deaths = "(killed by SIGKILL)"

    def are_running(self):
        return False


def test_workers_that_end_too_early_are_told_and_so_is_a_stop(begin):
    files = begin()
    files.add(reach((0, 0, 0)))
    assert module.wait_for(files, Ended())([(0, 0, 0)]) == [reach((0, 0, 0))]
    with pytest.raises(UserError, match=r"ended before the search .killed by SIGKILL."):
        module.wait_for(files, Ended())([(1, 0, 0)])
    with pytest.raises(SystemExit) as end:
        module.wait_for(files, Ended(stopped=15))([(1, 0, 0)])
    assert end.value.code == 143


def test_a_damaged_line_is_named(begin):
    files = begin()
    files.add(reach((0, 0, 0)))
    files.evaluated.write_text(files.evaluated.read_text() + "{}\n")
    with pytest.raises(UserError, match="line 2 is damaged"):
        Known(files).read()
