"""Photographs as people have them: each has its right pixels, or its reason."""

import io
import re
import struct

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageCms

from mobilenets.config.schema import Preprocessing
from mobilenets.data.decoding import decode
from mobilenets.data.preprocessing import prepare_image
from mobilenets.errors import BrokenImage

RED, WHITE = (255, 0, 0), (255, 255, 255)
# EXIF's types by their number in TIFF 6.0, p. 15.
SHORT, RATIONAL, SIGNED_RATIONAL, FLOAT = 3, 5, 10, 11


def as_file(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def pixels(content, **options):
    return np.asarray(decode(content, "x", **options))


def exif(*entries):
    """EXIF data of (tag, type, count, bytes), as a camera writes it."""
    after = 8 + 2 + 12 * len(entries) + 4
    head, tail = b"II*\0" + struct.pack("<IH", 8, len(entries)), b""
    for tag, kind, count, value in entries:
        if len(value) > 4:
            value, tail = struct.pack("<I", after + len(tail)), tail + value
        head += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"Exif\0\0" + head + bytes(4) + tail


def orientation(value, kind=SHORT):
    return (0x0112, kind, 1, struct.pack("<H" if kind == SHORT else "<f", value))


# Beside the orientation: what cameras write, and what damages it.
# fmt: off
BESIDE = {
    "nothing": [],
    "a signed rational": [(0x9204, SIGNED_RATIONAL, 1, struct.pack("<ii", -1, 3))],
    "a rational without a value": [(0x011A, RATIONAL, 1, struct.pack("<II", 0, 0))],
    "not a number": [(0x011A, FLOAT, 1, struct.pack("<f", np.nan))],
    "text for a number": [(0x011A, 2, 8, b"many\0\0\0\0")],
    "a number for text": [(0x010F, SHORT, 1, struct.pack("<H", 7))],
    "a type that there is not": [(0x013B, 99, 1, b"abcd")],
    "more than the file has": [(0x9286, 7, 10**6, struct.pack("<I", 10**8) + b"x")],
}
# fmt: on


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("beside", BESIDE)
def test_a_photograph_is_turned_whatever_else_its_exif_data_hold(kind, beside):
    image = Image.new("L", (16, 8), 0)
    image.paste(255, (0, 0, 8, 8))  # the left half is white
    entries = sorted([orientation(6), *BESIDE[beside]])
    turned = pixels(as_file(image, kind, exif=exif(*entries)), upright=True)
    assert turned.shape == (16, 8, 3)
    # Orientation 6: the left of the file is the top of the scene.
    assert turned[:7].min() > 200
    assert turned[9:].max() < 50


@pytest.mark.parametrize(
    "entry",
    [orientation(0), orientation(9), orientation(np.nan, FLOAT), orientation(6, FLOAT)],
)
def test_an_orientation_that_there_is_not_turns_nothing(entry):
    content = as_file(Image.new("RGB", (16, 8), RED), "JPEG", exif=exif(entry))
    assert pixels(content, upright=True).shape == (8, 16, 3)


def test_exif_data_that_are_none_turn_nothing():
    for data in (b"Exif\0\0nonsense", b"Exif\0\0", exif(orientation(6))[:20]):
        content = as_file(Image.new("RGB", (16, 8), RED), "JPEG", exif=data)
        assert pixels(content, upright=True).shape == (8, 16, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_rounded_and_turned(kind):
    grey = np.array([[0, 128, 129], [385, 386, 65535]], np.uint16)
    tags = exif(orientation(6))
    content = as_file(Image.fromarray(grey), kind, exif=tags)
    # 257 is 1, so that 128 is 0.498 and 129 is 0.502; turned by 90 degrees clockwise.
    expected = np.rot90(np.array([[0, 0, 1], [1, 2, 255]], np.uint8), -1)
    found = pixels(content, upright=True)
    np.testing.assert_array_equal(found, np.stack([expected] * 3, -1))


def test_floats_are_from_0_to_1_or_refused():
    floats = np.array([[0.0, 0.5, 1.0]], np.float32)
    found = pixels(as_file(Image.fromarray(floats), "TIFF"))
    np.testing.assert_array_equal(found[0, :, 0], [0, 128, 255])
    for wrong, told in ((2.0, "0 to 2, but should be 0 to 1"), (np.nan, "nan")):
        content = as_file(Image.fromarray(floats * np.float32(wrong)), "TIFF")
        with pytest.raises(BrokenImage, match=f"its values are .*{told}"):
            decode(content, "x.tif")


def test_integers_beyond_16_bits_are_refused():
    for wrong in (65536, -1):
        content = as_file(Image.fromarray(np.array([[0, wrong]], np.int32)), "TIFF")
        with pytest.raises(BrokenImage, match="but should be 0 to 65535"):
            decode(content, "x.tif")


def half_red(mode):
    """Two pixels, the left opaque and the right transparent, in some mode."""
    image = Image.new("RGBA", (2, 1), (*RED, 255))
    image.putpixel((1, 0), (*RED, 0))
    return image.convert(mode)


def with_palette(transparency):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return as_file(image, transparency=transparency)


GREY = (76, 76, 76)  # of red: 0.299 * 255, ITU-R BT.601

TRANSPARENT = {
    "RGBA in PNG": (as_file(half_red("RGBA")), RED),
    "RGBA in WebP": (as_file(half_red("RGBA"), "WEBP", lossless=True), RED),
    "LA": (as_file(half_red("LA")), GREY),
    "an index of a palette": (with_palette(1), RED),
    "a palette with an alpha each": (with_palette(bytes([255, 0])), RED),
    "GIF": (as_file(half_red("RGBA"), "GIF"), RED),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_transparent_is_white(kind):
    content, color = TRANSPARENT[kind]
    np.testing.assert_array_equal(pixels(content), [[color, WHITE]])


def test_a_transparent_color_is_white():
    blue = (0, 0, 255)
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), blue)
    np.testing.assert_array_equal(
        pixels(as_file(image, transparency=blue)), [[RED, WHITE]]
    )
    grey = Image.fromarray(np.array([[10, 90]], np.uint8))
    found = pixels(as_file(grey, transparency=90))
    np.testing.assert_array_equal(found[0, :, 0], [10, 255])
    deep = Image.fromarray(np.array([[2570, 23130]], np.uint16))
    found = pixels(as_file(deep, transparency=23130))
    np.testing.assert_array_equal(found[0, :, 0], [10, 255])


def test_half_transparent_is_halfway_to_white():
    content = as_file(Image.new("RGBA", (1, 1), (0, 0, 0, 51)))
    np.testing.assert_array_equal(pixels(content), [[[204] * 3]])  # 255 - 51


def test_a_color_profile_changes_nothing():
    image = Image.new("RGB", (2, 1), (200, 100, 50))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for icc_profile in (profile, b"no profile"):
        content = as_file(image, icc_profile=icc_profile)
        np.testing.assert_array_equal(pixels(content), np.asarray(image))


def reason(content):
    with pytest.raises(BrokenImage) as caught:
        decode(content, "cats/7.jpg", upright=True)
    sentence = str(caught.value)
    assert sentence.startswith("Cannot decode the image cats/7.jpg: ")
    assert "\n" not in sentence
    return sentence


def test_the_reason_is_the_true_one(monkeypatch):
    jpeg = as_file(Image.new("RGB", (40, 30), RED), "JPEG")
    place = jpeg.index(b"\xff\xc0") + 4  # the sample precision, ITU-T T.81, B.2.2
    told = reason(jpeg[:place] + b"\x0c" + jpeg[place + 1 :])
    assert "the JPEG cannot be read: cannot handle 12-bit" in told
    assert "the file is empty" in reason(b"")
    heic = b"\0\0\0\x18ftypheic" + bytes(50)
    assert "it is a HEIC file, not a JPEG, PNG or WebP" in reason(heic)
    assert "it is a video, not a JPEG" in reason(b"\0\0\0\x18ftypmp42" + bytes(50))
    assert "such as a page of a web site" in reason(b"<!DOCTYPE html>")
    assert "it is not a JPEG, PNG or WebP" in reason(bytes(range(200)))
    for cut_off in (jpeg[: len(jpeg) // 2], as_file(Image.new("L", (9, 9)))[:20]):
        assert re.search("truncated", reason(cut_off), re.IGNORECASE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert "it has more than 1,000 pixels, the most that are decod" in reason(jpeg)


def test_no_other_program_is_started_to_decode_an_image(monkeypatch):
    """Pillow has Ghostscript draw what begins like EPS, whatever the file is called."""

    def start(*_, **__):
        raise AssertionError("Ghostscript has been called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
    eps = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    )
    assert "it is not a JPEG, PNG or WebP" in reason(eps)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_a_damaged_file_is_read_or_named(kind):
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (24, 24, 3), np.uint8))
    content = as_file(image, kind, exif=exif(orientation(6)))
    for _ in range(60):
        damaged = bytearray(content)
        for place in generator.integers(0, len(damaged), 3):
            damaged[place] = generator.integers(256)
        try:
            assert decode(bytes(damaged), "x", upright=True).mode == "RGB"
        except BrokenImage as error:
            assert "\n" not in str(error)


PREPROCESSING = Preprocessing(crop_fraction=1.0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_strip_has_the_pixels_of_its_middle(interpolation):
    generator = np.random.default_rng(0)
    strip = generator.integers(0, 256, (2, 40_000, 3), np.uint8)
    how = PREPROCESSING.model_copy(update={"interpolation": interpolation})
    filter_ = Image.Resampling[interpolation.upper()]
    for turned in (strip, strip.swapaxes(0, 1)):
        image = Image.fromarray(turned)
        found = prepare_image(image, 32, how)
        whole = image.resize((image.width * 16, image.height * 16), filter_)
        left, top = (whole.width - 32) // 2, (whole.height - 32) // 2
        expected = whole.crop((left, top, left + 32, top + 32))
        np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("size", [(20_000, 2), (100_000, 1), (1, 65_000), (70_001, 3)])
def test_a_very_long_strip_takes_little_memory(size):
    image = Image.new("RGB", size, RED)
    for preprocessing in (Preprocessing(), PREPROCESSING):
        found = prepare_image(image, 224, preprocessing)
        assert (found == RED).all()
