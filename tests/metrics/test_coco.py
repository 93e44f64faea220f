"""Average precision of boxes equals pycocotools' own, and is what one finds by hand."""

import contextlib
import copy
import io
import json
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mobilenets.metrics.coco import CocoAveragePrecision, as_coco_results

CLASSES = 4  # of which the last one is never there
NAMES = ("cat", "dog", "ant", "bee")
METRIC = CocoAveragePrecision(lambda outputs: outputs, CLASSES)
IDENTITY = np.array([[1.0, 1.0], [0.0, 0.0]], np.float32)
IMAGES, MOST = 12, 130


def random_corners(rng, count):
    """Small, medium and large boxes of an image of 300 x 300, a quarter of pixels."""
    start = rng.integers(0, 400, (count, 2)) / 4
    size = rng.integers(20, 800, (count, 2)) / 4
    return np.hstack([start, start + size]).astype(np.float32)


def some_images():
    """Boxes and detections of images: none in one, crowds, more than 100 boxes."""
    rng = np.random.default_rng(0)
    true, found = [], []
    for number in range(IMAGES):
        count = {0: 0, 1: 120}.get(number, int(rng.integers(1, 9)))
        corners = random_corners(rng, count)
        areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
        classes = rng.integers(0, CLASSES - 1, count)
        true.append(
            {
                "corners": corners,
                "classes": classes,
                "crowd": rng.random(count) < 0.2,
                "area": areas * rng.uniform(0.4, 1, count).astype(np.float32),
            }
        )
        # About where the boxes are, some of another class, and some where none are.
        moved = corners + rng.normal(0, 4, corners.shape).astype(np.float32)
        wrong = rng.integers(0, CLASSES, count)
        guessed = np.where(rng.random(count) < 0.8, classes, wrong)
        scores = rng.integers(1, 20, count + 5) / 20  # some are equal
        detections = {
            "boxes": np.concatenate([moved, random_corners(rng, 5)]),
            "classes": np.concatenate([guessed, rng.integers(0, CLASSES, 5)]),
            "scores": scores.astype(np.float32),
        }
        nothing = number == 2
        found.append({k: v[:0] if nothing else v for k, v in detections.items()})
    return true, found


class Detections(NamedTuple):
    boxes: Any
    scores: Any
    classes: Any


def filled(arrays, shape, dtype, rest=0):
    out = np.full((len(arrays), MOST, *shape), rest, dtype)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return jnp.asarray(out)


def batches(true, found, size):
    """Outputs and batches; the last one is filled up with rubbish, masked."""
    for first in range(0, len(true), size):
        places = np.arange(first, first + size)
        real = places < len(true)
        t = [true[place] for place in np.where(real, places, 1)]
        f = [found[place] for place in np.where(real, places, 1)]
        counts = np.array([[len(x["classes"])] for x in t])
        batch = {
            "pixel_boxes": filled([x["corners"] for x in t], (4,), np.float32),
            "classes": filled([x["classes"] for x in t], (), np.int32),
            "crowd": filled([x["crowd"] for x in t], (), bool),
            "area": filled([x["area"] for x in t], (), np.float32),
            "valid": jnp.asarray(np.arange(MOST) < counts),
            "to_image": jnp.asarray(np.stack([IDENTITY] * size)),
            "index": jnp.asarray(np.where(real, places, -1)),
            "mask": jnp.asarray(real.astype(np.float32)),
        }
        outputs = Detections(
            filled([x["boxes"] for x in f], (4,), np.float32),
            filled([x["scores"] for x in f], (), np.float32),
            filled([x["classes"] for x in f], (), np.int32, rest=-1),
        )
        yield outputs, batch


def total_of(true, found, size=4):
    total = METRIC.empty()
    for outputs, batch in batches(true, found, size):
        update = {k: np.asarray(v) for k, v in METRIC.update(outputs, batch).items()}
        total = METRIC.merge(total, update)
    return total


def bbox(corners):
    y_min, x_min, y_max, x_max = (float(value) for value in corners)
    return [x_min, y_min, x_max - x_min, y_max - y_min]


def pycocotools_by_hand(true, found, path):
    """The twelve numbers of pycocotools, from files as COCO has them."""
    annotations = [
        {
            "id": 1000 * number + place + 1,
            "image_id": number,
            "category_id": int(image["classes"][place]),
            "bbox": bbox(image["corners"][place]),
            "iscrowd": int(image["crowd"][place]),
            "area": float(image["area"][place]),
        }
        for number, image in enumerate(true)
        for place in range(len(image["classes"]))
    ]
    results = [
        {
            "image_id": number,
            "category_id": int(image["classes"][place]),
            "bbox": bbox(image["boxes"][place]),
            "score": float(image["scores"][place]),
        }
        for number, image in enumerate(found)
        for place in range(len(image["classes"]))
    ]
    content = {
        "images": [{"id": number} for number in range(len(true))],
        "categories": [{"id": number, "name": n} for number, n in enumerate(NAMES)],
        "annotations": annotations,
    }
    path.write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation, results


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    return pycocotools_by_hand(
        *some_images(), tmp_path_factory.mktemp("coco") / "instances.json"
    )


