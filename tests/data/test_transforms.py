"""Decoding, random crops and the centre crop against facts known without them."""

import io

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import (
    ColorJitter,
    Flip,
    Preprocessing,
    RandomCrop,
)
from mobilenets.data import transforms

# Draws the whole image and changes nothing.


def operations(min_area=1.0, max_aspect_ratio=1.0, flip=False, **colors):
    """With what is not given, nothing is changed."""
    crop = RandomCrop(min_area=min_area, max_aspect_ratio=max_aspect_ratio)
    return (crop, *([Flip()] if flip else []), ColorJitter(**colors))


class Highest(np.random.Generator):
    """Draws the top of every range."""

    def uniform(self, low=0.0, high=1.0):
        return high


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def places(width, height):
    """An image whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.full_like(rows, 7)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def noise(size=24):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def augmented(image, seed=0, resolution=None, **changes):
    return transforms.augment(
        image,
        np.random.default_rng(seed),
        resolution or image.width,
        operations(**changes),
        "bilinear",
    )


ORANGE = (240, 130, 40)
GREY = (90, 90, 90)


@pytest.mark.parametrize(
    ("image", "kind", "options", "color"),
    [
        (Image.new("RGB", (8, 6), ORANGE), "JPEG", {"quality": 100}, ORANGE),
        (Image.new("RGB", (8, 6), ORANGE), "PNG", {}, ORANGE),
        (Image.new("RGB", (8, 6), ORANGE), "WEBP", {"lossless": True}, ORANGE),
        (Image.new("RGBA", (8, 6), (*ORANGE, 255)), "PNG", {}, ORANGE),
        (Image.new("RGB", (8, 6), ORANGE).quantize(4), "PNG", {}, ORANGE),
        (Image.new("L", (8, 6), 90), "PNG", {}, GREY),
        (Image.new("L", (8, 6), 90), "JPEG", {"quality": 100}, GREY),
        # No ink but cyan leaves the other two colours.
        (Image.new("CMYK", (8, 6), (255, 0, 0, 0)), "JPEG", {}, (0, 255, 255)),
    ],
    ids=["jpeg", "png", "webp", "alpha", "palette", "grey png", "grey jpeg", "cmyk"],
)
def test_images_of_every_kind_become_rgb(image, kind, options, color):
    decoded = transforms.decode(encoded(image, kind, **options), "x")
    assert (decoded.mode, decoded.size) == ("RGB", (8, 6))
    # JPEG rounds its YCbCr.
    np.testing.assert_allclose(
        np.asarray(decoded).reshape(-1, 3)[:], [color] * 48, 0, 3
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_image_is_named(kind):
    content = encoded(noise(64), kind)
    transforms.decode(content, "whole")
    with pytest.raises(UserError, match=r"Cannot decode the image cats/7\.jpg"):
        transforms.decode(content[: len(content) // 2], "cats/7.jpg")


@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>"])
def test_what_is_no_image_is_named(content):
    with pytest.raises(UserError, match=r"record 5 of birds.*Remove or replace it"):
        transforms.decode(content, "record 5 of birds")


@pytest.fixture(scope="module")
def boxes():
    """Many boxes of one image, [N, (left, top, right, bottom)]."""
    rng = np.random.default_rng(0)
    augmentation = RandomCrop(min_area=0.25, max_aspect_ratio=2.0)
    return np.array(
        [transforms.random_box(500, 400, rng, augmentation) for _ in range(4000)]
    )


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
    augmentation = RandomCrop(min_area=0.5, max_aspect_ratio=4 / 3)
    rng = np.random.default_rng(0)
    drawn = {transforms.random_box(*size, rng, augmentation) for _ in range(20)}
    assert drawn == {box}


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 1)])
def test_the_smallest_images_give_a_box(size):
    rng = np.random.default_rng(0)
    for _ in range(100):
        left, top, right, bottom = transforms.random_box(*size, rng, RandomCrop())
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]


def test_a_small_box_may_touch_either_end():
    rng = np.random.default_rng(0)
    for axis, size in enumerate([(2, 1), (1, 2)]):
        boxes = [transforms.random_box(*size, rng, RandomCrop()) for _ in range(100)]
        places = {(b[axis], b[axis + 2]) for b in boxes}
        assert {(0, 1), (1, 2)} <= places


def test_an_augmented_image_is_the_drawn_box():
    """Columns and rows of an image of places must run over a box in the range."""
    augmentation = {"min_area": 0.2, "max_aspect_ratio": 1.5}
    for seed in range(20):
        out = augmented(places(200, 200), seed, 50, **augmentation).astype(float)
        (left, right), (top, bottom) = out[25, [0, -1], 0], out[[0, -1], 25, 1]
        width, height = (right - left) * 50 / 49, (bottom - top) * 50 / 49
        assert 0.19 < width * height / 200**2 <= 1.03
        assert 1 / 1.55 < width / height < 1.55
        assert (np.ptp(out[..., 0], axis=0) == 0).all()


def test_the_centre_is_cut_out_without_resizing_where_the_short_side_fits():
    """16 / 0.8 = 20 is the short side; (30 - 16) / 2 = 7 and (20 - 16) / 2 = 2."""
    cropped = transforms.center_crop(
        places(30, 20), 16, Preprocessing(crop_fraction=0.8)
    )
    rows, columns = np.mgrid[2:18, 7:23]
    np.testing.assert_array_equal(cropped[..., 0], columns)
    np.testing.assert_array_equal(cropped[..., 1], rows)


def test_the_short_side_is_resized_before_the_centre_is_cut_out():
    """80 x 40 becomes 40 x 20, of which columns 12 to 27 and rows 2 to 17 remain.

    Pixel i of the smaller image lies between pixels 2i and 2i + 1 of the larger.
    """
    cropped = transforms.center_crop(
        places(80, 40), 16, Preprocessing(crop_fraction=0.8)
    )
    rows, columns = np.mgrid[2:18, 12:28]
    np.testing.assert_allclose(cropped[..., 0], 2 * columns + 0.5, atol=0.5)
    np.testing.assert_allclose(cropped[..., 1], 2 * rows + 0.5, atol=0.5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_an_image_of_the_resolution_stays_as_it_is(interpolation):
    preprocessing = Preprocessing(crop_fraction=1.0, interpolation=interpolation)
    cropped = transforms.center_crop(noise(), 24, preprocessing)
    np.testing.assert_array_equal(cropped, np.asarray(noise()))


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (33, 32)])
def test_the_centre_crop_of_any_image_has_the_resolution(size):
    cropped = transforms.center_crop(Image.new("RGB", size), 32, Preprocessing())
    assert (cropped.shape, cropped.dtype) == ((32, 32, 3), np.uint8)


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
        "min_area": 0.1,
        "max_aspect_ratio": 2.0,
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
    augmentation = operations(hue=0.5)
    out = transforms.augment(red, rng, 4, augmentation, "bilinear")
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

    augmentation = operations(brightness=0.9, saturation=0.9)
    outs = {
        transforms.augment(
            image, Highest(np.random.PCG64(seed)), 2, augmentation, "bilinear"
        ).tobytes()
        for seed in range(20)
    }
    assert len(outs) == 2


def as_file(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def test_sixteen_bits_of_grey_become_eight():
    grey = np.array([[0, 257 * 10], [257 * 200, 65535]], np.uint16)
    content = as_file(Image.fromarray(grey), "PNG")
    image = np.asarray(transforms.decode(content, "grey.png"))
    expected = np.array([[0, 10], [200, 255]], np.uint8)
    np.testing.assert_array_equal(image, np.stack([expected] * 3, -1))


def test_an_image_is_turned_upright_only_where_it_is_asked_for():
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = 255  # the corner that orientation 3 puts at the bottom right
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    content = as_file(Image.fromarray(pixels), "PNG", exif=exif)
    turned = np.asarray(transforms.decode(content, "", upright=True))
    np.testing.assert_array_equal(turned, pixels[::-1, ::-1])
    np.testing.assert_array_equal(np.asarray(transforms.decode(content, "")), pixels)


def test_an_image_too_large_to_be_one_is_broken(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    content = as_file(Image.new("L", (30, 30)), "PNG")
    with pytest.raises(UserError, match=r"Cannot decode the image large\.png: "):
        transforms.decode(content, "large.png")
