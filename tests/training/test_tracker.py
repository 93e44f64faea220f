"""A tracker of the user's own receives what is logged, and never costs a run."""

import json

import pytest

from mobilenets import UserError
from mobilenets.runs.metric_log import read_metrics
from mobilenets.training.loop import train
from tests import toy_task

TRACKER = """
import json

def start(config, workdir):
    file = open(workdir / "tracked.jsonl", "a")
    file.write(json.dumps([config.batch_size, str(workdir)]) + "\\n")

    def track(step, metrics):
        if config.epochs == 3.0 and step == 2:
            raise ConnectionError("the network is down")
        file.write(json.dumps({"step": step, **metrics}) + "\\n")
        file.flush()

    return track

def nothing(config, workdir):
    pass
"""


@pytest.fixture
def tracker(tmp_path):
    path = tmp_path / "tracking.py"
    path.write_text(TRACKER)
    return str(path)


def run(tracker, tmp_path, **changes):
    config = toy_task.make_config(tracker=tracker, epochs=2.0, **changes)
    train(toy_task.ToyTask(config), str(tmp_path / "run"))


def tracked(tmp_path):
    lines = (tmp_path / "run/tracked.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_record_is_received(tracker, tmp_path):
    run(f"{tracker}:start", tmp_path)
    first, *records = tracked(tmp_path)
    assert first == [8, str(tmp_path / "run")]
    assert records == read_metrics(tmp_path / "run/metrics.jsonl")
    assert [r["step"] for r in records] == [1, 1, 2, 2]


def test_one_that_fails_ends_no_run(tracker, tmp_path, capsys):
    config = toy_task.make_config(tracker=f"{tracker}:start", epochs=3.0)
    train(toy_task.ToyTask(config), str(tmp_path / "run"))
    assert [r["step"] for r in tracked(tmp_path)[1:]] == [1, 1]
    assert read_metrics(tmp_path / "run/metrics.jsonl")[-1]["step"] == 3
    warnings = [x for x in capsys.readouterr().err.splitlines() if "warning" in x]
    assert len(warnings) == 1
    assert "the tracker fails with ConnectionError: the network is down" in warnings[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":strat", "has no function strat: did you mean start?"),
        (":nothing", "must return a function of the step and the numbers, but"),
        ("", r"tracker is '.*tracking\.py', but must be FILE\.py:FUNCTION or PACK"),
    ],
)
def test_mistakes_are_sentences(tracker, tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        run(f"{tracker}{name}", tmp_path)
