"""Parameters start as in the code that each family comes from."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets import create_backbone, create_model, get_spec
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.blocks import ConvBN
from mobilenets.nn.initialization import Constant, init_variables

# Each with a network narrow enough to be drawn in a second.
FAMILIES = {
    "slim": get_spec("mobilenet_v3_small", width_multiplier=0.75),
    "efficientnet": get_spec("efficientnet_b0"),
    "moga": get_spec("moga_a"),
    "resnet": with_backbone(
        get_spec("se_resnet50"), blocks=get_spec("se_resnet50").backbone.blocks[:8]
    ),
}


@functools.cache
def drawn(family):
    """The variables for 1000 classes; not to be changed."""
    return init_variables(create_model(FAMILIES[family], 1000), jax.random.key(1))


def leaves_of(tree):
    """The leaves by their paths, "params/block3/expand/conv/kernel"."""
    leaves = jax.tree.leaves_with_path(tree)
    return {"/".join(part.key for part in path): leaf for path, leaf in leaves}


def expected_std(family, path, shape):
    """The standard deviation by the authors' code, written out for each layer."""
    *taps, inputs, outputs = shape
    area = int(np.prod(taps)) if taps else 1
    if family == "slim":
        return 0.09 * 0.8796  # what cutting at two deviations leaves of a normal
    if family == "resnet":
        return 0.01 if "logits" in path else np.sqrt(2 / (area * inputs))
    if "logits" in path:
        return 1 / np.sqrt(outputs) / np.sqrt(3)  # uniform
    if "depthwise" in path and family == "efficientnet":
        return np.sqrt(2 / area)
    return np.sqrt(2 / (area * outputs))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_kernels_are_drawn_as_by_the_authors_code(family):
    spec = FAMILIES[family]
    assert spec.backbone.initialization == family
    numbers = []
    for path, leaf in leaves_of(drawn(family)).items():
        if not path.endswith("kernel"):
            continue
        std = expected_std(family, path, leaf.shape)
        if leaf.size > 5000:
            assert np.std(leaf) == pytest.approx(std, rel=0.05), path
        if family == "slim":
            assert np.abs(leaf).max() <= 0.18
        numbers.append(np.ravel(leaf) / std)
    numbers = np.concatenate(numbers)
    assert np.mean(numbers) == pytest.approx(0, abs=3e-3)
    assert np.std(numbers) == pytest.approx(1, rel=0.01)
    # Every weight is drawn for itself: two uses of each number would leave a half. (Of
    # millions of draws a part meets by chance, on the grid of float32.)
    assert len(np.unique(numbers)) > 0.55 * len(numbers)


def test_two_layers_of_one_shape_are_drawn_apart():
    model = create_backbone("mobilenet_v1", width_multiplier=0.5)
    params = init_variables(model, jax.random.key(1))["params"]
    first, second = params["block6"], params["block7"]
    a, b = (np.ravel(block["project"]["conv"]["kernel"]) for block in (first, second))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.02


def test_the_dense_layers_of_efficientnet_are_uniform():
    kernel = drawn("efficientnet")["params"]["logits"]["kernel"]
    assert np.abs(kernel).max() == pytest.approx(1 / np.sqrt(1000), rel=1e-3)
    quarters, _ = np.histogram(kernel, bins=4)
    np.testing.assert_allclose(quarters / kernel.size, 0.25, atol=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_but_kernels_start_at_0_or_1(family):
    constants = {"bias": 0, "scale": 1, "mean": 0, "var": 1}
    for path, leaf in leaves_of(drawn(family)).items():
        name = path.rpartition("/")[2]
        if path.endswith("restore/bn/scale"):  # a ResNet's block begins as the identity
            assert np.all(leaf == 0), path
        elif name != "kernel":
            assert np.all(leaf == constants[name]), path


@pytest.mark.parametrize("family", FAMILIES)
def test_init_variables_gives_what_init_gives(family):
    model = create_model(FAMILIES[family], 1000)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    expected = jax.eval_shape(model.init, jax.random.key(0), images)
    variables = drawn(family)
    assert jax.tree.structure(variables) == jax.tree.structure(expected)
    for a, b in zip(*map(jax.tree.leaves, (variables, expected)), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def test_init_draws_from_the_same_distributions():
    for family, spec in FAMILIES.items():
        spec = with_backbone(spec, blocks=spec.backbone.blocks[:1])
        model = create_model(spec, 1000)
        images = jnp.zeros((1, 32, 32, 3))
        variables = jax.jit(model.init)(jax.random.key(0), images)
        ours = leaves_of(init_variables(model, jax.random.key(0)))
        for path, leaf in leaves_of(variables).items():
            if path.endswith("kernel") and leaf.size > 5000:
                std = expected_std(family, path, leaf.shape)
                assert np.std(leaf) == pytest.approx(std, rel=0.05), (family, path)
            elif not path.endswith("kernel"):
                np.testing.assert_array_equal(leaf, ours[path], err_msg=path)


def test_another_key_draws_other_kernels():
    model = create_backbone("mobilenet_v1", width_multiplier=0.25)
    a, b = (init_variables(model, jax.random.key(seed)) for seed in (0, 1))
    kernels = [v["params"]["stem"]["conv"]["kernel"] for v in (a, b)]
    assert not np.any(kernels[0] == kernels[1])


class Mixed(nn.Module):
    """Layers of this package and of Linen, one of which asks for a flattened shape."""

    @nn.compact
    def __call__(self, images):
        x = ConvBN(8, 3, scale_init=Constant(0.5), name="ours")(images, False)
        x = nn.Conv(4, (3, 3), bias_init=nn.initializers.constant(2.0))(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        x = nn.DenseGeneral((3, 5), name="general")(x)
        bare = self.param("bare", nn.initializers.normal(), (7,))
        return x.sum() + bare.sum()


def test_the_initialisers_of_any_module_are_found():
    key, images = jax.random.key(3), jnp.zeros((1, 8, 8, 3))
    found = leaves_of(init_variables(Mixed(), key, images.shape))
    expected = leaves_of(jax.jit(Mixed().init)(key, images))
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        assert (found[path].shape, found[path].dtype) == (leaf.shape, leaf.dtype), path
        if path == "params/ours/conv/kernel":  # drawn together with others of its kind
            assert np.std(found[path]) == pytest.approx(0.09 * 0.8796, rel=0.15)
        else:
            np.testing.assert_allclose(found[path], leaf, rtol=1e-6, err_msg=path)
    assert np.all(found["params/ours/bn/scale"] == 0.5)
