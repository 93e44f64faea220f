"""The loss is that of the pixels with a label, and never nan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mobilenets.segmentation.losses import mean_cross_entropy


def test_the_loss_is_the_mean_of_the_labelled_pixels_of_the_whole_batch():
    """One image has one labelled pixel, the other has three: they count alike."""
    logits = np.log(
        [
            [[[1, 3], [1, 1]], [[9, 1], [1, 1]]],
            [[[1, 1], [1, 7]], [[1, 4], [5, 5]]],
        ]
    ).astype(np.float32)
    labels = np.array([[[0, 255], [255, 255]], [[1, 1], [0, 255]]], np.uint8)
    # The probabilities of the labels: 1/4, 1/2, 7/8 and 1/5.
    expected = -np.log([1 / 4, 1 / 2, 7 / 8, 1 / 5]).mean()
    assert mean_cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-6)


def test_without_a_labelled_pixel_loss_and_gradient_are_0():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 5)))
    labels = np.full((2, 3, 4), 255, np.uint8)
    loss, gradient = jax.value_and_grad(mean_cross_entropy)(logits, labels)
    assert loss == 0 and not gradient.any()


def test_a_pixel_without_label_has_no_gradient():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(1, 1, 2, 3)))
    gradient = jax.grad(mean_cross_entropy)(logits, np.array([[[2, 255]]], np.uint8))
    assert gradient[0, 0, 0].all() and not gradient[0, 0, 1].any()


def test_four_devices_find_the_loss_of_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 6, 5, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (4, 6, 5)).astype(np.uint8)
    labels[1:] = np.where(rng.random((3, 6, 5)) < 0.8, 255, labels[1:])
    mesh = jax.make_mesh((4,), ("data",))
    split = NamedSharding(mesh, PartitionSpec("data"))
    found = jax.jit(mean_cross_entropy)(
        jax.device_put(logits, split), jax.device_put(labels, split)
    )
    assert found == pytest.approx(float(mean_cross_entropy(logits, labels)), rel=1e-6)
