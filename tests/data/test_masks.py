"""Masks are read as annotation tools write them, and go where their image goes."""

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
    ScaleCrop,
)
from mobilenets.data.decoding import decode
from mobilenets.data.geometry import Geometry, centered, to_square, whole
from mobilenets.data.loading import MaskedImageLoader
from mobilenets.data.masks import UNLABELLED, ColorMap, decode_mask
from mobilenets.data.operations import augment, augment_with_mask
from mobilenets.data.orientation import mask_on_upright_image
from mobilenets.data.preprocessing import fit
from mobilenets.data.sources.base import Record
from mobilenets.errors import BrokenImage

COLORS = ColorMap([(0, 0, 0), (128, 0, 0), (0, 128, 0)], "labelmap.txt")
PAD = Preprocessing(resize="pad", crop_fraction=1.0)
KEEP = Preprocessing(resize="keep", crop_fraction=1.0)
SHORT = Preprocessing(resize="short_side", crop_fraction=1.0)


def png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def numbers(height=3, width=4):
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def paletted(values, colors):
    image = Image.fromarray(values)
    image.putpalette([value for color in colors for value in color])
    return image


# Files.


def test_numbers_in_grey_and_with_a_palette_are_the_classes():
    values = numbers()
    values[0, 0] = UNLABELLED
    for image in (Image.fromarray(values), paletted(values, [(9, 9, 9)] * 256)):
        np.testing.assert_array_equal(decode_mask(png(image), "a.png"), values)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_hold_the_same_numbers(bits):
    """Of a grey PNG of 2 or 4 bits Pillow gives 0 to 255. Written here by hand."""
    import struct
    import zlib

    values = numbers(2, 8) % 2**bits
    rows = b"".join(
        b"\0" + bytes(np.packbits(_bits(row, bits)).tolist()) for row in values
    )

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode_mask(content, "a.png"), values)


def _bits(row, bits):
    return ((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).ravel()


def test_black_and_white_are_0_and_1():
    values = np.array([[0, 1], [1, 0]], np.uint8)
    image = Image.fromarray(values * 255).convert("1")
    np.testing.assert_array_equal(decode_mask(png(image), "a.png"), values)


def test_16_bits_may_hold_what_8_do():
    values = numbers().astype(np.uint16)
    np.testing.assert_array_equal(
        decode_mask(png(Image.fromarray(values)), "a.png"), values
    )
    values[1, 1] = 26_001  # Cityscapes' numbers of objects
    with pytest.raises(UserError, match=r"a.png has 16 bits and values up to 26001"):
        decode_mask(png(Image.fromarray(values)), "a.png")


def test_colors_are_the_classes_of_the_map():
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 1], pixels[1, 2], pixels[1, 0] = (128, 0, 0), (0, 128, 0), (224, 224, 192)
    found = decode_mask(png(Image.fromarray(pixels)), "a.png", COLORS)
    assert found.tolist() == [[0, 1, 0], [UNLABELLED, 0, 2]]
    pixels[1, 1] = (7, 8, 9)
    with pytest.raises(UserError, match=r"a.png has the colour 7,8,9 at column 1, row"):
        decode_mask(png(Image.fromarray(pixels)), "a.png", COLORS)


def test_a_palette_says_the_colours_of_a_map():
    """Index 0 is shown in the colour of class 2, index 1 in that of class 0."""
    image = paletted(
        np.array([[0, 1, 255]], np.uint8), [(0, 128, 0)] + [(0, 0, 0)] * 255
    )
    assert decode_mask(png(image), "a.png", COLORS).tolist() == [[2, 0, UNLABELLED]]
    assert decode_mask(png(image), "a.png").tolist() == [[0, 1, UNLABELLED]]


@pytest.mark.parametrize(
    ("mode", "message"),
    [("RGB", r"a.png is in colour, but .* labelmap.txt"), ("RGBA", "colour mode RGBA")],
)
def test_colours_without_a_map_and_transparency_are_refused(mode, message):
    with pytest.raises(UserError, match=message):
        decode_mask(png(Image.new(mode, (2, 2))), "a.png")


