"""What a run saves as its config is what it used."""

import shutil

from mobilenets.config.schema import Preprocessing
from mobilenets.evaluation.run import evaluate_run
from mobilenets.inference import trained
from mobilenets.runs import workdir
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests.inference.test_trained import small_net
from tests.training.test_fine_tuning import make_config


def test_a_fine_tuned_run_holds_the_preprocessing_of_its_weights(tmp_path):
    weights, run = tmp_path / "weights", tmp_path / "run"
    net = small_net()
    trained.save(net, str(weights))
    config = make_config(weights, epochs=0.5)
    assert config.preprocessing == Preprocessing()
    task = make_task(config)
    train(task, str(run))

    saved = workdir.read_config(workdir.of_run(str(run)))
    assert saved.preprocessing == net.description.preprocessing
    assert saved == task.config
    again = make_task(saved)
    assert again.config == task.config
    assert again.description == task.description
    train(make_task(config), str(run))  # the run's own config as it was given
    train(again, str(run))  # and as it was saved: nothing to do

    shutil.rmtree(weights)  # an evaluation needs the run alone
    to_evaluate = make_task(saved, trained.describe(str(run)))
    evaluation = evaluate_run(to_evaluate, str(run), best=False)
    last = read_metrics(run / "metrics.jsonl")[-1]
    assert evaluation.results["val"]["ema"]["count"] == last["val/ema/count"]
    assert abs(evaluation.results["val"]["ema"]["loss"] - last["val/ema/loss"]) < 1e-5
