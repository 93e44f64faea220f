"""`mobilenets eval` as a user types it: of a run, and of weights without one."""

import csv
import json

import numpy as np
import pytest

from mobilenets.config import files
from mobilenets.inference import trained
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests import small_model
from tests.inference.test_trained import backbone_net

CLOTHES = "--config.dataset.name=fashion_mnist_subset"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    values = {"epochs": 0.25, "evals.few.split": "train[:7]"} | small_model.VALUES
    train(make_task(files.configuration("quickstart:smoke", values)), str(folder))
    return folder


@pytest.fixture(scope="module")
def weights(workdir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "mine"
    trained.save(trained.load(str(workdir)), str(folder))
    return folder


def last(workdir):
    records = [
        r for r in read_metrics(workdir / "metrics.jsonl") if "val/ema/loss" in r
    ]
    return {
        key.removeprefix("val/ema/"): value
        for key, value in records[-1].items()
        if key.startswith("val/ema/")
    }


def test_a_workdir_is_enough(run, workdir, tmp_path):
    words = ["--json", tmp_path / "e.json", "--report", tmp_path / "r", "--per-class"]
    result = run("eval", "--workdir", workdir, *words)
    assert result.exit_code == 0, result.stderr
    written = json.loads((tmp_path / "e.json").read_text())
    assert set(written["results"]) == set(written["by_class"]) == {"val", "few"}
    for name, value in last(workdir).items():
        assert written["results"]["val"]["ema"][name] == pytest.approx(value)
    assert written["results"]["few"]["ema"]["count"] == 7
    images = [row["images"] for row in written["by_class"]["val"].values()]
    assert len(images) == 10 and sum(images) == 40
    with (tmp_path / "r/val_confusion.csv").open(newline="") as file:
        matrix = np.array([row[1:] for row in csv.reader(file)][1:], int)
    assert matrix.sum(1).tolist() == images
    assert np.trace(matrix) / 40 == pytest.approx(last(workdir)["top1"])
    for name in ("val", "few"):
        for kind in ("confusion", "mistakes"):
            assert (tmp_path / f"r/{name}_{kind}.png").exists()


def test_a_split_is_evaluated_alone(run, workdir, tmp_path):
    result = run(
        *("eval", "--workdir", workdir, "--split", "train[:9]"),
        *("--json", tmp_path / "e.json"),
    )
    assert result.exit_code == 0, result.stderr
    (of_set,) = json.loads((tmp_path / "e.json").read_text())["results"].items()
    assert of_set[0] == "val" and of_set[1]["ema"]["count"] == 9
    assert "split train[:9]" in result.stdout


def test_weights_are_evaluated_on_a_data_set(run, workdir, weights, tmp_path):
    result = run(
        *("eval", "--workdir", weights, CLOTHES, "--split", "validation[:40]"),
        *("--json", tmp_path / "e.json"),
    )
    assert result.exit_code == 0, result.stderr
    written = json.loads((tmp_path / "e.json").read_text())
    assert written["step"] is None
    for name, value in last(workdir).items():
        found = written["results"]["val"]["mine"][name]
        assert found == pytest.approx(value, rel=1e-5)


def test_mistakes_are_sentences(run, workdir, weights, tmp_path):
    trained.save(backbone_net(), str(tmp_path / "backbone"))
    (tmp_path / "file").write_text("")
    of_weights = ["--workdir", weights]
    for words, sentence in (
        (of_weights, "The data set is missing: give dataset.folder"),
        ([*of_weights, CLOTHES, "--weights", "raw"], "is not a run and has only one"),
        ([*of_weights, "--checkpoint", "latest"], "is not a run and has only one"),
        ([*of_weights, "--weights", "mean"], "'--weights'"),
        ([*of_weights, "--config.model.name=moga_a"], "the weights define the network"),
        ([*of_weights, "--config.task.name=multilabel"], "the weights were trained f"),
        (
            [*of_weights, "--config.preprocessing.crop_fraction=0.5"],
            "preprocessing is given, but the weights define it",
        ),
        (["--workdir", tmp_path / "backbone"], "is a backbone without classes"),
        (
            ["--workdir", "mobilenet_v22"],
            "'mobilenet_v22': did you mean 'mobilenet_v2'",
        ),
        (["--workdir", workdir, "--split", "tests"], "Give one of them by --split."),
        (
            ["--workdir", workdir, "--report", tmp_path / "file"],
            "Cannot write to --rep",
        ),
        (["--workdir", workdir, "--perclass"], "Did you mean --per-class?"),
    ):
        ended = run("eval", *words)
        assert ended.exit_code in (1, 2), words
        assert sentence in ended.stderr, words
        assert ended.stdout == ""
    ended = run("eval", "--workdir", workdir, "--json", tmp_path / "file/x.json")
    assert ended.exit_code == 1
    assert (
        f"Cannot write --json {tmp_path}/file/x.json: it would be in a file"
        in ended.stderr
    )
