"""Runs are compared by what their folders hold."""

import csv
import dataclasses
import json
import pathlib
import shutil

import jax
import pytest

from mobilenets import UserError
from mobilenets.config import files
from mobilenets.inference.description import from_values
from mobilenets.networks import complexity
from mobilenets.profiling import latency
from mobilenets.profiling.latency import Latency
from mobilenets.runs.metric_log import read_metrics
from mobilenets.sweeps.report import compare, latencies, training_panel
from mobilenets.sweeps.report.entries import group
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests import small_model
from tests.sweeps.made_up import result

SMALL = small_model.VALUES | {"epochs": 0.25, "evaluate_every_epochs": 0.25}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs of one name, of a network that compiles in seconds."""
    folder = tmp_path_factory.mktemp("runs")
    config = files.configuration("quickstart:smoke", SMALL)
    train(make_task(config), str(folder / "a/run"))
    shutil.copytree(folder / "a/run", folder / "b/run")
    return folder


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """Every measurement: the networks of it. Each takes as long as its pixels."""
    calls = []

    def measure(nets, tell):
        calls.append(list(nets.values()))
        return {
            name: Latency((net.spec.resolution / 1e4,)) for name, net in nets.items()
        }

    monkeypatch.setattr(latency, "measure", measure)
    return calls


def rows(folder):
    with (folder / "points.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_numbers_are_those_of_the_runs(runs, tmp_path, measured, monkeypatch):
    monkeypatch.setattr(compare.Checkpoints, "is_finished", lambda self, step: False)
    config = json.loads((runs / "b/run/config.json").read_text())
    config["epochs"] = 9.0  # as if it were to be trained for longer
    longer = tmp_path / "run"
    shutil.copytree(runs / "b/run", longer)
    (longer / "config.json").write_text(json.dumps(config))
    paths = [str(runs / "a/run"), str(longer), f"{longer}/"]
    page = compare.make(paths, str(tmp_path / "out"), print)
    first, second = rows(tmp_path / "out")
    assert (first["folder"], second["folder"]) == (paths[0], paths[1])
    assert (first["state"], second["state"]) == ("finished", "unfinished")
    task = make_task(files.configuration("quickstart:smoke", SMALL))
    spec = from_values(task.description).network
    accuracy = read_metrics(runs / "a/run/metrics.jsonl")[-1]["val/ema/top1"]
    for row in (first, second):
        assert int(row["parameters"]) == complexity.params(spec, 10)
        assert int(row["madds"]) == complexity.madds(spec, 10)
        assert float(row["accuracy"]) == accuracy
        assert float(row["latency_ms"]) == 3.2
    assert measured == [[latency.Net(spec, 10)]]  # they are one network
    assert "2: 1 finished, 1 unfinished" in page.read_text()
    compare.make(paths, str(tmp_path / "out"), print)
    assert len(measured) == 1  # it is kept


def test_folders_name_the_runs_where_they_can():
    assert compare._names(["x/a", "y/b/"]) == ["a", "b"]
    assert compare._names(["x/a", "y/a", "c"]) == ["x/a", "y/a", "c"]


def test_a_new_network_is_measured_with_all_others(tmp_path, measured):
    from mobilenets import get_spec

    small, large = (
        latency.Net(get_spec("mobilenet_v1", resolution=n)) for n in (32, 64)
    )
    kept = tmp_path / "latency.json"
    assert latencies.of({}, kept, print) == {}
    assert latencies.of({5: small}, kept, print) == {5: 0.0032}
    both = latencies.of({0: large, 1: small, 2: large}, kept, print)
    assert both == {0: 0.0064, 1: 0.0032, 2: 0.0064}
    assert latencies.of({7: large}, kept, print) == {7: 0.0064}
    assert measured == [[small], [large, small]]
    other = json.loads(kept.read_text()) | {"device": "another"}
    kept.write_text(json.dumps(other))
    latencies.of({7: large}, kept, print)
    assert measured[2:] == [[large]]
    assert jax.devices()[0].device_kind in kept.read_text()


def test_the_curve_is_of_the_headline():
    key = "val/ema/mAP"
    records = [{"step": 5, key: 0.25, "val/ema/top1": 0.9}]
    (entry,) = group([result(0, headline=key, records=records)], {})
    assert [e.percent for e in training_panel.evaluations(entry)] == [25]


def test_runs_of_two_tasks_are_refused(runs, tmp_path, monkeypatch):
    read = compare._read

    def read_other(path):
        found = read(path)
        task = "multilabel" if "b" in pathlib.Path(path).parts else "classification"
        changed = found.description.model_copy(update={"task": task})
        headline = {"classification": "top1", "multilabel": "mAP"}[task]
        return dataclasses.replace(found, description=changed, headline=headline)

    monkeypatch.setattr(compare, "_read", read_other)
    with pytest.raises(UserError) as error:
        compare.make(
            [str(runs / "a/run"), str(runs / "b/run")], str(tmp_path / "o"), print
        )
    assert str(error.value) == (
        f"{runs}/a/run and {runs}/b/run cannot be compared: the one is a "
        "classification with top1, the other a multilabel with mAP."
    )
    assert not (tmp_path / "o").exists()


def test_mistakes_are_sentences(runs, tmp_path, run):
    a, b = runs / "a/run", runs / "b/run"
    (tmp_path / "file").write_text("")
    for words, sentence in (
        ([a, a, "--output", tmp_path], "One run alone cannot be compared: give two or"),
        ([a, "/nowhere", "--output", tmp_path], "/nowhere holds no run"),
        ([a, b], "Missing option '--output'"),
        (["--output", tmp_path], "Missing argument"),
        ([a, b, "--output", a], f"--output {a} is the folder of a run: use another"),
        ([a, b, "--output", tmp_path / "file"], "Cannot write to --output"),
    ):
        ended = run("compare", *words)
        assert ended.exit_code in (1, 2)
        assert sentence in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
