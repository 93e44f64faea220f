"""What evaluation makes of an image, against places known without it."""

import numpy as np
import pytest
from PIL import Image

from mobilenets.config.schema import Preprocessing
from mobilenets.data.preprocessing import prepare_image


def places(width, height):
    """An image whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.full_like(rows, 7)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def noise(size=24):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def test_the_centre_is_cut_out_without_resizing_where_the_short_side_fits():
    """16 / 0.8 = 20 is the short side; (30 - 16) / 2 = 7 and (20 - 16) / 2 = 2."""
    cropped = prepare_image(places(30, 20), 16, Preprocessing(crop_fraction=0.8))
    rows, columns = np.mgrid[2:18, 7:23]
    np.testing.assert_array_equal(cropped[..., 0], columns)
    np.testing.assert_array_equal(cropped[..., 1], rows)


def test_the_short_side_is_resized_before_the_centre_is_cut_out():
    """80 x 40 becomes 40 x 20, of which columns 12 to 27 and rows 2 to 17 remain.

    Pixel i of the smaller image lies between pixels 2i and 2i + 1 of the larger.
    """
    cropped = prepare_image(places(80, 40), 16, Preprocessing(crop_fraction=0.8))
    rows, columns = np.mgrid[2:18, 12:28]
    np.testing.assert_allclose(cropped[..., 0], 2 * columns + 0.5, atol=0.5)
    np.testing.assert_allclose(cropped[..., 1], 2 * rows + 0.5, atol=0.5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_an_image_of_the_resolution_stays_as_it_is(interpolation):
    preprocessing = Preprocessing(crop_fraction=1.0, interpolation=interpolation)
    cropped = prepare_image(noise(), 24, preprocessing)
    np.testing.assert_array_equal(cropped, np.asarray(noise()))


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (33, 32)])
def test_the_centre_crop_of_any_image_has_the_resolution(size):
    cropped = prepare_image(Image.new("RGB", size), 32, Preprocessing())
    assert (cropped.shape, cropped.dtype) == ((32, 32, 3), np.uint8)


SQUASH = Preprocessing(resize="squash", crop_fraction=1.0)


def test_squashed_pixels_are_those_worked_by_hand():
    """4 x 2 to 2 x 2: columns by a triangle 4 wide around 1 and 3, rows as they are.

    Its weights at the centres of the columns, 0.5 to 3.5, are 3/4, 3/4, 1/4 and, at the
    far end, none; of a sum of 7/4.
    """
    rows = np.array([[0, 70, 140, 210], [7, 7, 7, 77]], np.uint8)
    squashed = prepare_image(Image.fromarray(rows).convert("RGB"), 2, SQUASH)
    left = (3 * rows[:, 0] + 3.0 * rows[:, 1] + rows[:, 2]) / 7
    right = (rows[:, 1] + 3.0 * rows[:, 2] + 3.0 * rows[:, 3]) / 7
    expected = np.stack([left, right], axis=-1)
    np.testing.assert_allclose(squashed[..., 0], expected, atol=0.51)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_squashing_is_pils_resize_of_the_whole_image(interpolation):
    pixels = np.random.default_rng(1).integers(0, 256, (37, 50, 3), np.uint8)
    image = Image.fromarray(pixels)
    preprocessing = SQUASH.model_copy(update={"interpolation": interpolation})
    kind = Image.Resampling[interpolation.upper()]
    np.testing.assert_array_equal(
        prepare_image(image, 24, preprocessing),
        np.asarray(image.resize((24, 24), kind)),
    )


def test_what_is_squashed_is_not_cropped():
    with pytest.raises(ValueError, match=r"crop_fraction is 0\.9: give 1\.0"):
        Preprocessing(resize="squash", crop_fraction=0.9)
