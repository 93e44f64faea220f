"""What is decoded and resized quickly, against Pillow, which does all of it slowly."""

import io
import pathlib

import matplotlib
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from mobilenets.config.schema import Flip, Preprocessing, RandAugment, RandomCrop
from mobilenets.data import jpeg, quick
from mobilenets.data.decoding import decode
from mobilenets.data.geometry import Geometry, to_square
from mobilenets.data.loading import ImageLoader, TaughtImageLoader
from mobilenets.data.quick import Undecoded, show
from mobilenets.data.sources.base import Record
from mobilenets.errors import BrokenImage

SIZE = (75, 59)  # neither is a multiple of 8


@pytest.fixture(scope="module")
def photograph():
    """A real one, small: a face, sharp edges, strong colours."""
    path = pathlib.Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"
    with Image.open(path) as image:
        return image.crop((120, 60, 420, 296)).resize(SIZE)


def as_jpeg(image, **options):
    content = io.BytesIO()
    image.save(content, "JPEG", quality=92, **options)
    return content.getvalue()


KINDS = {
    "4:2:0": {},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "comment": {"comment": b"by nobody"},
    "stored as RGB": {"keep_rgb": True},
}


def of_kind(photograph, kind):
    if kind == "grey":
        return as_jpeg(photograph.convert("L"))
    if kind == "4:4:0":  # of which Pillow writes none
        pixels = np.asarray(photograph)
        return simplejpeg.encode_jpeg(pixels, colorsubsampling="440")
    return as_jpeg(photograph, **KINDS[kind])


@pytest.mark.parametrize("kind", [*KINDS, "grey", "4:4:0"])
def test_the_first_rows_are_those_of_the_whole_image(photograph, kind):
    content = of_kind(photograph, kind)
    header = jpeg.read_header(content)
    assert (header.width, header.height) == SIZE
    whole = np.asarray(decode(content, ""))
    for count in range(1, SIZE[1] + 1):
        rows = jpeg.rows(content, header, count)
        assert count <= len(rows) <= SIZE[1]
        np.testing.assert_array_equal(rows, whole[: len(rows)])


def test_no_rows_are_decoded_that_are_far_below(photograph):
    content = as_jpeg(photograph)  # in units of 16 rows, of which the last is not right
    header = jpeg.read_header(content)
    counts = [len(jpeg.rows(content, header, n)) for n in (1, 15, 16, 46, 59)]
    assert counts == [15, 15, 31, 47, 59]


def crops():
    """Boxes of all kinds, mirrored or not, made larger and smaller; a window alone."""
    rng = np.random.default_rng(0)
    for mirrored in (False, True):
        for _ in range(6):
            w, h = (int(rng.integers(5, n + 1)) for n in SIZE)
            left, top = rng.integers(SIZE[0] - w + 1), rng.integers(SIZE[1] - h + 1)
            box = int(left), int(top), int(left) + w, int(top) + h
            yield Geometry(box, (24, 24), (0, 0, 24, 24), mirrored)
            yield Geometry(box, (90, 70), (20, 10, 52, 42), mirrored)


@pytest.mark.parametrize("kind", ["4:2:0", "progressive", "grey"])
def test_bilinear_pixels_are_pillows_but_for_1(photograph, kind):
    content = of_kind(photograph, kind)
    whole = decode(content, "")
    for geometry in crops():
        shown = show(Undecoded(content, ""), geometry, "bilinear", (0, 0, 0))
        expected = np.asarray(geometry.apply(whole, "bilinear")).astype(int)
        assert np.abs(np.asarray(shown) - expected).max() <= 1


def test_bicubic_pixels_are_pillows_but_for_1_except_few_at_edges(photograph):
    content = as_jpeg(photograph)
    whole = decode(content, "")
    apart = []
    for geometry in crops():
        shown = show(Undecoded(content, ""), geometry, "bicubic", (0, 0, 0))
        expected = np.asarray(geometry.apply(whole, "bicubic")).astype(int)
        apart.append(np.abs(np.asarray(shown) - expected).ravel())
    apart = np.concatenate(apart)
    assert (apart > 1).mean() < 4e-3
    assert apart.max() <= 16


def slow(image, geometry, interpolation="bilinear", fill=(0, 0, 0)):
    return np.asarray(geometry.apply(image, interpolation, fill))


SQUARE = to_square((10, 5, 50, 45), 24)


@pytest.mark.parametrize("interpolation", ["bilinear", "bilinear_no_antialias"])
def test_what_is_beyond_the_image_is_pillows_work(photograph, interpolation):
    content = as_jpeg(photograph)
    geometry = to_square((-10, 5, 50, 65), 24)
    shown = show(Undecoded(content, ""), geometry, interpolation, (1, 2, 3))
    expected = slow(decode(content, ""), geometry, interpolation, (1, 2, 3))
    np.testing.assert_array_equal(shown, expected)


