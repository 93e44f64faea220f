"""The numbers of pixels are those worked by hand, however they come in batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets.metrics.pixels import PixelConfusion, intersections_over_unions

METRIC = PixelConfusion(lambda outputs, batch: outputs, num_classes=4)

# Two images of 2 x 4; class 3 has no labelled pixel, 255 has no label.
LABELS = np.array(
    [[[0, 0, 1, 1], [2, 2, 255, 255]], [[0, 1, 1, 1], [255, 0, 0, 2]]], np.uint8
)
PREDICTED = np.array(
    [[[0, 1, 1, 1], [2, 3, 0, 0]], [[0, 1, 1, 0], [2, 0, 2, 2]]], np.uint8
)
# Rows are true. 0: four right, one taken for 1, one ... as counted with a pencil:
# true 0: pixels (0,0) 0; (0,1) 1; image 2 (0,0) 0; (1,1) 0; (1,2) 2
# true 1: (0,2) 1; (0,3) 1; image 2 (0,1) 1; (0,2) 1; (0,3) 0
# true 2: (1,0) 2; (1,1) 3; image 2 (1,3) 2
MATRIX = [[3, 1, 1, 0], [1, 4, 0, 0], [0, 0, 2, 1], [0, 0, 0, 0]]
# Right / (true + predicted - right).
IOUS = [3 / (5 + 4 - 3), 4 / (5 + 5 - 4), 2 / (3 + 3 - 2)]


def total_of(labels, predicted, size, metric=METRIC):
    update, total = jax.jit(metric.update), metric.empty()
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        missing = size - len(labels[part])
        pad = [(0, missing), (0, 0), (0, 0)]
        mask = np.float32(np.arange(size) < size - missing)
        # What fills the batch up has labels, but is masked.
        batch = {"labels": np.pad(labels[part], pad), "mask": mask}
        outputs = jnp.asarray(np.pad(predicted[part], pad))
        total = metric.merge(total, jax.device_get(update(outputs, batch)))
    return total


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_matrix_and_its_numbers_are_those_of_a_pencil(size):
    total = total_of(LABELS, PREDICTED, size)
    assert total.tolist() == MATRIX and total.dtype == np.int64
    assert METRIC.compute(total) == {
        "mIoU": pytest.approx(np.mean(IOUS)),
        "pixel_accuracy": pytest.approx(9 / 13),
        "classes_left_out": 1.0,
    }
    rows = METRIC.by_class(total, ("a", "b", "c", "d"))
    assert [row["IoU"] for row in rows.values()] == pytest.approx(
        [*IOUS, np.nan], nan_ok=True
    )
    assert [row["pixels"] for row in rows.values()] == [5, 5, 3, 0]
    assert rows["a"]["accuracy"] == pytest.approx(3 / 5)


def test_counts_are_exact_beyond_what_float32_can_tell_apart():
    """2**24 + 1 is the first whole number that float32 does not have."""
    total = np.zeros((4, 4), np.int64)
    total[0, 0] = 2**24
    image = np.zeros((1, 1, 1), np.uint8)
    batch = {"labels": image, "mask": np.ones(1, np.float32)}
    for _ in range(3):
        total = METRIC.merge(total, METRIC.update(jnp.asarray(image), batch))
    assert total[0, 0] == 2**24 + 3
    assert np.float32(2**24) + np.float32(1) == 2**24


def test_images_without_a_labelled_pixel_have_no_numbers():
    total = total_of(np.full_like(LABELS, 255), PREDICTED, 2)
    numbers = METRIC.compute(total)
    assert np.isnan(numbers["mIoU"]) and np.isnan(numbers["pixel_accuracy"])
    assert numbers["classes_left_out"] == 4


def test_random_pixels_give_the_sets_of_the_definition():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, (2, 6, 9, 7), np.uint8)
    total = total_of(labels, predicted, 4)
    for number in range(4):
        true, found = labels == number, predicted == number
        expected = (true & found).sum() / (true | found).sum()
        assert intersections_over_unions(total)[number] == pytest.approx(expected)
