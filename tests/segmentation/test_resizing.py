"""Maps are resized as TensorFlow and PyTorch resize them."""

import jax.numpy as jnp
import numpy as np

from mobilenets.segmentation.resizing import resize


def values(x, size, resizing):
    x = np.asarray(x, np.float32)[None, :, :, None]
    return np.asarray(resize(jnp.asarray(x), size, resizing))[0, :, :, 0]


def test_half_pixel_is_worked_by_hand():
    # Four pixels for two: their centres are at -1/4, 1/4, 3/4 and 5/4 of the old ones.
    assert values([[0, 4]], (1, 4), "half_pixel").tolist() == [[0, 1, 3, 4]]
    # Two for four, at 1/2 and 5/2; nothing is averaged over more than two pixels.
    assert values([[0, 2, 4, 100]], (1, 2), "half_pixel").tolist() == [[1, 52]]


def test_align_corners_is_worked_by_hand():
    # Five pixels for three: every other one is an old one.
    found = values([[0, 2, 6]], (1, 5), "align_corners")
    assert found.tolist() == [[0, 1, 2, 4, 6]]
    # 49 pixels become 97, as the crop of Cityscapes from output stride 16 to 8.
    x = np.random.default_rng(0).standard_normal((49, 49))
    found = values(x, (97, 97), "align_corners")
    np.testing.assert_array_equal(found[::2, ::2], x.astype(np.float32))
    assert values([[3, 9]], (1, 1), "align_corners").tolist() == [[3]]
