"""Anchors are those of the published layouts."""

import numpy as np
import pytest

from mobilenets.detection.anchors import anchor_boxes
from mobilenets.networks.architectures.ssd import get_detector


def centred(box):
    top, left, bottom, right = box
    return [(top + bottom) / 2, (left + right) / 2, bottom - top, right - left]


def test_the_first_and_the_last_anchors_of_tensorflow_are_those_worked_by_hand():
    anchors = anchor_boxes(get_detector("ssdlite_mobilenet_v2", resolution=300))
    assert anchors.shape == (1917, 4)
    assert anchors.dtype == np.float32
    middle = 0.5 / 19  # of the first of 19 pixels
    root = 2**0.5
    expected = [
        [middle, middle, 0.1, 0.1],
        [middle, middle, 0.2 / root, 0.2 * root],
        [middle, middle, 0.2 * root, 0.2 / root],
        [middle, 3 * middle, 0.1, 0.1],  # the next pixel is to the right
    ]
    np.testing.assert_allclose([centred(a) for a in anchors[:4]], expected, rtol=1e-5)
    below = 3 * 19  # anchors of a row
    np.testing.assert_allclose(
        centred(anchors[below]), [3 * middle, middle, 0.1, 0.1], rtol=1e-5
    )
    # The only pixel of the last map: .95, and between .95 and 1.
    between = 0.95**0.5
    expected = [[0.5, 0.5, 0.95, 0.95], [0.5, 0.5, between, between]]
    np.testing.assert_allclose([centred(anchors[i]) for i in (-6, -1)], expected)


@pytest.mark.parametrize(
    ("name", "resolution", "number"),
    [
        ("ssdlite_mobilenet_v2", 300, 1917),
        ("ssdlite_mobilenet_v3_large", 320, 2034),
        ("ssdlite320_mobilenet_v3_large", 320, 3234),
        ("ssdlite_mobilenet_v2", 96, 204),
    ],
)
def test_there_are_as_many_anchors_as_the_spec_says(name, resolution, number):
    spec = get_detector(name, resolution=resolution)
    assert len(anchor_boxes(spec)) == spec.num_anchors == number
