"""The folder of a sweep, damaged or by a stranger: each fault names its file."""

import concurrent.futures
import json
import os
import shutil

import pytest

from mobilenets import UserError
from mobilenets.profiling import latency
from mobilenets.profiling.latency import Latency
from mobilenets.sweeps import results
from mobilenets.sweeps.definition import Choices, Range, Sweep
from mobilenets.sweeps.report import command
from mobilenets.sweeps.results import Outcome, Reader

CONFIG = """
import pathlib
from configs import quickstart

def get_config():
    pathlib.Path({marker!r}).touch()
    return quickstart.get_config()
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep of two finished points, and what its config file touches when it runs."""
    folder = tmp_path_factory.mktemp("sweep")
    marker = folder / "ran"
    (folder / "config.py").write_text(CONFIG.format(marker=str(marker)))
    files = results.claim(
        str(folder / "sweep"),
        Sweep(
            config=str(folder / "config.py"),
            parameters={"model.width_multiplier": Choices(values=(0.25, 0.5))},
        ),
    )
    for number, values in enumerate(files.sweep.points):
        files.begin(number, values)
        record = {"step": 844, "val/ema/top1": 0.5 + number / 4}
        (files.point(number) / "metrics.jsonl").write_text(json.dumps(record) + "\n")
        files.end(number, Outcome(state="finished"))
    assert marker.exists()
    return files, marker


@pytest.fixture
def sweep(finished, tmp_path, monkeypatch):
    """A copy of it, in which latencies are made up; whoever measures is counted."""
    files, marker = finished
    shutil.copytree(files.path, tmp_path / "sweep")
    marker.unlink(missing_ok=True)
    measured = []

    def measure(nets, tell):
        measured.append(len(nets))
        return {name: Latency((0.002,)) for name in nets}

    monkeypatch.setattr(latency, "measure", measure)
    files = results.open_folder(str(tmp_path / "sweep"))
    return files, marker, measured


def test_a_report_runs_nothing_that_the_folder_names(sweep):
    files, marker, _ = sweep
    page = command.make(str(files.path), tell=print)
    assert not marker.exists()
    assert "75.00" in page.read_text()
    first, second = Reader(files).results()
    assert (first.accuracy, second.accuracy) == (0.5, 0.75)
    assert first.parameters < second.parameters
    assert first.total_steps == 844  # 6,000 images in batches of 128, 18 times


@pytest.mark.parametrize("content", ["{", '{"device": 3}', "[]", '{"seconds": {}}'])
def test_damaged_latencies_are_measured_again(sweep, content, monkeypatch):
    files, _, measured = sweep
    monkeypatch.setattr(command.page, "write", lambda *_: None)  # not looked at
    command.make(str(files.path), tell=print)
    command.make(str(files.path), tell=print)
    assert measured == [2]
    (files.report / "latency.json").write_text(content)
    command.make(str(files.path), tell=print)
    assert measured == [2, 2]
    assert json.loads((files.report / "latency.json").read_text())["seconds"]


def test_the_values_of_a_fixed_point_are_computed_again(sweep):
    files, _, _ = sweep
    (files.point(1) / "point.json").write_text("{")
    assert Reader(files).results()[1].values == {"model.width_multiplier": 0.5}


DAMAGE = ["{", "", "[]", "null", '"a"', "{}", '{"state": "done"}', "[" * 10**5, "\0"]


@pytest.mark.parametrize("content", DAMAGE)
@pytest.mark.parametrize("name", ["outcome.json", "plan.json"])
def test_a_damaged_file_of_a_point_is_named(sweep, name, content):
    files, _, _ = sweep
    file = files.point(1) / name
    file.write_text(content)
    with pytest.raises(UserError) as error:
        Reader(files).results()
    assert str(error.value).startswith(str(file))
    assert "Delete the file and run the same `mobilenets sweep` again" in str(
        error.value
    )


def test_a_plan_that_is_gone_is_written_again(sweep):
    files, _, _ = sweep
    before = files.plan(1)
    (files.point(1) / "plan.json").unlink()
    with pytest.raises(UserError, match=r"has no plan\.json: run the same"):
        command.make(str(files.path), tell=print)
    results.claim(str(files.path), files.sweep)
    assert files.plan(1) == before


def test_several_may_write_one_plan(sweep):
    files, _, _ = sweep
    plan = files.plan(0)

    def save(_):
        files.save_plan(0, plan)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(save, range(100)))
    assert files.plan(0) == plan


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_classes", -1),
        ("total_steps", -1),
        ("spec.backbone.stem_channels", 10**12),
        ("spec.backbone.resolution", 0),
        ("spec.backbone.blocks", []),
        ("spec.backbone.blocks.0.kernel_size", 4),
        ("headline", None),
    ],
)
def test_an_impossible_plan_is_refused(sweep, key, value):
    files, _, _ = sweep
    file = files.point(0) / "plan.json"
    plan = json.loads(file.read_text())
    *path, last = key.split(".")
    inner = plan
    for part in path:
        inner = inner[int(part) if part.isdigit() else part]
    inner[last] = value
    file.write_text(json.dumps(plan))
    with pytest.raises(UserError, match=r"plan\.json is damaged"):
        Reader(files).results()


@pytest.mark.parametrize("content", [*DAMAGE, '{"name": "a", "sweep": {}}'])
def test_a_damaged_sweep_is_named(sweep, content):
    files, _, _ = sweep
    (files.path / "sweep.json").write_text(content)
    with pytest.raises(UserError, match=r"sweep\.json (is damaged|is not JSON)"):
        results.open_folder(str(files.path))


def _range(high):
    return {"low": 0, "high": high}


def with_values(files, **changes):
    file = files.path / "sweep.json"
    claim = json.loads(file.read_text())
    claim["sweep"] |= changes
    file.write_text(json.dumps(claim))


@pytest.mark.parametrize(
    "changes",
    [
        {"search": "random", "trials": 10**12, "parameters": {"a": _range(1.0)}},
        {"parameters": {k: {"values": list(range(1000))} for k in "abcdef"}},
        {"search": "random", "trials": 3, "parameters": {"a": _range(10**400)}},
        {"parameters": {}},
        {"trials": -1},
    ],
)
def test_a_sweep_without_end_is_refused_at_once(sweep, changes):
    files, _, _ = sweep
    with_values(files, **changes)
    with pytest.raises(UserError, match=r"sweep\.json is damaged"):
        results.open_folder(str(files.path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
@pytest.mark.parametrize("name", ["sweep.json", "points/000/outcome.json"])
def test_a_pipe_is_not_waited_for(sweep, name):
    files, _, _ = sweep
    (files.path / name).unlink()
    os.mkfifo(files.path / name)
    with pytest.raises(UserError, match=f"{name} is not a regular file"):
        Reader(results.open_folder(str(files.path))).results()


def test_a_damaged_point_of_a_search_is_named(tmp_path):
    sweep = Sweep(
        config="configs/quickstart.py",
        parameters={"optimizer.learning_rate": Range(low=1e-3, high=1.0)},
        search="bayesian",
        trials=11,
    )
    files = results.claim(str(tmp_path), sweep)
    files.begin(10, {"optimizer.learning_rate": 0.25})
    for content in ("{", '{"learning_rate": 1}', "[]"):
        (files.point(10) / "point.json").write_text(content)
        with pytest.raises(UserError, match=r"010/point\.json .* Delete .*/points/010"):
            Reader(files).results()
