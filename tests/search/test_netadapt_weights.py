"""A network of padded weights equals the narrow one, in all that is trained."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mobilenets import get_spec
from mobilenets.nn.classifier import Classifier
from mobilenets.search import netadapt_weights
from mobilenets.search.netadapt_weights import narrowed, padded, truncated
from mobilenets.search.netadapt_widths import narrower, widths, with_width
from tests.search.small_v3 import CLASSES, SPEC, variables

WIDE = variables()
# Expansions, of which one takes its squeeze-and-excitation with it, and a bottleneck
# that two blocks share and the head reads.
WIDTHS = {"block1/expand": 16, "block1/project": 8, "block2/expand": 32}


def network():
    narrow = SPEC
    for width, channels in WIDTHS.items():
        narrow = with_width(narrow, width, channels)
    return narrow


NARROW = network()
CUT = narrowed(WIDE, SPEC, NARROW)


def test_what_remains_has_the_shapes_of_the_network():
    shapes = netadapt_weights.shapes(NARROW, CLASSES)
    assert jax.tree.map(np.shape, CUT) == jax.tree.map(lambda x: x.shape, shapes)


def test_every_width_is_cut_wherever_it_is_read():
    """EfficientNet-B1 has a block without expansion that reads a narrowed width."""
    network = narrow = get_spec("efficientnet_b1")
    for width in widths(network):
        _, narrow = next(narrower(narrow, width))
    wide = jax.tree.map(
        lambda x: np.ones(x.shape, np.float32), netadapt_weights.shapes(network, 7)
    )
    shapes = netadapt_weights.shapes(narrow, 7)
    cut = narrowed(wide, network, narrow)
    assert jax.tree.map(np.shape, cut) == jax.tree.map(lambda x: x.shape, shapes)


def test_the_smallest_filters_go_and_the_others_stay_as_they_are():
    of_block = WIDE["params"]["block2"]
    kernel = of_block["expand"]["conv"]["kernel"][0, 0]  # [16, 40]
    largest = np.sort(np.argsort(np.linalg.norm(kernel, axis=0))[-32:])
    # It reads the bottleneck that blocks 1 and 2 make.
    makers = [
        WIDE["params"][b]["project"]["conv"]["kernel"] for b in ("block1", "block2")
    ]
    norms = np.linalg.norm(np.concatenate([k[0, 0] for k in makers]), axis=0)
    read = np.sort(np.argsort(norms)[-8:])
    cut = CUT["params"]["block2"]
    np.testing.assert_array_equal(
        cut["expand"]["conv"]["kernel"][0, 0], kernel[np.ix_(read, largest)]
    )
    np.testing.assert_array_equal(
        cut["depthwise"]["conv"]["kernel"],
        of_block["depthwise"]["conv"]["kernel"][..., largest],
    )
    np.testing.assert_array_equal(
        CUT["batch_stats"]["block2"]["depthwise"]["bn"]["var"],
        WIDE["batch_stats"]["block2"]["depthwise"]["bn"]["var"][largest],
    )
    assert cut["se"]["reduce"]["kernel"].shape == (32, 8)


IMAGES = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))


def forward(spec, its_variables):
    """The logits of an evaluation, and the statistics after a step of training."""
    model = Classifier(spec, CLASSES)
    _, updated = in_training(spec, its_variables)
    return model.apply(its_variables, IMAGES)[0], updated["batch_stats"]


def in_training(spec, its_variables):
    """The loss, and the statistics after it."""
    (logits, _), updated = Classifier(spec, CLASSES).apply(
        its_variables,
        IMAGES,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.key(0)},
    )
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(4))
    return losses.mean(), updated


def gradients(spec, its_variables):
    """Of the loss."""
    rest = {"batch_stats": its_variables["batch_stats"]}
    return jax.grad(lambda params: in_training(spec, {"params": params, **rest})[0])(
        its_variables["params"]
    )


def assert_close(masked, narrow):
    narrow = jax.device_get(narrow)
    # A bias in front of another batch norm has a gradient of 0, but for rounding.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
        truncated(masked, narrow),
        narrow,
    )


def assert_0_where_masked(masked, narrow):
    masked = jax.device_get(masked)
    again = padded(truncated(masked, narrow), masked)
    jax.tree.map(np.testing.assert_array_equal, masked, again)


def test_masked_equals_truncated():
    run = jax.jit(forward, static_argnums=0)
    logits, statistics = run(NARROW, CUT)
    masked_logits, masked_statistics = run(SPEC, padded(CUT, WIDE))
    np.testing.assert_allclose(masked_logits, logits, rtol=1e-4, atol=1e-5)
    assert np.abs(logits).max() > 0.1
    assert_close(masked_statistics, statistics)
    assert_0_where_masked(masked_statistics, statistics)


@pytest.mark.slow
def test_gradients_of_masked_channels_are_exactly_0_and_others_those_of_the_narrow():
    run = jax.jit(gradients, static_argnums=0)
    narrow, masked = run(NARROW, CUT), run(SPEC, padded(CUT, WIDE))
    assert_close(masked, narrow)
    assert_0_where_masked(masked, narrow)
    assert max(np.abs(x).max() for x in jax.tree.leaves(narrow)) > 1e-3
