"""The outputs of a file are those of the network in JAX, for each block and format."""

import functools

import jax
import numpy as np
import pytest

from mobilenets.export import formats
from mobilenets.export.exported import in_runtime
from mobilenets.export.folding import fold
from mobilenets.export.stablehlo_file import forward
from tests.export import small

FORMATS = ["stablehlo", "onnx", "litert"]
needs_converter = functools.partial(pytest.importorskip, "litert_converter")


def images_of(net):
    side = net.description.network.resolution
    return np.random.default_rng(0).standard_normal((2, side, side, 3)).astype("f")


@functools.cache
def in_jax(name):
    """By stock Flax: no form of ours is common to both sides."""
    net = small.net(name)
    return jax.jit(forward(net, lowering="native"))(images_of(net))


def written(net, name, **options):
    if name == "litert":
        needs_converter()
    chosen = formats.checked(name, formats.Options(**options), int8=False)
    content = formats.writer(name).convert(fold(net), chosen)
    return content, in_runtime(net.description, name, content, chosen)


def assert_close(found, wanted, fraction):
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert np.ptp(b) > 0.1
        np.testing.assert_allclose(a, b, rtol=0, atol=fraction * np.ptp(b))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", small.SPECS)
def test_the_outputs_are_those_of_the_network(name, format):
    net = small.net(name)
    _, exported = written(net, format)
    assert_close(exported.run(images_of(net)), in_jax(name), 1e-5)


@pytest.mark.parametrize("name", small.SPECS)
def test_folded_batch_norm_changes_nothing_but_the_rounding(name):
    net = small.net(name)
    folded = fold(net)
    found = jax.jit(forward(folded, lowering="native"))(images_of(net))
    assert_close(found, in_jax(name), 1e-5)
    variances = [
        leaf
        for path, leaf in jax.tree.leaves_with_path(folded.variables)
        if path[-1].key == "var"
    ]
    assert variances and all(np.ptp(variance) == 0 for variance in variances)
    # The parameters must have their names and shapes, so that modules take them.
    shapes = [jax.tree.map(np.shape, n.variables) for n in (net, folded)]
    assert shapes[0] == shapes[1]
