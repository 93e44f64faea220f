"""Random changes of images against facts known without them."""

import numpy as np
import pytest
from PIL import Image

from mobilenets.config.schema import (
    ColorJitter,
    Flip,
    Preprocessing,
    RandomCrop,
)
from mobilenets.data.operations import augment, random_box
from mobilenets.data.preprocessing import prepare_image

PREPROCESSING = Preprocessing()
WHOLE = RandomCrop(min_area=1.0, max_aspect_ratio=1.0)  # draws the whole image


class Highest(np.random.Generator):
    """Draws the top of every range."""

    def uniform(self, low=0.0, high=1.0):
        return high


def places(width, height):
    """An image whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.full_like(rows, 7)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def noise(size=24):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def augmented(image, seed=0, resolution=None, crop=WHOLE, flip=False, **colors):
    operations = (crop, *([Flip()] if flip else []), ColorJitter(**colors))
    rng = np.random.default_rng(seed)
    size = resolution or image.width
    return augment(image, rng, size, operations, PREPROCESSING)


@pytest.fixture(scope="module")
def boxes():
    """Many boxes of one image, [N, (left, top, right, bottom)]."""
    rng = np.random.default_rng(0)
    crop = RandomCrop(min_area=0.25, max_aspect_ratio=2.0)
    return np.array([random_box(500, 400, rng, crop) for _ in range(4000)])


def test_random_boxes_lie_in_the_image(boxes):
    left, top, right, bottom = boxes.T
    assert left.min() == 0 and top.min() == 0
    assert right.max() == 500 and bottom.max() == 400
    assert (left < right).all() and (top < bottom).all()


def test_random_boxes_fill_the_range_of_areas(boxes):
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top) / (500 * 400)
    # The sides are rounded to pixels.
    assert 0.245 < areas.min() < 0.26
    assert 0.9 < areas.max() <= 1
    # Uniform, but a box of share a and ratio r fits only if 1.25 a < r < 1.25 / a.
    share = np.linspace(0.25, 1, 10_000)
    shortest = np.maximum(np.log(1.25 * share), -np.log(2))
    longest = np.minimum(np.log(1.25 / share), np.log(2))
    density = longest - shortest
    expected = density[share < 0.4].sum() / density.sum()
    assert (areas < 0.4).mean() == pytest.approx(expected, abs=0.03)


def test_random_boxes_fill_the_range_of_aspect_ratios(boxes):
    left, top, right, bottom = boxes.T
    ratios = (right - left) / (bottom - top)
    assert 0.49 < ratios.min() < 0.55
    assert 1.8 < ratios.max() < 2.02
    # Uniform in its logarithm; an image wider than high favours wide boxes a little.
    assert 0 < np.log(ratios).mean() < 0.15


@pytest.mark.parametrize(
    ("size", "box"),
    [((900, 30), (430, 0, 470, 30)), ((30, 900), (0, 430, 30, 470))],
)
def test_a_very_long_image_gives_its_largest_centred_box(size, box):
    crop = RandomCrop(min_area=0.5, max_aspect_ratio=4 / 3)
    rng = np.random.default_rng(0)
    drawn = {random_box(*size, rng, crop) for _ in range(20)}
    assert drawn == {box}


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 1)])
def test_the_smallest_images_give_a_box(size):
    rng = np.random.default_rng(0)
    for _ in range(100):
        left, top, right, bottom = random_box(*size, rng, RandomCrop())
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]


def test_a_small_box_may_touch_either_end():
    rng = np.random.default_rng(0)
    for axis, size in enumerate([(2, 1), (1, 2)]):
        boxes = [random_box(*size, rng, RandomCrop()) for _ in range(100)]
        places = {(b[axis], b[axis + 2]) for b in boxes}
        assert {(0, 1), (1, 2)} <= places


def test_an_augmented_image_is_the_drawn_box():
    """Columns and rows of an image of places must run over a box in the range."""
    crop = RandomCrop(min_area=0.2, max_aspect_ratio=1.5)
    for seed in range(20):
        out = augmented(places(200, 200), seed, 50, crop).astype(float)
        (left, right), (top, bottom) = out[25, [0, -1], 0], out[[0, -1], 25, 1]
        width, height = (right - left) * 50 / 49, (bottom - top) * 50 / 49
        assert 0.19 < width * height / 200**2 <= 1.03
        assert 1 / 1.55 < width / height < 1.55
        assert (np.ptp(out[..., 0], axis=0) == 0).all()


def test_nothing_is_changed_where_all_augmentation_is_off():
    for seed in range(10):
        np.testing.assert_array_equal(augmented(noise(), seed), np.asarray(noise()))


def test_every_second_image_is_flipped():
    pixels = np.asarray(noise())
    flipped = 0
    for seed in range(200):
        out = augmented(noise(), seed, flip=True)
        mirrored = np.array_equal(out, pixels[:, ::-1])
        assert mirrored or np.array_equal(out, pixels)
        flipped += mirrored
    assert 70 < flipped < 130


def test_the_same_generator_gives_the_same_image():
    everything = {
        "crop": RandomCrop(min_area=0.1, max_aspect_ratio=2.0),
        "flip": True,
        "brightness": 0.3,
        "contrast": 0.3,
        "saturation": 0.3,
        "hue": 0.2,
    }
    a, b, c = (augmented(noise(), seed, **everything) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_half_a_turn_of_the_hue_makes_red_cyan():
    red = Image.new("RGB", (4, 4), "red")
    rng = Highest(np.random.PCG64(0))
    out = augment(red, rng, 4, [ColorJitter(hue=0.5)], PREPROCESSING)
    np.testing.assert_allclose(out, np.full((4, 4, 3), (0, 255, 255)), atol=6)


def hues(amount):
    """Hues in turns, -1/2 to 1/2, of a red image after many draws."""
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    drawn = []
    for seed in range(300):
        pixel = augmented(red, seed, hue=amount)[:1, :1]
        hue = int(np.asarray(Image.fromarray(pixel).convert("HSV"))[0, 0, 0])
        drawn.append(((hue + 128) % 256 - 128) / 256)
    return np.array(drawn)


def test_the_hue_turns_both_ways_up_to_its_amount():
    drawn = hues(0.2)
    assert -0.21 < drawn.min() < -0.18
    assert 0.18 < drawn.max() < 0.21


def test_brightness_multiplies_by_up_to_its_amount():
    grey = Image.new("RGB", (2, 2), (100, 100, 100))
    drawn = [augmented(grey, seed, brightness=0.3)[0, 0, 0] for seed in range(300)]
    assert 69 <= min(drawn) <= 72
    assert 128 <= max(drawn) <= 130


def test_saturation_moves_between_grey_and_the_color():
    """ITU-R 601: the grey of pure red is 0.299 * 255 = 76."""
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    drawn = np.array(
        [augmented(red, seed, saturation=1.0)[0, 0] for seed in range(300)]
    )
    greyest = drawn[drawn[:, 0].argmin()]
    np.testing.assert_allclose(greyest, [76, 76, 76], atol=3)
    assert drawn[:, 0].max() == 255


def test_contrast_keeps_the_mean_and_scales_the_spread():
    pixels = np.full((4, 4, 3), 60, np.uint8)
    pixels[:2] = 140
    spreads = []
    for seed in range(300):
        out = augmented(Image.fromarray(pixels), seed, contrast=0.5).astype(int)
        assert out[0, 0, 0] + out[3, 3, 0] == pytest.approx(200, abs=2)
        spreads.append(int(out[0, 0, 0]) - int(out[3, 3, 0]))
    assert 39 <= min(spreads) <= 43
    assert 117 <= max(spreads) <= 121


def test_colors_are_changed_in_random_order():
    """Brightness first or saturation first differ where a channel is clipped."""
    image = Image.new("RGB", (2, 2), (200, 60, 60))

    jitter = ColorJitter(brightness=0.9, saturation=0.9)
    outs = {
        augment(
            image, Highest(np.random.PCG64(seed)), 2, [WHOLE, jitter], PREPROCESSING
        ).tobytes()
        for seed in range(20)
    }
    assert len(outs) == 2


def test_without_a_random_crop_the_image_is_cut_as_in_evaluation():
    image = places(80, 40)
    preprocessing = Preprocessing(crop_fraction=0.8)
    rng = np.random.default_rng(0)
    expected = prepare_image(image, 16, preprocessing)
    out = augment(image, rng, 16, [], preprocessing)
    np.testing.assert_array_equal(out, expected)
    outs = [augment(image, rng, 16, [Flip()], preprocessing) for _ in range(20)]
    mirrored = [np.array_equal(o, expected[:, ::-1]) for o in outs]
    same = [np.array_equal(o, expected) for o in outs]
    assert any(mirrored) and any(same)
    assert all(a or b for a, b in zip(mirrored, same, strict=True))


def test_operations_draw_in_their_order():
    """The first number decides the flip, or is the first of the crop's."""
    crop = RandomCrop(min_area=0.2)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        mirrored = rng.random() < 0.5
        box = random_box(24, 24, rng, crop)
        expected = noise().resize((24, 24), Image.Resampling.BILINEAR, box=box)
        out = augment(
            noise(), np.random.default_rng(seed), 24, [Flip(), crop], PREPROCESSING
        )
        step = -1 if mirrored else 1
        np.testing.assert_array_equal(out, np.asarray(expected)[:, ::step])


def test_colours_are_changed_as_often_as_their_probability_says():
    image = noise()
    changed = [
        (
            augmented(image, seed, brightness=0.5, probability=0.25)
            != np.asarray(image)
        ).any()
        for seed in range(200)
    ]
    assert 0.15 < np.mean(changed) < 0.35
