"""The outputs of a file are those of the network in JAX, for each block and format."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest

from mobilenets import ARCHITECTURES, get_spec
from mobilenets.export import formats
from mobilenets.export.exported import in_runtime
from mobilenets.export.folding import fold
from mobilenets.export.stablehlo_file import forward
from mobilenets.networks.architectures.deeplab import SEGMENTERS, get_segmenter
from mobilenets.networks.architectures.ssd import DETECTORS, get_detector
from tests.export import small

FORMATS = ["stablehlo", "onnx", "litert"]


def images_of(net):
    side = net.description.network.resolution
    return np.random.default_rng(0).standard_normal((2, side, side, 3)).astype("f")


def stock(net):
    """By stock Flax, so that no form of ours is common to both sides.

    The weights are arguments: one program serves the folded ones, too.
    """

    @jax.jit
    def call(variables, images):
        given = dataclasses.replace(net, variables=variables)
        return forward(given, lowering="native")(images)

    return call


@functools.cache
def compiled(name):
    return stock(small.net(name))


@functools.cache
def in_jax(name):
    net = small.net(name)
    return compiled(name)(net.variables, images_of(net))


def written(net, name, **options):
    chosen = formats.checked(name, formats.Options(**options), int8=False)
    content = formats.writer(name).convert(fold(net), chosen)
    return content, in_runtime(net.description, name, content, chosen)


def assert_close(found, wanted, fraction):
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert np.ptp(b) > 0.1
        np.testing.assert_allclose(a, b, rtol=0, atol=fraction * np.ptp(b))


# What is traced for three platforms takes long: in the fast suite of these alone.
OF_STABLEHLO = (
    *("depthwise separable", "basic", "backbone"),
    "DeepLabv3 of torchvision",
)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        pytest.param(name, format, marks=[pytest.mark.slow] * (format == "litert"))
        for name in small.SPECS
        for format in FORMATS
        if format != "stablehlo" or name in OF_STABLEHLO
    ],
)
def test_the_outputs_are_those_of_the_network(name, format):
    net = small.net(name)
    _, exported = written(net, format)
    assert_close(exported.run(images_of(net)), in_jax(name), 1e-5)


@pytest.mark.parametrize("name", small.SPECS)
def test_folded_batch_norm_changes_nothing_but_the_rounding(name):
    net = small.net(name)
    folded = fold(net)
    found = compiled(name)(folded.variables, images_of(net))
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


# Of each family and each kind of head; what is left out has the same blocks.
LEFT_OUT = re.compile(
    r"efficientnet_(b[1-7]|lite[1-4])|.*resnet1(01|52)|moga_[bc]"
    r"|(ssdlite_|deeplabv3_|raspp_|lraspp_)?mobilenet_v3_large(_minimalistic|_halved)?"
    r"|(deeplabv3|raspp|lraspp)_mobilenet_v1"
)
FAMILIES = [
    name
    for name in (*ARCHITECTURES, *DETECTORS, *SEGMENTERS)
    if not LEFT_OUT.fullmatch(name)
]


def of_family(number, name):
    """Every second network has an odd size and PyTorch's padding."""
    make = get_detector if name in DETECTORS else get_spec
    make = get_segmenter if name in SEGMENTERS else make
    if number % 2:
        spec = make(name, resolution=65, padding="symmetric")
    else:
        spec = make(name, resolution=64, padding="same")
    return small.net_of(small.without_repeats(spec))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "name"), [*enumerate(FAMILIES)])
def test_the_outputs_of_every_family_are_those_of_the_network(number, name):
    """The bar is 1e-4 of the spread; rounding is about 1e-6 of it."""
    net = of_family(number, name)
    images = images_of(net)
    wanted = stock(net)(net.variables, images)
    for array in wanted:  # the first layer must tell, too
        assert np.abs(array[0] - array[1]).max() > 0.01 * np.ptp(array)
    for format in FORMATS:
        _, exported = written(net, format)
        assert_close(exported.run(images), wanted, 1e-4)