def test_a_mask_that_is_cut_short_is_named():
    rng = np.random.default_rng(0)
    content = png(Image.fromarray(rng.integers(0, 9, (50, 50), np.uint8)))
    with pytest.raises(BrokenImage, match=r"Cannot decode the mask a.png"):
        decode_mask(content[: len(content) // 2], "a.png")


# Photographs that a camera stored lying on their side.


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_of_the_stored_photograph_is_turned_with_it(orientation):
    values = numbers(30, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = png(Image.fromarray(values).convert("RGB"), exif=exif)
    upright = np.asarray(decode(content, "a.png", upright=True))[..., 0]
    is_lying = orientation > 4
    for mask in (values, upright) if is_lying else (upright,):
        found = mask_on_upright_image(mask, io.BytesIO(content), "a.png")
        np.testing.assert_array_equal(found, upright)


def test_a_mask_of_another_size_is_refused():
    content = io.BytesIO(png(Image.new("RGB", (40, 30))))
    with pytest.raises(BrokenImage, match=r"of a.png has 4x3 pixels.*graph has 40x30"):
        mask_on_upright_image(numbers(), content, "a.png")


# Where pixels go.


def red_is_the_class(image):
    return Image.fromarray(np.repeat(image[..., None], 3, axis=-1))


@pytest.mark.parametrize("seed", range(30))
def test_a_mask_goes_where_its_image_goes(seed):
    """Blocks of 12 pixels: away from their borders, image and mask say the same."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 200, (5, 7), np.uint8)
    mask = np.kron(blocks, np.ones((12, 12), np.uint8))
    left, top = rng.integers(-30, 15, 2).tolist()
    box = (left, top, left + int(rng.integers(60, 99)), top + int(rng.integers(40, 90)))
    size = tuple(int(n) for n in rng.integers(100, 250, 2))
    x, y = (int(n) for n in rng.integers(-40, 20, 2))
    window = (x, y, x + 230, y + 190)
    geometry = Geometry(box, size, window, bool(seed % 2))
    moved = geometry.apply_to_mask(mask, UNLABELLED)
    assert moved.shape == (190, 230)
    pixels = np.asarray(geometry.apply(red_is_the_class(mask), "bilinear", (255,) * 3))
    pixels = pixels[..., 0]
    np.testing.assert_array_equal(moved == UNLABELLED, pixels == 255)
    agree = np.abs(moved.astype(int) - pixels) <= 1
    assert agree.mean() > 0.6 and (moved != UNLABELLED).mean() > 0.1


@pytest.mark.parametrize(
    "geometry", [whole(4, 3, (8, 6)), whole(4, 3, (3, 2)), to_square((1, 1, 4, 3), 5)]
)
def test_the_nearest_pixel_is_pillows(geometry):
    expected = Image.fromarray(numbers()).resize(
        geometry.size, Image.Resampling.NEAREST, box=geometry.box
    )
    np.testing.assert_array_equal(
        geometry.apply_to_mask(numbers(), UNLABELLED), np.asarray(expected)
    )


def test_the_border_of_padding_has_no_label():
    found = centered(whole(4, 3, (4, 3)), 6).apply_to_mask(numbers(), UNLABELLED)
    expected = np.full((6, 6), UNLABELLED)
    expected[2:5, 1:5] = numbers()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("preprocessing", "shown"), [(KEEP, (61, 40)), (SHORT, (48, 32))]
)
def test_an_image_keeps_its_shape(preprocessing, shown):
    """As torchvision, cuts the long side: int(32 * 61 / 40) = 48."""
    geometry = fit(61, 40, 32, preprocessing)
    assert geometry.size == shown and geometry.window == (0, 0, *shown)


# Random changes.


def augmented(image, mask, seed, *operations, resolution=32, preprocessing=KEEP):
    rng = np.random.default_rng(seed)
    return augment_with_mask(image, mask, rng, resolution, operations, preprocessing)


def columns_and_rows(height, width):
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, rows * 0], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels), columns.astype(np.uint8)


def test_scales_fill_their_range_and_windows_every_place():
    image, mask = columns_and_rows(100, 120)
    scales, starts = [], []
    for seed in range(300):
        pixels, labels = augmented(image, mask, seed, ScaleCrop())
        assert pixels.shape == (32, 32, 3) and labels.shape == (32, 32)
        middle = labels[16].astype(float)
        scales.append(31 / (middle[-1] - middle[0]))
        starts.append((middle[0], pixels[0, 16, 1]))
        assert np.abs(pixels[4:-4, 4:-4, 0] - labels[4:-4, 4:-4].astype(int)).max() <= 2
    assert 0.48 < min(scales) < 0.55 and 1.8 < max(scales) < 2.2
    assert np.mean(np.array(scales) < 1.25) == pytest.approx(0.5, abs=0.1)
    assert np.min(starts) <= 3 and np.max(starts, axis=0).min() > 75


def test_a_small_image_lies_somewhere_in_its_window():
    image, mask = columns_and_rows(10, 12)
    lefts, tops = set(), set()
    for seed in range(100):
        operation = ScaleCrop(min_scale=1.0, max_scale=1.0)
        pixels, labels = augmented(image, mask, seed, operation)
        inside = labels != UNLABELLED
        assert inside.sum() == 120
        rows, columns = np.nonzero(inside)
        lefts.add(columns.min())
        tops.add(rows.min())
        np.testing.assert_array_equal(
            labels[inside], pixels[..., 0][inside], strict=True
        )
        assert (pixels[~inside] == 128).all()  # the mean
    assert {0, 20} <= lefts and {0, 22} <= tops


@pytest.mark.parametrize("preprocessing", [KEEP, SHORT, PAD])
def test_without_a_crop_it_is_the_middle_of_what_evaluation_sees(preprocessing):
    image, mask = columns_and_rows(40, 60)
    pixels, labels = augmented(image, mask, 0, preprocessing=preprocessing)
    inside = labels != UNLABELLED
    assert np.abs(pixels[inside][:, 0] - labels[inside].astype(int)).max() <= 2
    assert abs(int(labels[16, 16]) - 30) <= 1


def test_masks_take_nothing_from_what_an_image_draws():
    image, mask = columns_and_rows(40, 60)
    operations = (RandomCrop(), Flip(), ColorJitter(brightness=0.5))
    for seed in range(10):
        pixels, labels = augmented(image, mask, seed, *operations)
        rng = np.random.default_rng(seed)
        np.testing.assert_array_equal(pixels, augment(image, rng, 32, operations, KEEP))
        assert (labels != UNLABELLED).all()


# Examples.


def test_an_example_to_evaluate_has_the_mask_as_it_is():
    image, mask = columns_and_rows(40, 60)
    record = Record(np.asarray(image), mask, "a.png")
    for preprocessing, shown in ((KEEP, (50, 70)), (PAD, (32, 32)), (SHORT, (32, 50))):
        load = MaskedImageLoader(32, preprocessing, (), True, shown, (48, 66))
        example = load.prepared(record)
        np.testing.assert_array_equal(example["labels"][:40, :60], mask)
        assert (example["labels"] == UNLABELLED).sum() == 48 * 66 - 40 * 60
        scale, offset = example["to_image"]
        row, column = 0.5 * scale + offset
        seen = example["image"][shown[0] // 2, shown[1] // 2]
        np.testing.assert_allclose(seen[:2], [column, row], atol=1.6)
        padding = load.padding
        assert list(padding) == list(example)
        for key, array in padding.items():
            same = example[key]
            assert (array.shape, array.dtype) == (same.shape, same.dtype)
        assert (padding["labels"] == UNLABELLED).all()


def test_a_mask_that_does_not_fit_its_image_is_named():
    record = Record(np.zeros((4, 5, 3), np.uint8), numbers(), "own 3")
    load = MaskedImageLoader(8, KEEP, (ScaleCrop(),), True, (9, 9), (9, 9))
    for call in (load.prepared, lambda r: load.augmented(r, np.random.default_rng(0))):
        with pytest.raises(BrokenImage, match=r"mask of own 3 has 4x3.* image has 5x4"):
            call(record)
