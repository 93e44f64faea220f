"""Maps are resized as TensorFlow and PyTorch resize them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


# What TensorFlow 2.21 (`tf.compat.v1.image.resize_bilinear` and `tf.image.resize`) and
# torch 2.14 (`interpolate`) make of this map; they agree.
MAP = [[35, 13, 1, -24], [-20, -46, -43, -49], [-33, 31, 14, 41]]
OF_THE_LIBRARIES = {
    ("align_corners", (5, 7)): [
        [35, 24, 13, 7, 1, -11.5, -24],
        [7.5, -4.5, -16.5, -18.75, -21, -28.75, -36.5],
        [-20, -33, -46, -44.5, -43, -46, -49],
        [-26.5, -17, -7.5, -11, -14.5, -9.25, -4],
        [-33, -1, 31, 22.5, 14, 27.5, 41],
    ],
    ("half_pixel", (5, 7)): [
        [35, 27.1429, 14.5714, 7, -0.7857, -15.0714, -24],
        [13, 4.5714, -8.9143, -13.6, -17.8429, -27.7857, -34],
        [-20, -29.2857, -44.1429, -44.5, -43.4286, -46.8571, -49],
        [-27.8, -17.8, -1.8, -4.3, -7.8143, 0.0714, 5],
        [-33, -10.1429, 26.4286, 22.5, 15.9286, 31.3571, 41],
    ],
    ("align_corners", (2, 3)): [[35, 7, -24], [-33, 22.5, 41]],
    ("half_pixel", (2, 3)): [
        [17.4167, -5.875, -26.875],
        [-22.8333, 5.75, 15.375],
    ],
    ("align_corners", (1, 6)): [[35, 21.8, 10.6, 3.4, -9, -24]],
    ("half_pixel", (1, 6)): [[-20, -33, -45.5, -43.5, -46, -49]],
}


@pytest.mark.parametrize(("resizing", "size"), OF_THE_LIBRARIES)
def test_maps_are_resized_as_by_tensorflow_and_torch(resizing, size):
    expected = OF_THE_LIBRARIES[resizing, size]
    np.testing.assert_allclose(values(MAP, size, resizing), expected, atol=1e-3)


@pytest.mark.parametrize("resizing", ["half_pixel", "align_corners"])
@pytest.mark.parametrize("size", [(9, 4), (2, 11), (5, 7), (1, 1)])
def test_the_gradient_is_the_transposed_map(size, resizing):
    # A linear map L: y . L x is x . gradient(y), whatever x and y.
    x, y = (
        jax.random.normal(jax.random.key(i), (2, *shape, 3))
        for i, shape in enumerate([(5, 7), size])
    )
    resized, pull_back = jax.vjp(lambda x: resize(x, size, resizing), x)
    assert resized.shape == y.shape
    (gradient,) = pull_back(y)
    assert jnp.vdot(y, resized) == pytest.approx(float(jnp.vdot(x, gradient)), abs=1e-4)
