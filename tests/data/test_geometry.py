"""One geometry moves an image and its boxes alike."""

import numpy as np
import pytest
from PIL import Image

from mobilenets.config.schema import Preprocessing
from mobilenets.data.boxes import boxes_of, seen
from mobilenets.data.geometry import Geometry, center_crop, padded_to_square, to_square
from mobilenets.data.preprocessing import fit, prepare_image

MARKED = (8, 12, 20, 36)  # of an image of 60 x 40
GREY = (127, 127, 127)

# Half the size: 4, 6, 10, 18. To the middle 16 x 16 of 30 x 20 columns 7 and rows 2 are
# left out.
BY_HAND = [
    (to_square((0, 0, 60, 40), 20), (8 / 40, 12 / 60, 20 / 40, 36 / 60)),
    (center_crop(60, 40, 16, 20), (2 / 16, -1 / 16, 8 / 16, 11 / 16)),
    # The long side becomes 30, the short 20, between 5 rows above and 5 below.
    (padded_to_square((0, 0, 60, 40), 30), (9 / 30, 6 / 30, 15 / 30, 18 / 30)),
    (to_square((12, 8, 36, 20), 24), (0, 0, 1, 1)),
    (Geometry((0, 0, 60, 40), (60, 40), (0, 0, 60, 40), True), (0.2, 0.4, 0.5, 0.8)),
    # Twice as wide and high around it: a canvas of 120 x 80, the image at (30, 20).
    (to_square((-30, -20, 90, 60), 40), (28 / 80, 42 / 120, 40 / 80, 66 / 120)),
]


@pytest.mark.parametrize(("geometry", "expected"), BY_HAND)
def test_boxes_go_where_paper_and_pencil_put_them(geometry, expected):
    moved = geometry.move(np.array([MARKED], np.float32))
    np.testing.assert_allclose(moved, [expected], atol=1e-6)
    assert moved.dtype == np.float32


def random_geometry(rng):
    left, top = rng.integers(-30, 15), rng.integers(-20, 8)
    box = (left, top, left + rng.integers(60, 99), top + rng.integers(40, 90))
    w, h = (int(n) for n in rng.integers(100, 200, 2))
    x, y = rng.integers(-40, 20, 2)
    window = (x, y, x + int(rng.integers(w, 260)), y + int(rng.integers(h, 240)))
    return Geometry(
        tuple(map(int, box)), (w, h), tuple(map(int, window)), bool(rng.random() < 0.5)
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_painted_box_stays_in_its_box(painted, painted_box, seed):
    """Up to half a pixel on either side, where pixels are cut through the middle."""
    geometry = random_geometry(np.random.default_rng(seed))
    image = geometry.apply(painted(60, 40, MARKED), "bilinear")
    moved = geometry.move(np.array([MARKED], np.float32))[0]
    shown = geometry.shown.reshape(2, 2)
    clipped = moved.reshape(2, 2).clip(*shown).ravel()
    pixels = clipped * np.tile(image.size[::-1], 2)
    np.testing.assert_allclose(painted_box(image), pixels, atol=0.51)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [0.4, 1.9])
def test_a_small_window_is_cut_out_of_the_whole(interpolation, scale, monkeypatch):
    """It alone is resized. The rounding of its place may change a pixel by one."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (211, 307, 3), np.uint8))
    size = round(300 * scale), round(205 * scale)
    box, side = (4, 5, 304, 210), round(60 * scale)

    def never(*arguments):
        raise AssertionError("the whole is resized")

    for left, top in ((0, 0), (size[0] - side, size[1] - side), (31, 17)):
        window = left, top, left + side, top + side
        whole = Geometry(box, size, (0, 0, *size), True).apply(image, interpolation)
        mirrored = size[0] - left - side, top, size[0] - left, top + side
        expected = np.asarray(whole.crop(mirrored)).astype(int)
        with monkeypatch.context() as patch:
            patch.setattr("mobilenets.data.geometry._resized", never)
            found = Geometry(box, size, window, True).apply(image, interpolation)
        difference = np.abs(np.asarray(found).astype(int) - expected)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.02


def test_the_way_back_leads_to_the_pixels_of_the_image():
    for seed in range(20):
        geometry = random_geometry(np.random.default_rng(seed))
        geometry = Geometry(geometry.box, geometry.size, geometry.window)
        scale, offset = geometry.to_image
        moved = geometry.move(np.array([MARKED], np.float32)).reshape(2, 2)
        np.testing.assert_allclose(
            (moved * scale + offset).ravel(), MARKED, rtol=1e-5, atol=1e-4
        )


def test_what_is_not_in_the_image_has_the_colour_that_is_given(painted):
    white = painted(4, 4, (0, 0, 4, 4))
    for geometry in (
        to_square((-4, -4, 8, 8), 12),
        Geometry((0, 0, 4, 4), (4, 4), (-4, -4, 8, 8)),
    ):
        image = np.asarray(geometry.apply(white, "bilinear", GREY))
        assert (image[4:8, 4:8] == 255).all()
        assert (image == 127).all(axis=-1).sum() == 144 - 16
    beyond = to_square((10, 10, 20, 20), 5).apply(white, "bicubic", GREY)
    assert (np.asarray(beyond) == 127).all()


def test_a_box_is_seen_if_its_centre_is_and_is_clipped():
    """Of a window of columns 10 to 30 and rows 0 to 20."""
    geometry = to_square((10, 0, 30, 20), 7)
    corners = [[0, 4, 10, 18], [0, 0, 10, 18], [5, 20, 15, 44], [-9, 12, 5, 14]]
    boxes = seen(boxes_of(corners, [1, 2, 3, 4]), geometry)
    assert boxes.classes.tolist() == [1]
    np.testing.assert_allclose(boxes.corners, [[0, 0, 0.5, 0.4]], atol=1e-6)
    np.testing.assert_allclose(boxes.area, [140 / 400])


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (1, 1), (500, 1)])
def test_padding_keeps_the_shape_and_fills_up_with_the_mean(size):
    preprocessing = Preprocessing(
        resize="pad", crop_fraction=1.0, mean=(10.0, 20.4, 30.0)
    )
    image = Image.new("RGB", size, (255, 255, 255))
    padded = prepare_image(image, 32, preprocessing)
    white = (padded == 255).all(axis=-1)
    assert ((padded == (10, 20, 30)).all(axis=-1) | white).all()
    long, short = max(size), min(size)
    assert white.sum() == 32 * max(1, round(32 * short / long))
    geometry = fit(*size, 32, preprocessing)
    assert geometry.window[2] - geometry.window[0] == 32
