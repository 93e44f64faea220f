"""Multi-label classification: its loss, its metrics and its runs, by hand."""

import csv
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from PIL import Image

from configs import multilabel_quickstart
from mobilenets import UserError, create_model
from mobilenets.config import check, files, values
from mobilenets.data.sources.arrays import ArraySource
from mobilenets.evaluation.evaluator import Evaluator
from mobilenets.inference import trained
from mobilenets.metrics.attributes import KnownAttributes, weighted_losses
from mobilenets.networks.spec import with_backbone
from mobilenets.runs.metric_log import read_metrics
from mobilenets.runtime import sharding
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import jitted_functions, train
from tests.inference.test_trained import small_net
from tests.training.test_resume import (
    TOTAL_STEPS,
    assert_same_bits,
    kept_steps,
    make_small_task,
    saved_state,
    sigterm,
)

NAN = np.nan


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


def mesh_of(devices):
    return jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )


def make_config(**changes):
    """Collages of clothes at 32 pixels; six steps an epoch, evaluated every third."""
    config = multilabel_quickstart.get_config()
    config.model.resolution = 32
    config.dataset.train_split = "train[:96]"
    config.dataset.eval_split = "validation[:41]"
    config.batch_size = 16
    config.epochs = 2.0
    config.log_every_steps = 2
    config.evaluate_every_epochs = 0.5
    if "init_from" in changes:  # network and preprocessing are those of the weights
        config.model = {}
        config.preprocessing = values.defaults().preprocessing
    config.update(changes)
    return check.check(config)


# The loss.


def test_the_loss_is_the_weighted_mean_over_what_is_known():
    logits = np.array([[0.0, 2.0, -1.0], [1.0, -3.0, 0.5]], np.float32)
    labels = np.array([[1.0, NAN, 0.0], [0.0, 1.0, NAN]], np.float32)
    weights = np.array([1.0, 3.0, 0.5])
    losses, weighting = weighted_losses(logits, labels, weights)
    by_hand = [
        1.0 * -np.log(sigmoid(0.0)),
        0.5 * -np.log(1 - sigmoid(-1.0)),
        1.0 * -np.log(1 - sigmoid(1.0)),
        3.0 * -np.log(sigmoid(-3.0)),
    ]
    assert float(losses.sum()) == pytest.approx(sum(by_hand), rel=1e-5)
    assert float(weighting.sum()) == 1.0 + 0.5 + 1.0 + 3.0


def task_of_three(targets=((1, 0, 1), (0, 1, NAN)), weights=None, batch_size=2):
    """A task on grey images of the attributes a, b and c."""
    targets = np.array(targets, np.float32)
    images = np.zeros((len(targets), 32, 32, 3), np.uint8)
    source = ArraySource(images, targets, ("a", "b", "c"))
    config = make_config(
        task={"name": "multilabel", "weights": weights or {}}, batch_size=batch_size
    )
    return make_task(config, sources={"train": source, "val": source})


def loss_and_gradient(task, logits, labels):
    batch = {"label": jnp.asarray(labels, jnp.float32)}

    def loss(logits):
        return task.loss((logits, {}), batch)[0]

    return jax.value_and_grad(loss)(jnp.asarray(logits, jnp.float32))


def test_the_task_weighs_its_attributes_by_their_names():
    task = task_of_three(weights={"c": 0.5, "b": 3.0})
    logits = [[0.0, 2.0, -1.0], [1.0, -3.0, 0.5]]
    labels = [[1.0, NAN, 0.0], [0.0, 1.0, NAN]]
    loss, gradient = loss_and_gradient(task, logits, labels)
    by_hand = np.log(2) + 0.5 * np.log1p(np.exp(-1)) + np.log1p(np.exp(1))
    by_hand += 3 * np.log1p(np.exp(3))
    assert float(loss) == pytest.approx(by_hand / 5.5, rel=1e-6)
    errors = [
        [sigmoid(0) - 1, 0, 0.5 * sigmoid(-1)],
        [sigmoid(1), 3 * (sigmoid(-3) - 1), 0],
    ]
    np.testing.assert_allclose(gradient, np.array(errors) / 5.5, rtol=1e-5)


def test_a_mixed_image_has_its_attributes_by_share():
    """Where one label is unknown, that of the mixture is; one unmixed stays."""
    logits = np.array([[0.0, 2.0, -1.0], [1.0, -3.0, 0.5]], np.float32)
    batch = {
        "label": jnp.array([[1.0, NAN, 0.0], [0.0, 1.0, 1.0]]),
        "partner_label": jnp.array([[0.0, 1.0, 0.0], [NAN, NAN, NAN]]),
        "share": jnp.array([0.75, 1.0]),
    }
    loss, _ = task_of_three().loss((logits, {}), batch)
    likelihoods = sigmoid(logits)
    by_hand = -np.log(
        [
            likelihoods[0, 0] ** 0.75 * (1 - likelihoods[0, 0]) ** 0.25,
            1 - likelihoods[0, 2],
            1 - likelihoods[1, 0],
            likelihoods[1, 1],
            likelihoods[1, 2],
        ]
    )
    assert float(loss) == pytest.approx(by_hand.mean(), rel=1e-6)


