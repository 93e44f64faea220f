"""Several evaluation sets of real tasks: whole, matched by name, chosen by."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from PIL import Image

from mobilenets import UserError
from mobilenets.config import files
from mobilenets.data.sources.arrays import ArraySource
from mobilenets.evaluation.evaluator import Evaluator
from mobilenets.evaluation.run import evaluate_run
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests import small_model

NAMES = ("ant", "bee", "cat")
# An own order, and a set that lacks a class.
SETS = {"val": (10, NAMES), "night": (3, ("cat", "ant")), "large": (33, NAMES[::-1])}


def mesh_of(devices):
    return jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )


class FirstPixels(nn.Module):
    """The logits are the first three red values."""

    @nn.compact
    def __call__(self, images, train=False):
        return images[:, 0, :3, 0], {}


def arrays(size, names):
    """Random images, and classes by the numbers of a set's own."""
    rng = np.random.default_rng(size)
    images = rng.integers(0, 256, (size, 32, 32, 3), np.uint8)
    return images, rng.integers(0, len(names), size)


def by_numpy(size, names):
    """Loss and top-1 of `FirstPixels`, the classes matched by their names."""
    images, targets = arrays(size, names)
    logits = (images[:, 0, :3, 0] - 127.5) / 127.5
    classes = np.array([NAMES.index(names[target]) for target in targets])
    chosen = logits[np.arange(size), classes]
    loss = np.log(np.exp(logits).sum(1)) - chosen
    hits = logits.argmax(1) == classes
    confidence = np.exp(logits.max(1)) / np.exp(logits).sum(1)
    bins = np.ceil(confidence * 15)
    errors = [abs((hits - confidence)[bins == b].sum()) for b in set(bins)]
    return {
        "loss": pytest.approx(loss.mean(), rel=1e-6),
        "top1": hits.mean(),
        "top5": 1,
        "count": size,
        "calibration_error": pytest.approx(sum(errors) / size, abs=1e-6),
    }


def task_of_arrays(batch_size, sets):
    sources = {
        name: ArraySource(*arrays(size, names), names)
        for name, (size, names) in sets.items()
    }
    changes = {"preprocessing.crop_fraction": 1.0, "batch_size": batch_size}
    for name in sets:
        if name != "val":
            changes[f"evals.{name}.split"] = "given"
    config = files.configuration("quickstart:smoke", changes)
    train_source = ArraySource(*arrays(40, NAMES), NAMES)
    task = make_task(config, sources={"train": train_source, **sources})
    task.model = FirstPixels()
    return task


@pytest.mark.parametrize(
    ("batch_size", "devices"), [(1, 1), (7, 1), (4, 4), (20, 4), (64, 4)]
)
def test_every_image_of_every_set_is_counted(batch_size, devices):
    task = task_of_arrays(batch_size, SETS)
    results = Evaluator(task, mesh_of(devices)).evaluate({"raw": {}})
    assert results == {
        name: {"raw": by_numpy(size, names)} for name, (size, names) in SETS.items()
    }


def test_a_set_with_an_unknown_class_is_refused():
    sets = SETS | {"zoo": (5, ("bee", "yak"))}
    with pytest.raises(UserError, match="The evaluation set zoo has yak, which the n"):
        task_of_arrays(4, sets)


@pytest.mark.slow
def test_the_best_checkpoint_is_the_one_of_the_least_loss(tmp_path):
    config = files.configuration(
        "quickstart:smoke",
        {
            "best_metric": "val/loss",
            "optimizer.learning_rate": 0.03,  # so much that the loss rises, too
            "ema_decay": 0.0,
            "evaluate_every_epochs": 0.5,
            "evals.few.split": "validation[40:51]",
            **small_model.VALUES,
        },
    )
    train(make_task(config), str(tmp_path))
    records = read_metrics(tmp_path / "metrics.jsonl")
    losses = {r["step"]: r["val/ema/loss"] for r in records if "val/ema/loss" in r}
    least = min(losses, key=losses.get)
    assert list(losses) == [2, 4, 6, 8] and least != max(losses, key=losses.get)
    kept = {int(p.name) for p in (tmp_path / "checkpoints").glob("[0-9]*")}
    assert kept == {least, 8}
    evaluation = evaluate_run(make_task(config), str(tmp_path))
    assert evaluation.step == least
    found = evaluation.results["val"]["ema"]["loss"]
    assert found == pytest.approx(losses[least], rel=1e-6)


def write_images(folder, classes):
    """Three images of each class in FOLDER/dark/CLASS."""
    rng = np.random.default_rng(0)
    for name in classes:
        place = folder / "dark" / name
        place.mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (28, 28, 3), np.uint8)
            Image.fromarray(pixels).save(place / f"{i}.png")


SHOWN = {
    "loss": "{:.4f}",
    "top1": "{:.2%}",
    "top5": "{:.2%}",
    "count": "{:.0f}",
    "calibration_error": "{:.2%}",
}


@pytest.mark.slow
def test_a_workdir_alone_is_evaluated_on_all_of_its_sets(run, tmp_path):
    write_images(tmp_path / "photos", ["Sandal", "Bag"])
    workdir = tmp_path / "run"
    trained = run(
        *("train", "--config", "quickstart:smoke", "--workdir", workdir),
        *small_model.OPTIONS,
        "--config.evals.few.split=validation[40:51]",
        f"--config.evals.dark.folder={tmp_path / 'photos'}",
        "--config.evals.dark.split=dark",
    )
    assert trained.exit_code == 0, trained.stderr
    last = read_metrics(workdir / "metrics.jsonl")[-1]
    sizes = {"val": 40, "few": 11, "dark": 6}
    for name, size in sizes.items():
        assert last[f"{name}/raw/count"] == last[f"{name}/ema/count"] == size

    evaluated = run("eval", "--workdir", workdir, "--checkpoint", "latest")
    assert evaluated.exit_code == 0, evaluated.stderr
    rows = [
        [cell.strip() for cell in line.strip("│ \n").split("│")]
        for line in evaluated.stdout.splitlines()
    ]
    for name, size in sizes.items():
        of_set = {metric: last[f"{name}/ema/{metric}"] for metric in SHOWN}
        (row,) = [row for row in rows if row[0] == name]
        assert row[1] == "ema"
        assert row[2:] == [SHOWN[metric].format(x) for metric, x in of_set.items()]
        assert of_set["count"] == size


def test_a_set_of_other_classes_is_one_sentence(run, tmp_path):
    write_images(tmp_path / "photos", ["Bag", "Hat"])
    refused = run(
        *("train", "--config", "quickstart:smoke", "--workdir", tmp_path / "run"),
        f"--config.evals.dark.folder={tmp_path / 'photos'}",
        "--config.evals.dark.split=dark",
    )
    assert refused.exit_code == 1
    assert "The evaluation set dark has Hat, which the network was" in refused.stderr
    assert not (tmp_path / "run").exists()
