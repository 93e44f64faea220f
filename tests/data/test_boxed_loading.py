"""What a network gets of a photograph with boxes: pixels and boxes that agree."""

import types

import numpy as np
import pytest

from mobilenets.config.schema import (
    ColorJitter,
    Expand,
    Flip,
    Preprocessing,
    RandomCrop,
    SsdCrop,
)
from mobilenets.data.boxes import NO_BOXES, boxes_of
from mobilenets.data.geometry import Geometry
from mobilenets.data.loading import BoxedImageLoader
from mobilenets.data.pipeline import eval_batches, train_batches
from mobilenets.data.preprocessing import fit
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.boxed_folder import BoxedFolderSource
from mobilenets.metrics.coco import CocoAveragePrecision

MARKED = (30, 40, 90, 150)  # of an image of 240 x 160
SQUASH = Preprocessing(resize="squash", crop_fraction=1.0)
PAD = Preprocessing(resize="pad", crop_fraction=1.0)
ALL = (ColorJitter(hue=0.05, probability=0.5), Expand(), SsdCrop(), Flip())


def loader(preprocessing=SQUASH, augmentation=(), most=3, resolution=120):
    return BoxedImageLoader(resolution, preprocessing, augmentation, True, most)


@pytest.fixture
def record(painted):
    pixels = np.asarray(painted(240, 160, MARKED))
    return Record(pixels, boxes_of([MARKED], [2]), "a.png")


@pytest.mark.parametrize("preprocessing", [SQUASH, PAD])
def test_a_painted_box_stays_in_its_box_whatever_is_drawn(
    record, painted_box, preprocessing
):
    kept = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        example = loader(preprocessing, ALL).augmented(record, rng)
        assert example["image"].shape == (120, 120, 3)
        if example["valid"][0]:  # else the centre is not shown
            kept += 1
            light = (example["image"].min(axis=-1) > 200)[..., None]
            found = painted_box(light * np.uint8(255))
            np.testing.assert_allclose(found, example["boxes"][0] * 120, atol=1.01)
    assert kept > 15


def test_a_crop_of_classification_moves_boxes_too(record, painted_box):
    augmentation = (RandomCrop(min_area=0.5), Flip())
    kept = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        example = loader(Preprocessing(), augmentation).augmented(record, rng)
        if example["valid"][0]:
            kept += 1
            found = painted_box(example["image"])
            np.testing.assert_allclose(found, example["boxes"][0] * 120, atol=0.6)
    assert kept > 5


def test_what_is_drawn_depends_on_the_generator_alone(record):
    load = loader(augmentation=ALL).augmented
    first, again, other = (
        load(record, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    for key, array in first.items():
        np.testing.assert_array_equal(array, again[key])
    assert (first["boxes"] != other["boxes"]).any()


@pytest.mark.parametrize("preprocessing", [SQUASH, PAD, Preprocessing()])
def test_an_example_to_evaluate_leads_back_to_the_pixels_of_its_image(
    record, painted_box, preprocessing
):
    example = loader(preprocessing).prepared(record)
    assert example["pixel_boxes"].tolist() == [[*MARKED], [0] * 4, [0] * 4]
    assert example["area"].tolist() == [60 * 110, 0, 0]
    seen = np.array(painted_box(example["image"])) / 120
    scale, offset = example["to_image"]
    back = (seen.reshape(2, 2) * scale + offset).ravel()
    inside = seen % 1 != 0  # at the border the box is cut off
    np.testing.assert_allclose(back[inside], np.array(MARKED)[inside], atol=1.1)


def test_padding_has_the_shapes_of_an_example(record):
    load = loader()
    example = load.prepared(record)
    assert list(load.padding) == list(example)
    for key, array in load.padding.items():
        assert (array.shape, array.dtype) == (example[key].shape, example[key].dtype)
    assert not load.padding["valid"].any()


def test_an_image_without_boxes_is_an_example_like_any_other(painted):
    record = Record(np.asarray(painted(9, 7)), NO_BOXES, "a.png")
    example = loader(augmentation=ALL).augmented(record, np.random.default_rng(0))
    assert not example["valid"].any()
    assert not loader().prepared(record)["valid"].any()


@pytest.fixture
def source(coco):
    boxes = [(3, 2, 3, 10, 4), (5, 20, 8, 15, 20), (5, 1, 1, 30, 28)]
    root = coco({f"{i}.png": boxes[: i % 4] for i in range(7)})
    return BoxedFolderSource(str(root), "train")


def test_a_batch_depends_on_seed_and_step_alone(source):
    load = loader(augmentation=ALL, resolution=24).augmented
    batches = train_batches(source, load, 4, seed=1)
    first = [next(batches) for _ in range(5)]
    assert first[0]["boxes"].shape == (4, 3, 4)
    later = train_batches(source, load, 4, seed=1, first_step=3)
    for key, array in next(later).items():
        np.testing.assert_array_equal(array, first[3][key])
    other = next(train_batches(source, load, 4, seed=2))
    assert (other["image"] != first[0]["image"]).any()


@pytest.mark.parametrize("preprocessing", [SQUASH, PAD, Preprocessing()])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_who_detects_just_the_boxes_has_all_of_the_average_precision(
    source, preprocessing, batch_size
):
    """The detections are fractions of the network's input, whatever it shows."""
    load = loader(preprocessing, resolution=32)
    geometry: Geometry = fit(40, 30, 32, preprocessing)
    metric = CocoAveragePrecision(lambda outputs: outputs, num_classes=2)
    total = metric.empty()
    for batch in eval_batches(source, load.prepared, load.padding, batch_size):
        corners = batch["pixel_boxes"].reshape(-1, 4)
        outputs = types.SimpleNamespace(
            boxes=geometry.move(corners).reshape(batch["pixel_boxes"].shape),
            classes=np.where(batch["valid"], batch["classes"], -1),
            scores=np.full(batch["classes"].shape, 0.5, np.float32),
        )
        total = metric.merge(total, metric.update(outputs, batch))
    assert sorted(row.index for row in total) == list(range(7))
    assert sum(len(row.boxes) for row in total) == source.box_counts.sum() == 9
    numbers = metric.compute(total)
    assert (numbers["AP"], numbers["AP75"]) == (pytest.approx(1), pytest.approx(1))