def test_a_batch_of_which_nothing_is_known_teaches_nothing():
    logits = [[0.0, 200.0, -1.0], [1.0, -300.0, 0.5]]
    loss, gradient = loss_and_gradient(task_of_three(), logits, np.full((2, 3), NAN))
    assert float(loss) == 0
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


def test_a_step_on_a_batch_of_which_nothing_is_known_is_finite():
    task, mesh = task_of_three(), mesh_of(1)
    spec = with_backbone(task.spec, blocks=task.spec.backbone.blocks[:1])
    task.model = create_model(spec, 3)  # which compiles in seconds
    create, update = jitted_functions(task, mesh)
    state = create(task.init_variables(jax.random.key(0)))
    batch = {
        "image": np.zeros((2, 32, 32, 3), np.uint8),
        "label": np.full((2, 3), NAN, np.float32),
    }
    state, metrics = update(state, batch, jax.random.key(1), {})
    assert metrics["loss"] == metrics["gradient_norm"] == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


# The metrics.


def test_what_only_fills_a_batch_counts_nothing():
    metric = KnownAttributes(weights=(1.0, 3.0), threshold=0.5)
    logits = np.array([[1.0, -1.0], [2.0, 2.0], [5.0, 5.0]], np.float32)
    batch = {
        "label": np.array([[1.0, 1.0], [0.0, NAN], [0.0, 0.0]], np.float32),
        "mask": np.array([1.0, 1.0, 0.0], np.float32),
    }
    total = metric.merge(metric.empty(), metric.update((logits, {}), batch))
    found = metric.compute(total)
    losses = [
        -np.log(sigmoid(1.0)),
        3 * -np.log(sigmoid(-1.0)),
        -np.log(1 - sigmoid(2.0)),
    ]
    assert found["loss"] == pytest.approx(sum(losses) / (1 + 3 + 1), rel=1e-5)
    assert found["accuracy"] == pytest.approx(1 / 3)  # of the three known labels
    assert found["count"] == 2
    assert total["true_positives"].tolist() == [1, 0]
    assert total["false_positives"].tolist() == [1, 0]
    assert total["false_negatives"].tolist() == [0, 1]


def test_the_threshold_decides_what_is_given():
    logits = np.array([[0.0], [1.0]], np.float32)  # probabilities 0.5 and 0.73
    batch = {
        "label": np.array([[0.0], [1.0]], np.float32),
        "mask": np.ones(2, np.float32),
    }
    for threshold, accuracy in ((0.4, 0.5), (0.6, 1.0), (0.8, 0.5)):
        metric = KnownAttributes(weights=(1.0,), threshold=threshold)
        total = metric.merge(metric.empty(), metric.update((logits, {}), batch))
        assert metric.compute(total)["accuracy"] == accuracy


# Each image's first pixels are its scores, here with what is known of it.
SCORES = [[2, 1, -3], [1, 1, 2], [1, 1, 2], [-1, 1, 1], [-2, 1, 0]]
KNOWN = [[1, 0, NAN], [0, 1, 0], [1, 0, 0], [NAN, NAN, NAN], [1, 0, NAN]]


class FirstPixels(nn.Module):
    """The logits are the first three red values."""

    @nn.compact
    def __call__(self, images, train=False):
        return images[:, 0, :3, 0], {}


def task_of_pixels(batch_size):
    """Its logits are `SCORES`: pixels that preprocessing makes 0 at 100."""
    images = np.zeros((5, 32, 32, 3), np.uint8)
    images[:, 0, :3, 0] = np.array(SCORES) + 100
    source = ArraySource(images, np.array(KNOWN, np.float32), ("a", "b", "c"))
    config = make_config(
        task={"name": "multilabel", "weights": {"a": 2.0}, "threshold": 0.6},
        preprocessing={
            "crop_fraction": 1.0,
            "mean": (100.0, 100.0, 100.0),
            "std": (1.0, 1.0, 1.0),
        },
        batch_size=batch_size,
    )
    task = make_task(config, sources={"train": source, "val": source})
    task.model = FirstPixels()
    return task


