"""The queue of points, with runs that are made up."""

import math

import optuna
import pytest

from mobilenets import UserError
from mobilenets.sweeps import queue, results
from mobilenets.sweeps.definition import STARTUP_TRIALS, Choices, Range, Sweep
from mobilenets.workers import queue as workers_queue
from mobilenets.workers.queue import Queue

COMPLETE = optuna.trial.TrialState.COMPLETE
WAITING = optuna.trial.TrialState.WAITING


def make_sweep(**changes):
    choices = Choices(values=({"width_multiplier": 0.5}, {"width_multiplier": 1.0}))
    values = {
        "config": "configs/quickstart.py",
        "parameters": {"model": choices, "seed": Choices(values=(3, 1, 2))},
    }
    return Sweep(**(values | changes))


@pytest.fixture
def begin(tmp_path):
    """The folder of a sweep, and its study, opened as a worker does."""

    def begin(**changes):
        files = results.claim(str(tmp_path / "sweep"), make_sweep(**changes))
        return files, queue.open_study(files, files.storage_url)

    return begin


def of_points(study, state):
    return [t for t in study.trials if t.state is state and "point" in t.user_attrs]


def test_every_point_is_run_once_with_its_values(begin):
    files, study = begin()
    taken = []
    queue.work(study, files, lambda trial, *point: taken.append(point) or 0.5)
    assert taken == list(enumerate(files.sweep.points))
    assert len(of_points(study, COMPLETE)) == 6


def test_two_workers_share_the_points(begin):
    files, first = begin()
    second = queue.open_study(files, files.storage_url)
    taken = []

    def slow(trial, number, values):
        taken.append(("first", number))
        if number == 0:  # meanwhile the other one works
            queue_of_second = of_points(second, WAITING)
            assert len(queue_of_second) == 5
            second.optimize(fast, n_trials=3)
        return 0.0

    def fast(trial):
        taken.append(("second", trial.user_attrs["point"]))
        return 0.0

    queue.work(first, files, slow)
    assert sorted(number for _, number in taken) == list(range(6))
    assert [number for who, number in taken if who == "second"] == [1, 2, 3]


def test_a_worker_that_comes_too_late_for_the_last_point_runs_nothing(
    begin, monkeypatch
):
    files, study = begin()
    queue.work(study, files, lambda *_: 0.0)
    late = iter([True, False])  # "one waits", but another worker takes it
    monkeypatch.setattr(Queue, "_is_one_waiting", lambda _: next(late))
    ran = []
    queue.work(study, files, lambda *point: ran.append(point))
    assert not ran
    assert len(of_points(study, COMPLETE)) == 6


