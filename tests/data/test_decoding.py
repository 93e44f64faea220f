"""Every kind of image becomes the RGB that it shows, or is named."""

import io

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.data.decoding import decode


def noise(size=24):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


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
    decoded = decode(encoded(image, kind, **options), "x")
    assert (decoded.mode, decoded.size) == ("RGB", (8, 6))
    # JPEG rounds its YCbCr.
    np.testing.assert_allclose(
        np.asarray(decoded).reshape(-1, 3)[:], [color] * 48, 0, 3
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_image_is_named(kind):
    content = encoded(noise(64), kind)
    decode(content, "whole")
    with pytest.raises(UserError, match=r"Cannot decode the image cats/7\.jpg"):
        decode(content[: len(content) // 2], "cats/7.jpg")


@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>"])
def test_what_is_no_image_is_named(content):
    with pytest.raises(UserError, match=r"the image record 5 of birds: "):
        decode(content, "record 5 of birds")


def as_file(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def test_sixteen_bits_of_grey_become_eight():
    grey = np.array([[0, 257 * 10], [257 * 200, 65535]], np.uint16)
    content = as_file(Image.fromarray(grey), "PNG")
    image = np.asarray(decode(content, "grey.png"))
    expected = np.array([[0, 10], [200, 255]], np.uint8)
    np.testing.assert_array_equal(image, np.stack([expected] * 3, -1))


def test_an_image_is_turned_upright_only_where_it_is_asked_for():
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = 255  # the corner that orientation 3 puts at the bottom right
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    content = as_file(Image.fromarray(pixels), "PNG", exif=exif)
    turned = np.asarray(decode(content, "", upright=True))
    np.testing.assert_array_equal(turned, pixels[::-1, ::-1])
    np.testing.assert_array_equal(np.asarray(decode(content, "")), pixels)


def test_an_image_too_large_to_be_one_is_broken(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    content = as_file(Image.new("L", (30, 30)), "PNG")
    with pytest.raises(UserError, match=r"Cannot decode the image large\.png: "):
        decode(content, "large.png")


def test_arrays_are_taken_as_they_are():
    pixels = np.asarray(noise())
    np.testing.assert_array_equal(np.asarray(decode(pixels, "")), pixels)
    grey = np.asarray(decode(pixels[..., 0], ""))
    np.testing.assert_array_equal(grey, np.stack([pixels[..., 0]] * 3, axis=-1))