@pytest.mark.parametrize(("batch_size", "devices"), [(3, 1), (4, 1), (4, 4), (8, 4)])
def test_an_evaluation_worked_by_hand(batch_size, devices):
    task = task_of_pixels(batch_size)
    evaluator = Evaluator(task, mesh_of(devices))
    found = evaluator.evaluate({"raw": {}})["val"]["raw"]
    # a: found is 1 of 1 at the score 2, 2 of 3 at 1, where two are equal, 3 of 4 at -2.
    # b: all are equal, 1 of 4. c: no positive is known, so that it is left out.
    of_a, of_b = (1 + 2 / 3 + 3 / 4) / 3, 1 / 4
    losses = [
        *(2 * np.log1p(np.exp(x)) for x in (-2, 1, -1, 2)),  # a
        *(np.log1p(np.exp(x)) for x in (1, -1, 1, 1)),  # b
        *(np.log1p(np.exp(x)) for x in (2, 2)),  # c
    ]
    assert found == {
        "mAP": pytest.approx((of_a + of_b) / 2),
        "attributes_left_out": 1,
        "loss": pytest.approx(sum(losses) / (2 * 4 + 4 + 2), rel=1e-6),
        "accuracy": pytest.approx(3 / 10),  # two of a, one of b
        "count": 5,
    }


def test_the_table_of_the_attributes_worked_by_hand():
    task = task_of_pixels(4)
    evaluator = Evaluator(task, mesh_of(4), task.report_metric)
    total = evaluator.totals("val", {"raw": {}})["raw"]
    expected = {
        "a": [(1 + 2 / 3 + 3 / 4) / 3, 2 / 3, 2 / 3, 3, 4],
        "b": [1 / 4, 1 / 4, 1, 1, 4],
        "c": [NAN, 0, NAN, 0, 2],
    }
    columns = ["average_precision", "precision", "recall", "positives", "images"]
    found = task.by_class(total)
    assert list(found) == ["a", "b", "c"]
    for name, row in found.items():
        assert list(row) == columns
        np.testing.assert_allclose([*row.values()], expected[name])


# Runs.


