"""Pixels become what the weights expect."""

import numpy as np

from mobilenets.config.schema import Preprocessing
from mobilenets.nn.normalization import normalize


def test_each_channel_has_its_own_mean_and_deviation():
    preprocessing = Preprocessing(mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    images = np.array([[[[5, 6, 7]]], [[[1, 0, 255]]]], np.uint8)
    out = normalize(images, preprocessing)
    assert out.dtype == np.float32
    expected = [[[[2.0, 1.0, 0.5]]], [[[0.0, -0.5, 31.5]]]]
    np.testing.assert_array_equal(out, expected)
