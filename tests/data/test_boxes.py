"""Boxes become arrays of a fixed size, without losing one where there is room."""

import numpy as np

from mobilenets.data.boxes import NO_BOXES, boxes_of

BOXES = boxes_of([[1, 2, 3, 4], [5, 6, 9, 8]], [4, 2], crowd=[False, True])


def test_padding_fills_up_with_nothing_that_counts_as_a_box():
    arrays = BOXES.padded(4)
    assert arrays["boxes"].tolist() == [[1, 2, 3, 4], [5, 6, 9, 8], [0] * 4, [0] * 4]
    assert arrays["classes"].tolist() == [4, 2, 0, 0]
    assert arrays["crowd"].tolist() == [False, True, False, False]
    assert arrays["area"].tolist() == [4, 8, 0, 0]
    assert arrays["valid"].tolist() == [True, True, False, False]


def test_arrays_have_the_same_shapes_and_types_for_any_number_of_boxes():
    kinds = [
        {key: (array.shape, array.dtype) for key, array in boxes.padded(2).items()}
        for boxes in (NO_BOXES, BOXES[:1], BOXES, BOXES[np.array([0, 1, 1])])
    ]
    assert all(kind == kinds[0] for kind in kinds)
    assert kinds[0]["boxes"] == ((2, 4), np.float32)
    assert kinds[0]["classes"] == ((2,), np.int32)


def test_scaled_boxes_have_the_area_of_their_new_size():
    scaled = BOXES.scaled(2, 0.5)
    assert scaled.corners.tolist() == [[2, 1, 6, 2], [10, 3, 18, 4]]
    assert scaled.area.tolist() == [4, 8]
    assert BOXES.scaled(3, 1).area.tolist() == [12, 24]