def test_what_was_queued_by_halves_is_completed(begin, monkeypatch):
    enqueue, left = optuna.Study.enqueue_trial, [2]

    def dies(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        enqueue(*arguments)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", dies)
    with pytest.raises(KeyboardInterrupt):
        begin()
    monkeypatch.undo()
    _, study = begin()
    points = [trial.user_attrs["point"] for trial in study.trials]
    assert points == list(range(6))


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_an_interrupted_point_waits_again(begin, stop):
    files, study = begin()

    def run(trial, number, values):
        if number == 2:
            raise stop
        return 0.0

    with pytest.raises(stop):
        queue.work(study, files, run)
    waiting = [trial.user_attrs["point"] for trial in of_points(study, WAITING)]
    assert sorted(waiting) == [2, 3, 4, 5]
    taken = []
    queue.work(study, files, lambda trial, *point: taken.append(point) or 0.0)
    assert sorted(number for number, _ in taken) == [2, 3, 4, 5]
    assert all(values == files.sweep.points[number] for number, values in taken)


def test_a_point_that_fails_does_not_stop_the_others(begin):
    files, study = begin()

    def run(trial, number, values):
        if number == 1:
            raise RuntimeError("diverged")
        return 0.0

    queue.work(study, files, run)
    assert len(of_points(study, COMPLETE)) == 5
    assert len(of_points(study, optuna.trial.TrialState.FAIL)) == 1


def test_what_failed_without_a_result_is_queued_again(begin):
    files, study = begin()

    def run(trial, number, values):
        if number != 2:
            state = "failed" if number == 1 else "finished"
            files.end(number, results.Outcome(state=state))
        if number in (1, 2):
            raise OSError("the disk is full")
        return 0.0

    queue.work(study, files, run)
    _, study = begin()
    assert [t.user_attrs["point"] for t in of_points(study, WAITING)] == [2]


def test_a_worker_that_was_taken_for_dead_goes_on(begin):
    files, study = begin()
    other = queue.open_study(files, files.storage_url)
    ran = []

    def run(trial, number, values):
        ran.append(number)
        if ran.count(0) == 1 and number == 0:  # it sleeps, and the other gives it up
            other.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            workers_queue._retry(other, other.trials[trial.number])
        return 0.5

    queue.work(study, files, run)
    assert sorted(ran) == [0, 0, 1, 2, 3, 4, 5]
    assert len(of_points(study, COMPLETE)) == 6


def test_a_trial_without_a_heartbeat_is_put_back_unless_its_worker_lives(
    begin, monkeypatch
):
    files, study = begin()
    with pytest.warns(UserWarning):  # ask starts no heartbeat
        trial = study.ask()
    frozen = study.trials[trial.number]
    files.begin(0, files.sweep.points[0])
    with files.point_lock(0):
        assert not Queue(study, files.point_lock, grace=0)._is_abandoned(frozen)
    assert not Queue(study, files.point_lock, grace=60)._is_abandoned(frozen)
    points = Queue(study, files.point_lock, grace=0)
    monkeypatch.setattr(queue, "_points", lambda *_: points)
    ran = []
    queue.work(study, files, lambda trial, number, values: ran.append(number) or 0.0)
    assert sorted(ran) == list(range(6))


def test_another_storage_takes_the_values_that_a_search_had_chosen(begin, tmp_path):
    parameters = {"optimizer.learning_rate": Range(low=1e-5, high=1.0, log=True)}
    files, study = begin(parameters=parameters, search="bayesian", trials=13)
    first, second = {}, {}

    def run(trial, number, values):
        first[number] = values
        return values["optimizer.learning_rate"]

    queue.work(study, files, run)
    other = queue.open_study(files, f"sqlite:///{tmp_path}/other.db")
    queue.work(other, files, lambda t, n, values: second.update({n: values}) or 0.0)
    assert first == second and len(first) == 13


def test_a_bayesian_search_begins_with_the_fixed_points_and_then_learns(begin):
    parameters = {"optimizer.learning_rate": Range(low=1e-5, high=1.0, log=True)}
    files, study = begin(parameters=parameters, search="bayesian", trials=40)
    taken = []

    def run(trial, number, values):
        taken.append(values)
        # The best is at 1e-3.
        return -abs(math.log10(values["optimizer.learning_rate"]) + 3)

    queue.work(study, files, run)
    assert taken[:STARTUP_TRIALS] == files.sweep.points
    assert len(taken) == 40
    distances = [abs(math.log10(v["optimizer.learning_rate"]) + 3) for v in taken]
    # At random they would be (2**2 / 2 + 3**2 / 2) / 5 = 1.3 decades away, on average.
    assert sum(distances[-15:]) / 15 < 1.3 / 2


def test_a_search_among_choices_runs_each_once(begin):
    parameters = {
        "model.width_multiplier": Choices(values=(0.25, 0.5, 0.75, 1.0)),
        "batch_size": Choices(values=(16, 32, 64)),
    }
    files, study = begin(parameters=parameters, search="bayesian", trials=12)
    taken = []

    def run(trial, number, values):
        taken.append((number, tuple(values.values())))
        return values["model.width_multiplier"]  # what TPE would draw ever again

    queue.work(study, files, run)
    assert sorted(number for number, _ in taken) == list(range(12))
    assert len({values for _, values in taken}) == 12
    assert all(files.values(number) is not None for number in range(12))


def test_a_point_whose_outcome_was_deleted_is_queued_again(begin):
    files, study = begin()
    queue.work(study, files, lambda trial, number, values: 0.0)
    for number in range(5):
        files.end(number, results.Outcome(state="finished"))
    again = queue.open_study(files, files.storage_url)
    (waiting,) = of_points(again, WAITING)
    assert waiting.user_attrs["point"] == 5


def test_a_search_for_two_things_finds_their_front(begin):
    files, study = begin(objectives=("accuracy", "madds"))
    assert [direction.name for direction in study.directions] == [
        "MAXIMIZE",
        "MINIMIZE",
    ]
    queue.work(study, files, lambda trial, number, values: [number, number])
    assert len(study.best_trials) == 6  # each costs more and is better


def test_a_poor_training_is_pruned(begin):
    seeds = Choices(values=tuple(range(8)))
    files, study = begin(prune=True, parameters={"seed": seeds})
    steps = []

    def run(trial, number, values):
        for step in (1, 2, 3):
            steps.append((number, step))
            trial.report(0.1 if number == 7 else 0.5 + number / 100, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 0.5

    queue.work(study, files, run)
    assert [step for number, step in steps if number == 7] == [1]
    (pruned,) = of_points(study, optuna.trial.TrialState.PRUNED)
    assert pruned.user_attrs["point"] == 7


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("trials.db", "must be a database URL"),
        ("sqlite:////no/such/folder/trials.db", "cannot be used: unable to open"),
        ("postgresql+nodriver://host/db", r"--storage"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/db", "cannot be used: "),
    ],
)
def test_a_storage_that_cannot_be_used_is_met_with_a_sentence(tmp_path, url, sentence):
    files = results.claim(str(tmp_path / "sweep"), make_sweep())
    with pytest.raises(UserError, match=sentence) as error:
        queue.open_study(files, url)
    assert "secret" not in str(error.value)
