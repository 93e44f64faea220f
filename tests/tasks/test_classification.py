"""The weights of classes, worked by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import mobilenets
from mobilenets import UserError
from mobilenets.tasks import pictures
from mobilenets.tasks.classification import Classification

NAMES = ("bee", "cat", "dog")


def make_task(labels=(0, 0, 0, 0, 1, 2), **values):
    config = mobilenets.load_config(
        "quickstart:smoke", {f"task.{key}": value for key, value in values.items()}
    )
    labels = np.array(labels)
    source = mobilenets.ArraySource(
        np.zeros((len(labels), 8, 8, 3), np.uint8), labels, names=NAMES
    )
    return Classification(config, sources={"train": source, "val": source})


def loss_of(task):
    """Of three images that are given the probabilities 1/8, 2/8 and 5/8."""
    logits = jnp.log(jnp.array([[1.0, 2.0, 5.0]] * 3))
    loss, _ = task.loss((logits, {}), {"label": jnp.array([2, 1, 0])})
    return float(loss)


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ({}, (1, 1, 1)),
        ({"weights.cat": 3.0, "weights.dog": 0.0}, (1, 3, 0)),
        # Six images: 6 / (3 * 4), and twice 6 / (3 * 1).
        ({"balanced": True}, (0.5, 2, 2)),
    ],
)
def test_each_image_counts_by_the_weight_of_its_class(values, weights):
    bee, cat, dog = weights
    by_hand = bee * math.log(8) + cat * math.log(4) + dog * math.log(8 / 5)
    task = make_task(label_smoothing=0.0, **values)
    assert loss_of(task) == pytest.approx(by_hand / 3, rel=1e-6)


def test_a_mixed_image_counts_for_both_its_labels_by_their_shares():
    """Three images of the probabilities 1/8, 2/8 and 5/8."""
    logits = jnp.log(jnp.array([[1.0, 2.0, 5.0]] * 3))
    batch = {
        "label": jnp.array([2, 1, 0]),
        "partner_label": jnp.array([1, 2, 2]),
        "share": jnp.array([0.75, 0.25, 1.0]),
    }
    loss, metrics = make_task(label_smoothing=0.0).loss((logits, {}), batch)
    bee, cat, dog = math.log(8), math.log(4), math.log(8 / 5)
    losses = (0.75 * dog + 0.25 * cat, 0.25 * cat + 0.75 * dog, bee)
    assert float(loss) == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert float(metrics["top1"]) == pytest.approx((0.75 + 0.75 + 0) / 3)
    # The smoothed label still sums to 1: of 0.3 each class gets a third.
    loss, _ = make_task(label_smoothing=0.3).loss((logits, {}), batch)
    smoothed = 0.7 * sum(losses) + 0.1 * 3 * (bee + cat + dog)
    assert float(loss) == pytest.approx(smoothed / 3, rel=1e-6)
    task = make_task(label_smoothing=0.0, **{"weights.cat": 3.0})
    weighted, _ = task.loss((logits, {}), batch)
    weights = (0.75 * 1 + 0.25 * 3, 0.25 * 3 + 0.75 * 1, 1)
    by_hand = sum(w * loss for w, loss in zip(weights, losses, strict=True))
    assert float(weighted) == pytest.approx(by_hand / 3, rel=1e-6)


def test_the_evaluation_is_not_weighted():
    task = make_task(**{"weights.cat": 3.0})
    variables = {"loss": jnp.log(jnp.array([[1.0, 2.0, 5.0]]))}
    batch = {"label": jnp.array([1]), "mask": jnp.ones(1), "index": jnp.zeros(1)}
    total = task.metric.merge(
        task.metric.empty(), task.metric.update((variables["loss"], {}), batch)
    )
    assert task.metric.compute(total)["loss"] == pytest.approx(math.log(4), rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ((0, 1), {"weights.cow": 2.0}, "Unknown class in task.weights 'cow'"),
        ((0, 1), {"balanced": True}, "there are none of dog to train"),
        ((0, 1), {"weights.cat": -1.0}, r"task\.weights\.cat is -1\.0, but"),
        ((0, 1), {"balanced": True, "weights.cat": 2.0}, "weights and balanced are bo"),
    ],
)
def test_mistakes_are_sentences(labels, values, message):
    with pytest.raises(UserError, match=message):
        make_task(labels, **values)


def test_the_summary_is_that_of_the_papers_network():
    names = [f"class {i}" for i in range(1000)]
    source = mobilenets.ArraySource(
        np.zeros((2000, 1, 1), np.uint8), np.arange(2000) % 1000, names
    )
    config = mobilenets.load_config("mobilenet_v2")
    task = Classification(config, sources={"train": source, "val": source})
    # 1801.04381, Table 4: 3.4 M and 300 M, counted exactly 3,504,872 and 300,774,272.
    assert task.summary == (
        "mobilenet_v2 at 224 pixels (3.5 M parameters, 300.8 M MAdds) on 2,000 images "
        "of 1,000 classes"
    )


def test_the_worst_predictions_are_drawn_first():
    task = make_task(labels=(0, 1, 2, 2, 1))
    rows = np.array(
        [
            [0.7, 0.2, 0.1],  # of a bee: 0.7
            [0.8, 0.1, 0.1],  # of a cat: 0.1
            [0.3, 0.4, 0.3],  # of a dog: 0.3
            [0.0, 0.0, 1.0],
            [0.2, 0.2, 0.6],  # of a cat: 0.2
        ]
    )

    def predict(batch):
        return rows[batch["index"]]

    drawn, count = task.worst_predictions(predict, 3)
    assert count == 5
    assert [label for _, label, _ in drawn] == [1, 1, 2]
    np.testing.assert_array_equal([p for *_, p in drawn], rows[[1, 4, 2]])


def test_the_first_batch_is_drawn_with_its_classes(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures, "draw_images", lambda titled, *others: drawn.extend(titled)
    )
    batch = {
        "image": np.arange(30 * 48, dtype=np.uint8).reshape(30, 4, 4, 3),
        "label": np.arange(30, dtype=np.int32) % 3,
    }
    make_task().draw_first_batch(batch, tmp_path / "first_batch.png")
    assert [title for _, title, _ in drawn[:4]] == [*NAMES, "bee"]
    assert len(drawn) == 24  # of 30: enough to check
    np.testing.assert_array_equal(drawn[5][0], batch["image"][5])


def test_the_first_batch_is_drawn_with_the_shares_of_mixed_labels(
    tmp_path, monkeypatch
):
    drawn = []
    monkeypatch.setattr(
        pictures, "draw_images", lambda titled, *others: drawn.extend(titled)
    )
    batch = {
        "image": np.zeros((2, 4, 4, 3), np.uint8),
        "label": np.array([0, 1], np.int32),
        "partner_label": np.array([1, 0], np.int32),
        "share": np.array([0.75, 1], np.float32),
    }
    make_task().draw_first_batch(batch, tmp_path / "first_batch.png")
    assert [title for _, title, _ in drawn] == ["bee 75%\ncat 25%", "cat"]
