"""What evaluation makes of an image, against places known without it."""

import numpy as np
import pytest
from PIL import Image

from mobilenets.config.schema import Preprocessing
from mobilenets.data.geometry import Geometry, to_square
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


NO_ANTIALIAS = SQUASH.model_copy(update={"interpolation": "bilinear_no_antialias"})

# torch.nn.functional.interpolate(mode="bilinear", align_corners=False) of `waves`, by
# torch 2.14.1; by height and width.
# fmt: off
BY_TORCH = {
    (3, 3): [
        [32.7778, 104.3333, 90.5555],
        [63.3333, 23.0, 68.0],
        [59.8889, 78.3333, 96.7778],
    ],
    (8, 4): [
        [4.125, 23.375, 42.625, 61.875],
        [29.9922, 94.4141, 60.8359, 111.2578],
        [65.5703, 182.5234, 87.4766, 170.4297],
        [88.7734, 150.2578, 119.7422, 127.2266],
        [85.1016, 151.1172, 115.1328, 137.1484],
        [54.5547, 185.1016, 73.6484, 200.1953],
        [65.6328, 116.7109, 55.7891, 106.8672],
        [76.625, 60.875, 45.125, 29.375],
    ],
}
# fmt: on


def waves():
    """5 x 7 pixels that differ much."""
    rows, columns = np.mgrid[:5, :7]
    red = ((37 * rows**2 + 59 * columns * rows + 11 * columns) % 256).astype(np.uint8)
    return Image.fromarray(np.stack([red, 255 - red, red // 2], axis=-1))


@pytest.mark.parametrize("size", BY_TORCH)
def test_without_antialias_pixels_are_those_of_torch(size):
    height, width = size
    geometry = Geometry((0, 0, 7, 5), (width, height), (0, 0, width, height))
    sampled = geometry.sample(waves())
    assert (sampled.shape, sampled.dtype) == ((height, width, 3), np.float32)
    np.testing.assert_allclose(sampled[..., 0], BY_TORCH[size], atol=2e-4)
    np.testing.assert_allclose(sampled[..., 1], 255 - sampled[..., 0], atol=2e-4)
    # As every image to train, it is rounded.
    rounded = np.asarray(geometry.apply(waves(), "bilinear_no_antialias"))
    np.testing.assert_array_equal(rounded, np.rint(sampled))


def test_a_window_without_antialias_is_cut_out_of_the_whole():
    whole = Geometry((0, 0, 7, 5), (21, 10), (0, 0, 21, 10))
    window = Geometry((0, 0, 7, 5), (21, 10), (4, 2, 15, 9), mirrored=True)
    expected = whole.sample(waves())[2:9, 4:15][:, ::-1]
    np.testing.assert_allclose(window.sample(waves()), expected, atol=1e-4)


def test_beyond_the_image_there_is_the_fill_without_antialias():
    canvas = to_square((-7, -5, 14, 10), 6).sample(waves(), fill=(1, 2, 3))
    inside = np.zeros((6, 6), bool)
    inside[2:4, 2:4] = True
    assert (canvas[~inside] == (1, 2, 3)).all()
    expected = to_square((0, 0, 7, 5), 2).sample(waves())
    np.testing.assert_allclose(canvas[2:4, 2:4], expected, atol=1e-4)


def test_without_antialias_pixels_to_evaluate_are_not_rounded():
    prepared = prepare_image(waves(), 3, NO_ANTIALIAS)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared[..., 0], BY_TORCH[3, 3], atol=2e-4)
    strip = Image.new("RGB", (70_001, 3), (9, 8, 7))  # takes little memory
    assert (prepare_image(strip, 32, NO_ANTIALIAS) == (9, 8, 7)).all()
