"""The numbers of every metric are those worked by hand, whatever the batches."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets.metrics import average_precision, confusion
from mobilenets.metrics.average_precision import AveragePrecision
from mobilenets.metrics.calibration import Calibration
from mobilenets.metrics.confusion import Confusion
from mobilenets.metrics.mistakes import Mistakes
from mobilenets.metrics.several import Several
from mobilenets.metrics.top_k import TOP_K

NAN = float("nan")


def total_of(metric, batches):
    """The total over (logits, batch) pairs, as the evaluation finds it."""
    update, total = jax.jit(metric.update), metric.empty()
    for logits, batch in batches:
        outputs = jnp.asarray(logits, jnp.float32), {}
        total = metric.merge(total, jax.device_get(update(outputs, batch)))
    return total


def in_batches(size, logits, **columns):
    """Batches of that size; the last one is filled up with examples of mask 0."""
    filled = -(-len(logits) // size) * size
    mask = np.float32(np.arange(filled) < len(logits))

    def fill(x):
        return np.concatenate([x, np.repeat(x[:1], filled - len(x), axis=0)])

    logits, columns = fill(logits), {k: fill(v) for k, v in columns.items()}
    for start in range(0, filled, size):
        part = slice(start, start + size)
        batch = {k: v[part] for k, v in columns.items()} | {"mask": mask[part]}
        yield logits[part], batch


def random_examples(count, classes):
    rng = np.random.default_rng(0)
    logits = np.float32(rng.integers(-3, 4, (count, classes)))  # with many ties
    target = rng.choice(np.float32([0, 1, NAN]), (count, classes), p=[0.5, 0.3, 0.2])
    return {
        "logits": logits,
        "label": rng.integers(0, classes, count, np.int32),
        "index": np.arange(count, dtype=np.int32),
        "target": target,
    }


def test_top_k_ignores_the_masked_rows():
    logits = np.log(
        [
            [1.0, 2.0, 3.0, 4.0, 5.0, 25.0],  # right: 25 / 40
            [1.0, 20.0, 3.0, 4.0, 5.0, 7.0],  # the third of six: 5 / 40
            [1.0, 20.0, 3.0, 4.0, 5.0, 7.0],  # the last: 1 / 40
            [1.0, 2.0, 3.0, 4.0, 5.0, 25.0],  # right, but masked
        ]
    )
    batch = {"label": np.int32([5, 4, 0, 5]), "mask": np.float32([1, 1, 1, 0])}
    by_hand = {
        "loss": math.log(40 / 25) + math.log(40 / 5) + math.log(40),
        "top1": 1,
        "top5": 2,
        "count": 3,
    }
    total = total_of(TOP_K, [(logits, batch)])
    assert total == pytest.approx(by_hand, rel=1e-6)
    found = TOP_K.compute({"loss": 3.0, "top1": 1.0, "top5": 2.0, "count": 4.0})
    assert found == {"loss": 0.75, "top1": 0.25, "top5": 0.5, "count": 4.0}
    assert tuple(found) == TOP_K.names


def test_fewer_than_five_classes_are_all_in_the_top_five():
    batch = {"label": np.int32([0, 1]), "mask": np.ones(2, np.float32)}
    total = total_of(TOP_K, [([[0.0, 1.0, 2.0]] * 2, batch)])
    assert (total["top1"], total["top5"], total["count"]) == (0, 2, 2)


def test_sums_are_kept_in_double_precision():
    # As float32 each of the 1,000 additions of 1 to 2**24 would be lost.
    one = {"loss": np.float32(1), "top1": 1, "top5": 1, "count": np.float32(1)}
    total = TOP_K.merge(TOP_K.empty(), one | {"loss": np.float32(2**24)})
    for _ in range(1000):
        total = TOP_K.merge(total, one)
    assert total["loss"] == 2**24 + 1000


def test_average_precision_worked_by_hand():
    # By falling score: + - + + -. Precision 1/1, 2/3 and 3/4 at the three positives.
    scores, targets = np.array([5.0, 4, 3, 2, 1]), np.array([1.0, 0, 1, 1, 0])
    expected = (1 + Fraction(2, 3) + Fraction(3, 4)) / 3
    shuffled = [3, 0, 4, 1, 2]
    found = average_precision.average_precision(scores[shuffled], targets[shuffled])
    assert found == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 3, 2, 4]])
def test_examples_of_equal_scores_are_one_threshold(order):
    # {+ -} share a score, then {+ - -}: precision 1/2 for half of the recall, then 2/5.
    scores, targets = np.array([2.0, 2, 1, 1, 1]), np.array([1.0, 0, 1, 0, 0])
    found = average_precision.average_precision(scores[order], targets[order])
    assert found == pytest.approx((1 / 2 + 2 / 5) / 2, rel=1e-12)


def test_all_scores_equal_give_the_share_of_positives():
    targets = np.array([1.0, 0, 0, 1, 0, 0, 0, 0])
    found = average_precision.average_precision(np.zeros(8), targets)
    assert found == pytest.approx(2 / 8)


def test_unknown_labels_do_not_take_part():
    scores, targets = np.array([9.0, 5, 4, 3, 3]), np.array([NAN, 0, 1, NAN, 1])
    known = average_precision.average_precision(
        scores[[1, 2, 4]], np.array([0.0, 1, 1])
    )
    assert average_precision.average_precision(scores, targets) == known
    assert known == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_attributes_without_a_positive_are_left_out_and_counted():
    metric = AveragePrecision()
    logits = np.array([[2.0, 5, 1, 0], [1, 5, 2, 0], [0, 5, 3, 0]])
    target = np.float32([[0, 0, NAN, NAN], [1, 0, 0, NAN], [NAN, 0, 1, NAN]])
    total = total_of(metric, in_batches(2, logits, label=target))
    values = average_precision.by_attribute(total)
    np.testing.assert_array_equal(values, [1 / 2, NAN, 1, NAN])
    assert metric.compute(total) == {"mAP": 3 / 4, "attributes_left_out": 2}
    none = total_of(metric, in_batches(2, logits, label=np.zeros_like(target)))
    assert metric.compute(none) == {"mAP": 0, "attributes_left_out": 4}


def test_average_precision_is_the_one_of_the_definition():
    """Against precision and recall at every threshold, counted the slow way."""
    examples = random_examples(60, 5)
    total = total_of(
        AveragePrecision(),
        in_batches(60, examples["logits"], label=examples["target"]),
    )
    for attribute, found in enumerate(average_precision.by_attribute(total)):
        scores = examples["logits"][:, attribute]
        target = examples["target"][:, attribute]
        known = ~np.isnan(target)
        expected, recall_before = 0.0, 0.0
        for threshold in sorted(set(scores[known]), reverse=True):
            chosen = known & (scores >= threshold)
            recall = (target[chosen] == 1).sum() / (target == 1).sum()
            precision = (target[chosen] == 1).sum() / chosen.sum()
            expected += (recall - recall_before) * precision
            recall_before = recall
        assert found == pytest.approx(expected, rel=1e-12)


def test_scores_that_are_nearly_certain_are_not_ties():
    # As probabilities all three are 1.0 in float32.
    logits = np.array([[40.0], [50], [60]])
    target = np.float32([[0], [0], [1]])
    total = total_of(AveragePrecision(), in_batches(3, logits, label=target))
    assert AveragePrecision().compute(total)["mAP"] == 1


def test_confusion_worked_by_hand():
    metric = Confusion(3)
    logits = np.eye(3)[[0, 0, 1, 1, 1]]
    total = total_of(metric, in_batches(2, logits, label=np.int32([0, 1, 1, 1, 0])))
    np.testing.assert_array_equal(total, [[1, 1, 0], [1, 2, 0], [0, 0, 0]])
    accuracies = confusion.class_accuracies(total)
    np.testing.assert_array_equal(accuracies, [1 / 2, 2 / 3, NAN])
    assert metric.compute(total) == {"balanced_accuracy": (1 / 2 + 2 / 3) / 2}


def test_a_confusion_above_the_integers_of_float32_is_exact():
    metric = Confusion(2)
    total = metric.merge(metric.empty(), np.int32([[2**24, 0], [0, 2**31 - 1]]))
    for _ in range(2):
        logits = np.eye(2)[[0, 1]]
        batch = {"label": np.int32([0, 1]), "mask": np.float32([1, 1])}
        update = metric.update((jnp.asarray(logits), {}), batch)
        assert update.dtype == jnp.int32
        total = metric.merge(total, jax.device_get(update))
    # Neither 2**24 + 1 in float32 nor 2**31 in int32.
    assert total.tolist() == [[2**24 + 2, 0], [0, 2**31 + 1]]


def test_the_most_confident_mistakes_are_kept():
    logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.8, 0.2], [0.05, 0.95]])
    total = total_of(
        Mistakes(2),
        in_batches(
            3,
            logits,
            label=np.int32([0, 1, 0, 1, 1]),  # the last and the first are right
            index=np.arange(10, 15, dtype=np.int32),
        ),
    )
    assert total["index"].tolist() == [11, 13]
    assert total["label"].tolist() == [1, 1]
    assert total["predicted"].tolist() == [0, 0]
    assert total["confidence"] == pytest.approx([0.8, 0.8], rel=1e-6)


def test_mistakes_are_bounded_while_they_are_collected():
    metric, sizes = Mistakes(5), []
    total = metric.empty()
    for i in range(20):
        update = {
            "index": np.arange(100 * i, 100 * (i + 1), dtype=np.int32),
            "label": np.zeros(100, np.int32),
            "predicted": np.ones(100, np.int32),
            "confidence": np.linspace(0.1, 0.9, 100, dtype=np.float32),
            "wrong": np.ones(100, bool),
        }
        total = metric.merge(total, update)
        sizes.append(len(total))
    assert sizes == [5] * 20
    assert total["index"].tolist() == [99, 199, 299, 399, 499]


# Logits of five classes, and for each image which are right.
SEVERAL = {
    "logits": np.log([[0.4, 0.3, 0.15, 0.1, 0.05]] * 4),
    "label": np.int32([1, 0, 4, 0]),
    "right": np.array(
        [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], bool
    ),
    "mask": np.float32([1, 1, 1, 0]),  # without a right class it is not counted
    "index": np.arange(4, dtype=np.int32),
}


def test_any_of_several_right_classes_is_a_hit():
    batch = dict(SEVERAL)
    metric = Several({"means": TOP_K, "c": Confusion(5), "m": Mistakes(3)})
    total = total_of(metric, [(batch.pop("logits"), batch)])
    found = metric.compute(total)
    losses = [-math.log(0.45), -math.log(0.45), -math.log(0.05)]
    assert found["loss"] == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert (found["top1"], found["count"]) == (1 / 3, 3)
    # The hit counts for the predicted class, a mistake for the first that is right.
    assert np.argwhere(total["c"]).tolist() == [[0, 0], [1, 0], [4, 0]]
    assert total["m"]["label"].tolist() == [1, 4]


def test_only_candidates_compete():
    candidates = np.array([[0, 1, 0, 1, 1]] * 4, bool)
    batch = {"label": np.int32([1, 3, 4, 1]), "candidates": candidates}
    batch["mask"] = np.float32([1, 1, 0, 0])
    total = total_of(TOP_K, [(SEVERAL["logits"], batch)])
    found = TOP_K.compute(total)
    losses = -math.log(0.3 / 0.45), -math.log(0.1 / 0.45)
    assert found["loss"] == pytest.approx(sum(losses) / 2, rel=1e-6)
    assert (found["top1"], found["top5"]) == (0.5, 1)
    total = total_of(Calibration(1), [(SEVERAL["logits"], batch)])
    found = Calibration(1).compute(total)["calibration_error"]
    assert found == pytest.approx(0.3 / 0.45 - 0.5, rel=1e-5)


def test_calibration_worked_by_hand():
    """Two bins: 0.45 is right and 0.4 wrong, 0.8 is right and 0.9 wrong."""
    logits = np.log([[0.45, 0.3, 0.25], [0.4, 0.35, 0.25], [0.1, 0.8, 0.1]])
    logits = np.concatenate([logits, np.log([[0.05, 0.05, 0.9]])])
    label = np.int32([0, 2, 1, 0])
    total = total_of(Calibration(2), in_batches(3, logits, label=label))
    by_hand = 2 / 4 * abs(1 / 2 - 0.85 / 2) + 2 / 4 * abs(1 / 2 - 1.7 / 2)
    found = Calibration(2).compute(total)["calibration_error"]
    assert found == pytest.approx(by_hand, rel=1e-5)


def test_calibration_is_that_of_numpy():
    examples = random_examples(500, 6)
    examples["logits"] /= 2
    total = total_of(
        Calibration(), in_batches(64, examples["logits"], label=examples["label"])
    )
    powers = np.exp(np.float64(examples["logits"]))
    probabilities = powers / powers.sum(1, keepdims=True)
    confidence = probabilities.max(1)
    hits = probabilities.argmax(1) == examples["label"]
    bins = np.digitize(confidence, np.linspace(0, 1, 16), right=True)
    error = sum(
        (bins == b).mean() * abs(hits[bins == b].mean() - confidence[bins == b].mean())
        for b in np.unique(bins)
    )
    found = Calibration().compute(total)["calibration_error"]
    assert len(np.unique(bins)) > 6
    assert found == pytest.approx(error, rel=1e-5)


def test_certainty_is_in_the_last_bin():
    logits = np.array([[0.0, 200.0]])
    batch = {"label": np.int32([1]), "mask": np.ones(1, np.float32)}
    total = total_of(Calibration(), [(logits, batch)])
    assert Calibration().compute(total) == {"calibration_error": 0}
    assert total["sums"][1].tolist() == [0] * 14 + [1]


@pytest.mark.parametrize("size", [1, 7, 23])
def test_batches_merge_to_what_one_batch_gives(size):
    examples = random_examples(23, 6)
    target = examples.pop("target")
    metric = Several(
        {
            "means": TOP_K,
            "calibration": Calibration(),
            "confusion": Confusion(6),
            "mistakes": Mistakes(4),
        }
    )
    whole = total_of(metric, in_batches(23, **examples))
    total = total_of(metric, in_batches(size, **examples))
    np.testing.assert_array_equal(total["confusion"], whole["confusion"])
    assert total["confusion"].sum() == 23
    np.testing.assert_array_equal(
        total["mistakes"]["index"], whole["mistakes"]["index"]
    )
    found, expected = metric.compute(total), metric.compute(whole)
    assert found == pytest.approx(expected, rel=1e-6)
    assert tuple(found) == metric.names
    assert metric.less_is_better == {"loss", "calibration_error"}

    # The same rows give the same average precision, to the bit.
    examples |= {"label": target}
    metric = Several({"precision": AveragePrecision()})
    whole = total_of(metric, in_batches(23, **examples))
    total = total_of(metric, in_batches(size, **examples))
    found = metric.compute(total)
    assert found == metric.compute(whole)
    assert tuple(found) == metric.names
    assert metric.less_is_better == {"attributes_left_out"}
