"""`Detector` is the network that its spec describes, around an unchanged backbone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets import create_backbone, get_spec
from mobilenets.networks import complexity
from mobilenets.networks.architectures.ssd import get_detector, ssd, ssdlite
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables


def names_of(tree):
    leaves = jax.tree.leaves_with_path(tree)
    return {"/".join(k.key for k in path): leaf for path, leaf in leaves}


def shapes_of(spec, num_classes):
    model = build(spec, num_classes)
    images = jax.ShapeDtypeStruct((2, spec.resolution, spec.resolution, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), images)


# All kinds of predictors, extra layers and feature maps.
NAMES = ("ssd_mobilenet_v1", "ssd_mobilenet_v2", "ssdlite_mobilenet_v3_large_halved")
SPECS = {name: get_detector(name) for name in NAMES}
SPECS["ssd on a resnet"] = ssd(get_spec("resnet50", resolution=320))


@pytest.mark.parametrize("name", SPECS)
def test_the_tree_and_the_outputs_are_those_of_the_spec(name):
    spec = SPECS[name]
    (raw, _), variables = shapes_of(spec, 7)
    assert raw.box_codes.shape == (2, spec.num_anchors, 4)
    assert raw.class_logits.shape == (2, spec.num_anchors, 8)
    params = names_of(variables["params"])
    for layer in complexity.layers(spec, 7):
        names = ("kernel", "bias", "conv/kernel", "bn/scale", "bn/bias")
        found = {f"{layer.name}/{name}" for name in names} & set(params)
        assert sum(params.pop(path).size for path in found) == layer.params, layer.name
    assert not params  # every parameter is some layer's


def test_the_backbone_keeps_the_names_of_its_parameters():
    spec = get_detector("ssdlite_mobilenet_v3_small", resolution=64)
    model = build(spec, 3)
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    backbone = jax.eval_shape(
        create_backbone(spec.backbone).init, jax.random.key(0), images
    )["params"]
    roles = {name: model.role(name) for name in params}
    assert {n for n, role in roles.items() if role == "backbone"} == set(backbone)
    kept = {name: params[name] for name in backbone}
    assert names_of(kept) == names_of(backbone)
    head = {f"{kind}_predictor{i}" for kind in ("box", "class") for i in range(6)}
    head |= {f"extra{i}" for i in range(4)}
    assert {n for n, role in roles.items() if role == "head"} == head


def tiny():
    """A detector that compiles in seconds: three maps of 8, 4 and 2 pixels."""
    spec = get_spec("mobilenet_v2", width_multiplier=0.35, resolution=32)
    blocks = spec.backbone.blocks[:4]
    spec = ssdlite(with_backbone(spec, blocks=blocks, head_conv_channels=24))
    anchors = (spec.anchors[0], *spec.anchors[1:3])
    return dataclasses.replace(spec, extras=spec.extras[3:], anchors=anchors)


@pytest.fixture(scope="module")
def outputs():
    """A tiny detector, its variables, images, and what it gives."""
    spec = tiny()
    model = build(spec, 5)
    variables = init_variables(model, jax.random.key(0))
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("f")
    raw, endpoints = jax.jit(model.apply)(variables, images)
    return spec, variables, images, raw, endpoints


def test_the_maps_are_those_of_the_backbone_alone(outputs):
    spec, variables, images, _, endpoints = outputs
    alone = create_backbone(spec.backbone)
    own = {
        kind: {
            name: tree[name]
            for name in tree
            if name.startswith(("stem", "block", "head_"))
        }
        for kind, tree in variables.items()
    }
    expected = jax.jit(alone.apply)(own, images)
    for name in spec.features:
        np.testing.assert_allclose(
            endpoints[name], expected[name], rtol=1e-5, atol=1e-6
        )


def test_the_outputs_are_in_the_order_of_the_anchors(outputs):
    # A predictor's kernel of 0 and a bias that counts: every pixel says its anchors'
    # numbers, anchor by anchor, and every map its own.
    spec, variables, images, _, _ = outputs
    params = dict(variables["params"])
    for i, shapes in enumerate(spec.anchors):
        for kind, numbers in (("box", 4), ("class", 6)):
            name = f"{kind}_predictor{i}"
            kernel = params[name]["output"]["kernel"]
            bias = 1000.0 * i + np.arange(len(shapes) * numbers)
            output = {"kernel": np.zeros_like(kernel), "bias": bias}
            params[name] = {**params[name], "output": output}
    model = build(spec, 5)
    raw, _ = jax.jit(model.apply)({**variables, "params": params}, images)
    assert raw.box_codes.shape == (2, spec.num_anchors, 4)
    start = 0
    for i, ((size, _), shapes) in enumerate(zip(spec.maps, spec.anchors, strict=True)):
        for array, numbers in ((raw.box_codes, 4), (raw.class_logits, 6)):
            pixel = 1000 * i + np.arange(len(shapes) * numbers).reshape(-1, numbers)
            end = start + size**2 * len(shapes)
            expected = np.tile(pixel, (size**2, 1))
            np.testing.assert_array_equal(array[1, start:end], expected)
        start = end
    assert start == spec.num_anchors


def test_a_training_step_reaches_every_parameter(outputs):
    spec, variables, images, _, _ = outputs
    model = build(spec, 5)

    @jax.jit
    def gradients(params):
        def loss(params):
            (raw, _), _ = model.apply(
                {**variables, "params": params},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )
            return (raw.box_codes**2).sum() + (raw.class_logits**2).sum()

        return jax.grad(loss)(params)

    params = jax.device_get(gradients(variables["params"]))
    for name, gradient in names_of(params).items():
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() > 0, name


def test_kernels_and_biases_start_as_published():
    spec = dataclasses.replace(
        tiny(), predictor=get_detector("ssdlite_mobilenet_v3_small").predictor
    )
    params = init_variables(build(spec, 90), jax.random.key(0))["params"]
    bias = params["class_predictor1"]["output"]["bias"]
    np.testing.assert_array_equal(bias, np.float32(-4.6))  # with focal loss
    assert not params["box_predictor1"]["output"]["bias"].any()
    normal = params["class_predictor0"]["output"]["kernel"]
    assert normal.std() == pytest.approx(0.03, rel=0.05)
    assert np.abs(normal).max() > 0.07  # is not cut
    cut = params["extra0"]["project"]["conv"]["kernel"]
    assert np.abs(cut).max() < 0.06 + 1e-6
    assert cut.std() == pytest.approx(0.03 * 0.88, rel=0.05)  # of a normal cut at 2
