"""Boxes stay on what they mark, however the camera stored the photograph."""

import io

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.data.boxes import boxes_of
from mobilenets.data.decoding import decode
from mobilenets.data.orientation import FRACTIONS, on_upright_image

MARKED = (4, 10, 9, 30)  # of the stored image


def stored(image, orientation):
    """A photograph's file whose EXIF orientation is that."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return file.getvalue()


def turned(content, size, corners):
    boxes = boxes_of([corners], [0])
    return on_upright_image(boxes, size, content, "a.png").corners.tolist()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_of_the_stored_image_are_turned_with_it(
    painted, painted_box, orientation
):
    content = stored(painted(40, 30, MARKED), orientation)
    upright = decode(content, "a.png", upright=True)
    assert upright.size == (30, 40)
    assert turned(content, (40, 30), MARKED) == [painted_box(upright)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_the_upright_image_stay(painted, painted_box, orientation):
    content = stored(painted(40, 30, MARKED), orientation)
    upright = decode(content, "a.png", upright=True)
    corners = painted_box(upright)
    assert turned(content, upright.size, corners) == [corners]
    height, width = upright.height, upright.width
    fractions = np.divide(corners, [height, width, height, width])
    np.testing.assert_allclose(
        turned(content, FRACTIONS, fractions), [corners], rtol=1e-6
    )


def test_a_16_bit_image_is_annotated_as_it_is_decoded(painted_box):
    grey = np.zeros((30, 40), np.uint16)
    grey[4:9, 10:30] = 65535
    content = stored(Image.fromarray(grey), 6)
    upright = decode(content, "a.png", upright=True)
    assert turned(content, (40, 30), MARKED) == [painted_box(upright)]


def test_boxes_are_resized_with_a_photograph_that_was_resized_later(painted):
    content = stored(painted(20, 15), 1)
    boxes = boxes_of([MARKED], [0])
    smaller = on_upright_image(boxes, (40, 30), content, "a.png")
    assert smaller.corners.tolist() == [[2, 5, 4.5, 15]]
    assert smaller.area.tolist() == [25]  # 100 of the annotated image


def test_rounding_of_a_size_is_no_other_shape(painted):
    content = stored(painted(13, 10), 1)
    assert turned(content, (40, 30), (0, 0, 30, 40)) == [[0, 0, 10, 13]]


def test_another_shape_is_refused(painted):
    content = stored(painted(40, 20), 1)
    with pytest.raises(UserError, match=r"a.png are for .* 40x30 .* has 40x20: give"):
        turned(content, (40, 30), MARKED)


def test_a_broken_image_is_left_to_the_decoder():
    assert turned(b"no image", (40, 30), MARKED) == [list(MARKED)]
