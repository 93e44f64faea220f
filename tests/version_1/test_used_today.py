"""A run and a folder of weights of version 0.1 are used by today's code.

The archive was made by that version: `run` trained `mobilenet_v1:smoke`, `weights` is a
MobileNetV3-Small cut short, and `logits.json` holds what both said of `images`.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import jax
import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config import files
from mobilenets.evaluation.run import evaluate_run
from mobilenets.inference import trained
from mobilenets.runs import workdir
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folder with `run`, `weights` and `logits.json`."""
    folder = tmp_path_factory.mktemp("version_1")
    with tarfile.open(pathlib.Path(__file__).parent / "version_1.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def mobilenets(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "mobilenets", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def images():
    return np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("f")


@pytest.mark.parametrize("name", ["weights", "run"])
def test_the_logits_are_what_they_were(old, name):
    net = trained.load(str(old / name))
    logits, _ = jax.jit(net.model.apply)(net.variables, images())
    expected = json.loads((old / "logits.json").read_text())[name]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)


def test_the_description_is_carried_over(old):
    description = trained.describe(str(old / "weights"))
    assert description.task == "classification"
    assert description.class_names == ("cat", "dog")
    assert description.preprocessing.mean == (1.0, 2.0, 3.0)
    assert description.preprocessing.crop_fraction == 0.9
    assert len(trained.describe(str(old / "run")).class_names) == 10


def task_of(run, description=None):
    return make_task(workdir.read_config(workdir.of_run(str(run))), description)


@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_the_run_is_evaluated_to_what_it_logged(old, weights):
    run = old / "run"
    task = task_of(run, trained.describe(str(run)))
    evaluation = evaluate_run(task, str(run), ema=weights == "ema")
    assert evaluation.step == 8
    last = read_metrics(run / "metrics.jsonl")[-1]
    prefix = f"val/{weights}/"
    logged = {k.removeprefix(prefix): v for k, v in last.items() if prefix in k}
    assert set(logged) == {"loss", "top1", "top5", "count"}
    found = evaluation.results["val"][weights]
    assert 0 <= found.pop("calibration_error") <= 1  # which is newer
    assert found == pytest.approx(logged, rel=1e-6)


@pytest.mark.slow
def test_the_command_line_evaluates_and_predicts(old, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    evaluated = mobilenets("eval", "--workdir", old / "run", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "2.3042" in evaluated.stdout and "35.00%" in evaluated.stdout
    for name in ("run", "weights"):
        picture = tmp_path / f"{name}.png"
        said = mobilenets(
            *("predict", "photo.png", "--weights", old / name, "--picture", picture),
            cwd=tmp_path,
        )
        assert said.returncode == 0, said.stderr
        best = trained.describe(str(old / name)).class_names
        assert any(class_name in said.stdout for class_name in best)
        assert picture.stat().st_size > 0


def test_resuming_it_is_refused_in_one_sentence(old, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(old / "run", run)
    (run / ".training.lock").touch()
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match=r"saved by version 0\.1: it can be used for"):
        train(task_of(run), str(run))
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "weights"])
def test_a_run_begins_from_its_weights(old, tmp_path, name):
    config = files.configuration(
        "finetune",
        {
            "init_from": str(old / name),
            "dataset": {"name": "fashion_mnist_subset", "train_split": "train[:32]"},
            "dataset.eval_split": "validation[:8]",
            "batch_size": 16,
            "epochs": 1.0,
            "trainable_stages": 0,
        },
    )
    task = make_task(config)
    fresh = jax.device_get(task.init_variables(jax.random.key(0)))
    before = trained.load(str(old / name)).variables["params"]
    begun = task.with_pretrained(fresh)["params"]
    keeps = name == "run"  # its classes are those of the data
    assert (
        np.array_equal(begun["logits"]["kernel"], before["logits"]["kernel"]) == keeps
    )
    np.testing.assert_array_equal(
        begun["stem"]["conv"]["kernel"], before["stem"]["conv"]["kernel"]
    )
    train(task, str(tmp_path / "run"))
    after = trained.load(str(tmp_path / "run")).variables["params"]
    np.testing.assert_array_equal(
        after["stem"]["conv"]["kernel"], before["stem"]["conv"]["kernel"]
    )
    assert np.any(after["logits"]["kernel"] != begun["logits"]["kernel"])


def test_a_fine_tuned_run_is_evaluated(old, tmp_path):
    """Its config.json did not hold the preprocessing of the weights it began with."""
    run = tmp_path / "run"
    shutil.copytree(old / "run", run)
    metadata = run / "checkpoints/8/run/metadata"
    saved = json.loads(metadata.read_text())
    saved["description"]["preprocessing"]["crop_fraction"] = 1.0
    metadata.write_text(json.dumps(saved))
    config = json.loads((run / "config.json").read_text())
    config |= {"init_from": "weights/gone", "model": {}}
    (run / "config.json").write_text(json.dumps(config))
    task = task_of(run, trained.describe(str(run)))
    assert task.config.preprocessing.crop_fraction == 1
    assert evaluate_run(task, str(run)).results["val"]["ema"]["count"] == 40
