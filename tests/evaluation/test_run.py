"""The evaluation of a run: which checkpoint, which sets, what is left of it."""

import json

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.evaluation import tables
from mobilenets.evaluation.best import best_metric
from mobilenets.evaluation.run import evaluate_run
from mobilenets.metrics.means import Means
from mobilenets.runs import workdir
from mobilenets.runs.metric_log import read_metrics
from mobilenets.training.loop import train
from tests import toy_task

SIZES = {"val": 5, "night": 11}


def make_task(**changes):
    return toy_task.ToyTask(toy_task.make_config(**changes), SIZES)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Six steps; the distance is least after the fourth, the value most at the end."""
    folder = tmp_path_factory.mktemp("run")
    train(make_task(best_metric="night/distance"), str(folder))
    return folder


def test_the_best_checkpoint_may_be_of_a_metric_of_which_less_is_better(run):
    records = [r for r in read_metrics(run / "metrics.jsonl") if "val/raw/own" in r]
    assert [r["night/ema/distance"] for r in records] == [3, 2, 1, 0, 1, 2]
    assert {r["val/ema/count"] for r in records} == {5}
    assert {r["night/raw/count"] for r in records} == {11}
    kept = {int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {4, 6}
    assert evaluate_run(make_task(), str(run)).step == 4
    assert evaluate_run(make_task(), str(run), best=False).step == 6


def test_without_a_choice_the_headline_is_the_measure(tmp_path):
    train(make_task(), str(tmp_path))
    assert evaluate_run(make_task(), str(tmp_path)).step == 6


def test_an_unknown_best_metric_leaves_no_folder(tmp_path):
    task = make_task(best_metric="val/top1")
    with pytest.raises(UserError, match="Unknown best_metric 'val/top1'"):
        train(task, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("ema", [True, False])
def test_all_sets_are_evaluated(run, ema):
    weights = "ema" if ema else "raw"
    evaluation = evaluate_run(make_task(), str(run), ema=ema)
    assert set(evaluation.results) == set(SIZES)
    for name, size in SIZES.items():
        expected = {"distance": 0, "value": 4, "own": (size + 1) / 2, "count": size}
        assert evaluation.results[name] == {weights: expected}
    assert evaluation.by_class == {} and evaluation.files == []


def test_tables_json_and_a_report(run, tmp_path, capsys):
    evaluation = evaluate_run(
        make_task(), str(run), per_class=True, report=str(tmp_path / "report")
    )
    names = [path.name for path in evaluation.files]
    assert names == ["val.txt", "night.txt"]
    assert (tmp_path / "report/night.txt").read_text() == "11.0"
    tables.print_evaluation(evaluation)
    printed = capsys.readouterr().out
    rows = [[c.strip() for c in line.split("│")] for line in printed.splitlines()]
    assert ["", "night", "ema", "0.00%", "4.0000", "6.0000", "11", ""] in rows
    assert "night, by class" in printed
    tables.write_json(evaluation, tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["step"] == 4
    assert written["results"] == evaluation.results
    assert written["by_class"]["val"]["all"]["count"] == 5


def test_what_there_is_none_of_is_null_in_json(run, tmp_path):
    evaluation = evaluate_run(make_task(), str(run), per_class=True)
    evaluation.by_class["val"]["all"]["own"] = float("nan")
    tables.write_json(evaluation, tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["by_class"]["val"]["all"]["own"] is None
    assert tables.number("own", float("nan")) == "-"


def test_a_metric_that_is_not_a_number_ends_no_run(tmp_path):
    class NoOwn(toy_task.ToyTask):
        metric = Means(
            lambda outputs, batch: {"value": outputs, "own": np.nan * outputs},
            ("value", "own"),
        )

    config = toy_task.make_config(best_metric="val/own")
    results = train(NoOwn(config, SIZES), str(tmp_path))
    assert np.isnan(results["night"]["ema"]["own"])
    *_, last = read_metrics(tmp_path / "metrics.jsonl")
    assert "night/ema/own" not in last and last["night/ema/value"] == 6
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()
    with pytest.raises(UserError, match="so none is the best"):
        evaluate_run(NoOwn(config, SIZES), str(tmp_path))


def test_a_count_is_no_measure():
    with pytest.raises(UserError, match="best_metric 'val/count'") as error:
        best_metric(make_task(best_metric="val/count"))
    assert "night/count" not in str(error.value)


def test_a_folder_without_a_run_or_a_checkpoint_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        evaluate_run(make_task(), str(tmp_path))
    workdir.claim(str(tmp_path), make_task().config)
    with pytest.raises(UserError, match="has saved no checkpoint yet"):
        evaluate_run(make_task(), str(tmp_path))
    (tmp_path / "last_checkpoint.json").write_text('{"step": 8}')
    with pytest.raises(UserError, match=r"no checkpoint left, .* had saved step 8"):
        evaluate_run(make_task(), str(tmp_path))