def test_without_a_fast_resizer_all_is_pillows_work(photograph, monkeypatch):
    monkeypatch.setattr(quick, "resizing", None)
    content = as_jpeg(photograph)
    shown = show(Undecoded(content, ""), SQUARE, "bicubic", (0, 0, 0))
    np.testing.assert_array_equal(shown, slow(decode(content, ""), SQUARE, "bicubic"))


def turned(photograph, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return as_jpeg(photograph, exif=exif)


def as_file(image, kind):
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        lambda image: as_file(image, "PNG"),
        lambda image: as_jpeg(image.convert("CMYK")),
        lambda image: turned(image, 6),
        np.asarray,
        lambda image: as_jpeg(image) + bytes(100),
    ],
    ids=["png", "cmyk", "turned", "array", "long trailer"],
)
def test_what_is_no_upright_jpeg_is_pillows_work(photograph, make):
    content = make(photograph)
    image = Undecoded(content, "", upright=True)
    whole = decode(content, "", upright=True)
    assert image.size == whole.size == (image.width, image.height)
    np.testing.assert_array_equal(
        show(image, SQUARE, "bilinear", (0, 0, 0)), slow(whole, SQUARE)
    )


def test_an_orientation_counts_only_where_it_is_asked_for(photograph):
    content = turned(photograph, 6)
    assert Undecoded(content, "").size == SIZE
    assert Undecoded(content, "", upright=True).size == SIZE[::-1]
    upright = Undecoded(turned(photograph, 1), "", upright=True)
    assert upright.rows(5) is not None


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"<html>", b"\xff\xd8\xff\xc0\xff\xd9"]
)
def test_what_is_no_image_is_named(content):
    with pytest.raises(BrokenImage, match=r"Cannot decode the image cats/7\.jpg"):
        Undecoded(content, "cats/7.jpg")


def test_an_image_that_is_cut_short_is_named_though_its_crop_is_there(photograph):
    content = as_jpeg(photograph)
    with pytest.raises(BrokenImage, match=r"cats/7\.jpg"):
        Undecoded(content[: len(content) * 3 // 4], "cats/7.jpg")


def test_damage_in_the_middle_shows_what_pillow_shows(photograph):
    content = bytearray(as_jpeg(photograph))
    middle = len(content) * 2 // 3
    content[middle : middle + 20] = bytes(20)
    content = bytes(content)
    image = Undecoded(content, "")
    whole = np.asarray(decode(content, ""))
    np.testing.assert_array_equal(image.rows(59), whole)


def test_what_only_the_quick_decoder_refuses_is_pillows_work(photograph, monkeypatch):
    def refuse(*arguments):
        raise ValueError("an unknown marker")

    monkeypatch.setattr(jpeg, "rows", refuse)
    content = as_jpeg(photograph)
    shown = show(Undecoded(content, ""), SQUARE, "bilinear", (0, 0, 0))
    np.testing.assert_array_equal(shown, slow(decode(content, ""), SQUARE))


def test_an_image_too_large_to_be_one_is_broken(photograph, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BrokenImage, match=r"large\.jpg"):
        Undecoded(as_jpeg(photograph), "large.jpg")


def test_a_teacher_and_its_student_see_a_photograph_that_is_decoded_once(
    photograph, monkeypatch
):
    operations = RandomCrop(min_area=0.3), Flip(), RandAugment()
    student, teacher = (
        ImageLoader(side, Preprocessing(crop_fraction=1.0), operations, upright=True)
        for side in (24, 32)
    )
    record = Record(as_jpeg(photograph), 0, "")
    decoded, rows = [], jpeg.rows

    def noted(content, header, count):
        decoded.append(count)
        return rows(content, header, count)

    monkeypatch.setattr(jpeg, "rows", noted)
    for seed in range(5):
        seen = TaughtImageLoader(student, teacher).augmented(
            record, np.random.default_rng(seed)
        )
        assert len(decoded) == 1 + 3 * seed
        for images, pixels in zip((student, teacher), seen, strict=True):
            alone = images.augmented(record, np.random.default_rng(seed))
            np.testing.assert_array_equal(pixels, alone)


def test_more_rows_than_were_decoded_before_are_decoded(photograph):
    content = as_jpeg(photograph)
    image = Undecoded(content, "")
    whole = np.asarray(decode(content, ""))
    for count in (10, 40, 20, 59):
        rows = image.rows(count)
        assert len(rows) >= count
        np.testing.assert_array_equal(rows, whole[: len(rows)])
