"""Images in memory."""

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.data.sources.arrays import ArraySource

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
UNKNOWN = np.nan


def test_arrays_with_classes():
    source = ArraySource(IMAGES, np.array([1, 0, 1], np.uint8), ("cat", "dog"))
    assert (len(source), source.names, source.upright) == (3, ("cat", "dog"), False)
    np.testing.assert_array_equal(source[1].image, IMAGES[1])
    assert [source[i].target for i in range(3)] == [1, 0, 1]
    assert isinstance(source[0].target, int)


def test_grey_arrays_with_attributes():
    targets = np.array([[1, 0], [UNKNOWN, 1], [0, 0]])
    source = ArraySource(IMAGES[..., 0], targets, ["old", "smiles"])
    np.testing.assert_array_equal([source[i].target for i in range(3)], targets)
    assert source[0].target.dtype == np.float32
    assert source[0].image.shape == (4, 5)


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (IMAGES / 255, [0, 1, 0], "must be uint8, 0 to 255, but are float64: convert"),
        (IMAGES[..., :2], [0, 1, 0], r"shape \[N, H, W, 3\].* but have \[3, 4, 5, 2\]"),
        (IMAGES[0, 0], [0], r"but have \[5, 3\]"),
        (IMAGES[:0], [], "holds no images"),
        (IMAGES, [0, 1], "3 images, but 2 targets"),
        (IMAGES, [0, 1, 2], "must be 0 to 1, as there are 2 names, but are 0 to 2"),
        (IMAGES, [0, 1, -1], "but are -1 to 1"),
        (IMAGES, [0.0, 1.0, 1.0], "must be integers, but are float64; attributes"),
        (IMAGES, np.zeros((3, 3)), r"\[N, 2\] for 2 attributes, but have \[3, 3\]"),
        (
            IMAGES,
            [[0, 1], [1, 0], [0, 0.5]],
            r"1, 0 or nan \(unknown\), but one is 0\.5",
        ),
    ],
)
def test_other_arrays_are_refused(images, targets, message):
    with pytest.raises(UserError, match=message):
        ArraySource(images, np.array(targets), ("cat", "dog"))