@pytest.mark.parametrize("size", [1, 5, 12])
def test_the_numbers_are_those_of_pycocotools_at_any_batch_size(by_hand, size, capsys):
    numbers = METRIC.compute(total_of(*some_images(), size))
    assert tuple(numbers) == METRIC.names
    expected = by_hand[0].stats[:9]
    assert (expected > 0.01).all()
    np.testing.assert_allclose(list(numbers.values()), expected, rtol=1e-12)
    assert capsys.readouterr().out == ""


def test_results_are_those_that_pycocotools_takes(by_hand):
    total = total_of(*some_images())[::-1]
    results = as_coco_results(total, range(IMAGES), range(CLASSES))
    assert results == by_hand[1]
    ids = as_coco_results(total, [f"a{i}" for i in range(IMAGES)], [3, 7, 90, 91])
    assert (ids[0]["image_id"], {r["category_id"] for r in ids}) == (
        f"a{results[0]['image_id']}",
        {3, 7, 90, 91},
    )
    json.dumps(ids)


def test_classes_have_pycocotools_numbers_and_a_missing_one_nan(by_hand):
    numbers = METRIC.by_class(total_of(*some_images()), NAMES)
    precision = by_hand[0].eval["precision"][..., 0, 2]
    for place, name in enumerate(NAMES[:3]):
        expected = [
            precision[:, :, place],
            precision[0, :, place],
            precision[5, :, place],
        ]
        np.testing.assert_allclose(
            list(numbers[name].values()), [values.mean() for values in expected]
        )
    assert np.isnan(list(numbers["bee"].values())).all()


def one_image(corners, detected, scores):
    corners = np.array(corners, np.float32).reshape(-1, 4)
    true = {
        "corners": corners,
        "classes": np.zeros(len(corners), int),
        "crowd": np.zeros(len(corners), bool),
        "area": np.prod(corners[:, 2:] - corners[:, :2], axis=1),
    }
    found = {
        "boxes": np.array(detected, np.float32).reshape(-1, 4),
        "classes": np.zeros(len(detected), int),
        "scores": np.array(scores, np.float32),
    }
    return total_of([true], [found], 1)


def test_by_hand_one_of_two_found():
    """Precision is 1 at the recalls 0 to .5, 51 of 101, and 0 beyond."""
    total = one_image([[0, 0, 40, 40], [50, 50, 90, 90]], [[0, 0, 40, 40]], [0.9])
    numbers = METRIC.compute(total)
    assert numbers["AP"] == pytest.approx(51 / 101)
    assert numbers["AR100"] == pytest.approx(0.5)
    assert numbers["AP_medium"] == pytest.approx(51 / 101)
    assert np.isnan(numbers["AP_small"]) and np.isnan(numbers["AP_large"])
    curves = METRIC.precision_by_recall(total)
    assert curves.shape == (CLASSES, 101)
    np.testing.assert_allclose(curves[0], np.arange(101) <= 50)
    assert np.isnan(curves[1:]).all()


def test_by_hand_an_overlap_of_60_percent_counts_at_three_of_ten_thresholds():
    total = one_image([[0, 0, 10, 100]], [[0, 0, 10, 62]], [0.9])  # .5, .55 and .6
    numbers = METRIC.compute(total)
    assert (numbers["AP50"], numbers["AP75"]) == (pytest.approx(1), 0)
    assert numbers["AP"] == pytest.approx(0.3)


def test_without_any_detection_the_numbers_are_zero():
    numbers = METRIC.compute(one_image([[0, 0, 40, 40]], [], []))
    assert (numbers["AP"], numbers["AR100"]) == (0, 0)


def test_detections_are_brought_back_to_the_pixels_of_their_image():
    """A fraction f becomes y = 60 f - 10 and x = 40 f + 5."""
    ((outputs, batch),) = batches(*some_images(), IMAGES)
    to_image = np.stack([np.array([[60, 40], [-10, 5]], np.float32)] * IMAGES)
    boxes = jnp.asarray([[[0.5, 0.25, 1, 0.75]] * MOST] * IMAGES)
    outputs = outputs._replace(boxes=boxes)
    update = METRIC.update(outputs, {**batch, "to_image": jnp.asarray(to_image)})
    np.testing.assert_allclose(update["detected_boxes"][3, 7], [20, 15, 50, 35])