@pytest.mark.usefixtures("four_devices")
def test_one_device_and_four_train_alike():
    """By SGD: AdamW makes whole steps of gradients that are mere rounding."""

    def after_two_steps(devices):
        task = make_small_task(make_config(optimizer={"name": "sgd"}))
        mesh = mesh_of(devices)
        create, update = jitted_functions(task, mesh)
        state = create(task.init_variables(jax.random.key(0)))
        batches, logged = task.train_batches(), []
        for _ in range(2):
            batch = next(batches)
            assert np.isnan(batch["label"]).any()
            batch = sharding.to_devices(mesh, batch)
            state, metrics = update(state, batch, jax.random.key(1), {})
            logged.append({name: float(value) for name, value in metrics.items()})
        return jax.device_get(state.params), logged

    (one, logged_by_one), (four, logged_by_four) = map(after_two_steps, (1, 4))
    for a, b in zip(logged_by_one, logged_by_four, strict=True):
        assert b == pytest.approx(a, rel=1e-4)
    for a, b in zip(*map(jax.tree.leaves, (one, four)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("four_devices")
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path):
    config, whole, resumed = make_config(), tmp_path / "whole", tmp_path / "resumed"
    train(make_small_task(config), str(whole))
    with pytest.raises(SystemExit) as end:
        train(make_small_task(config, 5, sigterm), str(resumed))
    assert end.value.code == 143
    assert 5 in kept_steps(resumed)
    train(make_small_task(config), str(resumed))
    expected, next_batches = saved_state(whole, config)
    state, batches = saved_state(resumed, config)
    assert state.step == TOTAL_STEPS
    assert_same_bits(state, expected)
    assert_same_bits(batches, next_batches)

    def evaluations(folder):
        records = read_metrics(folder / "metrics.jsonl")
        return [r for r in records if "val/ema/mAP" in r]

    assert evaluations(resumed) == evaluations(whole)
    assert [r["step"] for r in evaluations(whole)] == [3, 6, 9, 12]
    assert {r["val/raw/count"] for r in evaluations(whole)} == {41}


def test_it_is_fine_tuned_from_weights_of_classes(tmp_path):
    collages = make_task(make_config()).class_names
    for name, classes in (("others", ("cat", "dog")), ("same", collages)):
        net = small_net(classes=classes)
        trained.save(net, str(tmp_path / name))
        config = make_config(
            init_from=str(tmp_path / name), trainable_stages=0, epochs=0.5
        )
        task = make_task(config)
        fresh = jax.device_get(task.init_variables(jax.random.key(0)))
        begun = task.with_pretrained(fresh)
        logits = begun["params"]["logits"]
        assert logits["kernel"].shape == (40, 10)
        # Also where the names are the same: the probabilities mean something else.
        assert not logits["kernel"].any() and not logits["bias"].any()
        for kind in ("params", "batch_stats"):
            ours, theirs = (dict(v[kind]) for v in (begun, net.variables))
            assert_same_bits(*({**v, "logits": 0} for v in (ours, theirs)))
        first = jax.jit(task.model.apply)(begun, np.zeros((1, 32, 32, 3), "f"))
        np.testing.assert_array_equal(task.predictions(first), np.full((1, 10), 0.5))
    train(task, str(tmp_path / "run"))
    after = trained.load(str(tmp_path / "run"))
    assert after.description.task == "multilabel"
    assert after.description.threshold == config.task.threshold
    ours, theirs = (dict(v["params"]) for v in (after.variables, net.variables))
    assert_same_bits(*({**v, "logits": 0} for v in (ours, theirs)))
    assert after.variables["params"]["logits"]["kernel"].any()


# A table, from the file to the picture.

COLORS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Images of colours that are there or not; a sixth of the cells is empty."""
    folder, rng = tmp_path_factory.mktemp("table"), np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "split", *COLORS])
        for i in range(78):
            has = rng.integers(0, 2, 3)
            pixels = np.broadcast_to(np.uint8(has * 200 + 20), (32, 32, 3))
            Image.fromarray(pixels).save(folder / f"{i}.png")
            cells = ["" if rng.random() < 1 / 6 else value for value in has]
            rows.writerow([f"{i}.png", "train" if i < 64 else "validation", *cells])
    return folder / "labels.csv"


@pytest.mark.slow
def test_a_table_with_unknown_cells_from_training_to_pictures(run, table, tmp_path):
    workdir = tmp_path / "run"
    done = run(
        *("train", "--config", "multilabel_quickstart:smoke", "--workdir", workdir),
        *(f"--config.dataset.table={table}", "--config.epochs=20"),
        *("--config.dataset.train_split=train", "--config.ema_decay=0.5"),
        "--config.dataset.eval_split=validation",
        "--config.evaluate_every_epochs=20",
        "--config.optimizer.learning_rate=0.01",
    )
    assert done.exit_code == 0, done.stderr
    last = read_metrics(workdir / "metrics.jsonl")[-1]
    assert last["val/ema/count"] == 14
    assert last["val/ema/attributes_left_out"] == 0
    assert last["val/raw/mAP"] > 0.8, last  # by chance about a half
    with Image.open(workdir / "predictions.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20

    evaluated = run("eval", "--workdir", workdir, "--weights", "raw")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert f"{last['val/raw/mAP']:.2%}" in evaluated.stdout
    description = trained.describe(str(workdir))
    assert (description.task, description.class_names) == ("multilabel", COLORS)


# Mistakes.


def test_weights_of_an_unknown_attribute_are_refused():
    with pytest.raises(
        UserError, match=r"attribute in task\.weights 'Shirts'.*'Shirt'"
    ):
        make_task(make_config(task={"name": "multilabel", "weights": {"Shirts": 2.0}}))


@pytest.mark.parametrize(
    ("config", "dataset", "sentence"),
    [
        ("multilabel_quickstart", "fashion_mnist_subset", "the task needs attributes"),
        ("quickstart", "fashion_collages", "the task needs one class"),
    ],
)
def test_a_data_set_of_another_task_is_one_sentence(
    run, config, dataset, sentence, tmp_path
):
    done = run(
        *("train", "--config", f"{config}:smoke", "--workdir", tmp_path / "run"),
        f"--config.dataset.name={dataset}",
    )
    assert done.exit_code == 1
    assert sentence in done.stderr and done.stderr.count("error:") == 1
    assert not (tmp_path / "run").exists()


def test_a_table_of_classes_is_not_one_of_attributes(table):
    config = {"dataset.table": str(table), "dataset.train_split": "train"}
    config = files.configuration("quickstart:smoke", config)
    with pytest.raises(UserError, match=r"no column label.*task\.name=multilabel"):
        make_task(config)


def test_the_saved_description_is_json():
    description = make_task(make_config()).description
    assert trained.Description.model_validate_json(json.dumps(description))


def test_the_likelihood_of_labels_is_that_of_the_known_ones():
    task = make_task(make_config())
    label = np.full(len(task.class_names), np.nan)
    label[:2] = 1, 0
    prediction = np.full(len(label), 0.9)
    prediction[:2] = 0.5, 0.2
    assert task.likelihood(label, prediction) == pytest.approx(np.log(0.5 * 0.8))


def test_the_attributes_of_the_first_batch_are_those_that_are_there():
    task = task_of_three()
    assert task.in_words(np.array([1, 0, NAN], np.float32)) == "a"
    assert task.in_words(np.array([1, 1, 1], np.float32)) == "a, b, c"
    assert task.in_words(np.array([0, NAN, 0], np.float32)) == "nothing"
    assert task.in_words(np.array([NAN, NAN, NAN], np.float32)) == "no label"
