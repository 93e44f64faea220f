"""`Segmenter` is the network that its spec describes, around an unchanged backbone."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets import create_backbone, get_spec
from mobilenets.networks import complexity
from mobilenets.networks.architectures.deeplab import (
    deeplabv3,
    get_segmenter,
    lraspp,
    raspp,
)
from mobilenets.networks.segmenter import AuxiliarySpec
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables


def names_of(tree):
    leaves = jax.tree.leaves_with_path(tree)
    return {"/".join(k.key for k in path): leaf for path, leaf in leaves}


def shapes_of(spec, num_classes, height, width):
    model = build(spec, num_classes)
    images = jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), images)


# All kinds of heads, with a map inside and at the end of a block.
NAMES = (
    "deeplabv3_mobilenet_v1",
    "raspp_mobilenet_v2",
    "lraspp_mobilenet_v3_small",
    "lraspp_mobilenet_v3_large_torchvision",
    "deeplabv3_mobilenet_v3_large_torchvision",
)
SPECS = {name: get_segmenter(name) for name in NAMES}
SPECS["lraspp on a resnet"] = lraspp(get_spec("resnet50"))


@pytest.mark.parametrize("name", SPECS)
def test_the_tree_and_the_outputs_are_those_of_the_spec(name):
    spec = SPECS[name]
    (outputs, _), variables = shapes_of(spec, 7, 97, 130)
    assert outputs.logits.shape == (2, 97, 130, 7)
    assert outputs.logits.dtype == jnp.float32
    if spec.auxiliary:
        assert outputs.auxiliary_logits.shape == (2, 97, 130, 7)
    else:
        assert outputs.auxiliary_logits is None
    params = names_of(variables["params"])
    for layer in complexity.layers(spec, 7):
        names = ("kernel", "bias", "conv/kernel", "bn/scale", "bn/bias")
        found = {f"{layer.name}/{name}" for name in names} & set(params)
        assert sum(params.pop(path).size for path in found) == layer.params, layer.name
    assert not params  # every parameter is some layer's


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_a_classifier_start_its_backbone(name):
    # All that `init_from` needs: the same names and shapes in both.
    spec = SPECS[name]
    model = build(spec, 3)
    _, variables = shapes_of(spec, 3, 64, 64)
    architecture = spec.backbone.name
    classifier = get_spec(architecture)
    if name == "lraspp_mobilenet_v3_small":  # reduced, as no classifier is
        classifier = spec.backbone
    of_classifier = jax.eval_shape(
        build(classifier, 10).init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32),
    )
    for kind, tree in variables.items():
        for module, arrays in tree.items():
            if model.role(module) == "backbone":
                shapes = jax.tree.map(jnp.shape, of_classifier[kind][module])
                assert shapes == jax.tree.map(jnp.shape, arrays)
    roles = {module: model.role(module) for module in variables["params"]}
    blocks = {f"block{i}" for i in range(len(spec.backbone.blocks))}
    rest = {"stem"} | ({"head_conv"} if spec.backbone.head_conv_channels else set())
    assert {m for m, role in roles.items() if role == "backbone"} == blocks | rest


def tiny(make=lraspp, filters=16, **changes):
    """A segmenter that compiles in seconds, for images of 65 pixels."""
    spec = get_spec("efficientnet_lite0", width_multiplier=0.35, resolution=65)
    blocks = spec.backbone.blocks[:6]
    spec = with_backbone(spec, blocks=blocks, head_conv_channels=24)
    return dataclasses.replace(make(spec, filters=filters), **changes)


def images_of(height, width):
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, height, width, 3)).astype(np.float32)


def randomized(variables):
    """With other numbers everywhere, the statistics of batch norm positive."""
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return (0.3 * rng.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree.map_with_path(draw, variables)


def aligned(x, height, width):
    """Bilinear interpolation between the centres of corner pixels, by `np.interp`."""
    for axis, size in ((1, height), (2, width)):
        old = np.linspace(0, 1, x.shape[axis])
        new = np.linspace(0, 1, size)
        interpolate = functools.partial(np.interp, new, old)
        x = np.apply_along_axis(interpolate, axis, x)
    return x


def strided():
    """LR-ASPP with several means in images of more than 65 pixels."""
    spec = tiny()
    head = dataclasses.replace(spec.head, pooling_stride=(1, 2))
    return dataclasses.replace(spec, head=head)


@functools.cache
def ran(height, width):
    """The variables of `strided`, its logits for images of a size, and its maps."""
    model = build(strided(), 3)
    variables = randomized(init_variables(model, jax.random.key(0)))
    outputs, maps = jax.jit(model.apply)(variables, images_of(height, width))
    return variables, outputs.logits, maps


@pytest.mark.parametrize(
    ("height", "width", "means"), [(65, 65, (1, 1)), (129, 225, (5, 6))]
)
def test_lr_aspp_is_that_of_the_paper(height, width, means):
    # At 65 pixels the map has 5, the window of a mean; at 129 x 225 it has 9 x 15. By
    # hand: (9 - 5) // 1 + 1 means with stride 1 and (15 - 5) // 2 + 1 with stride 2.
    variables, logits, maps = ran(height, width)
    params, statistics = variables["params"], variables["batch_stats"]["aspp0"]["bn"]
    x, fine = np.asarray(maps["head_conv"]), np.asarray(maps["block4/depthwise"])

    rows, columns = x.shape[1] - 4, (x.shape[2] - 5) // 2 + 1
    windows = np.array(
        [
            [x[:, i : i + 5, 2 * j : 2 * j + 5].mean((1, 2)) for j in range(columns)]
            for i in range(rows)
        ]
    ).transpose(2, 0, 1, 3)
    gate = params["image_pooling"]
    gates = np.clip((windows @ gate["kernel"] + 3) / 6, 0, 1)
    conv = params["aspp0"]
    y = x @ conv["conv"]["kernel"][0, 0]
    y = (y - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5)
    y = np.maximum(y * conv["bn"]["scale"] + conv["bn"]["bias"], 0)
    y = aligned(y * aligned(gates, *x.shape[1:3]), *fine.shape[1:3])
    summed = sum(
        x @ params[name]["kernel"] + params[name]["bias"]
        for name, x in (("logits", y), ("low_level_logits", fine))
    )
    assert windows.shape[1:3] == means
    expected = aligned(summed, height, width)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_corners_that_are_aligned_are_those_of_a_multiple_of_the_stride_and_a_pixel():
    # As TensorFlow's DeepLab, which pads 1024 x 2048 to 1025 x 2049 by the mean colour.
    # The figure of MobileNetV3 has means of 49 x 49 pixels, 16 and 20 apart, which fit
    # the map of that, 65 x 129: (65 - 49) / 16 and (129 - 49) / 20 have no remainder.
    model = build(strided(), 3)
    variables, _, _ = ran(129, 210)
    images = images_of(112, 130)
    padded = np.pad(images, ((0, 0), (0, 1), (0, 15), (0, 0)))
    assert padded.shape[1:3] == (16 * 7 + 1, 16 * 9 + 1)
    run = jax.jit(model.apply)
    found, expected = (run(variables, x)[0].logits for x in (images, padded))
    np.testing.assert_array_equal(found, expected[:, :112, :130])

    large = get_segmenter("lraspp_mobilenet_v3_large")
    _, maps = jax.eval_shape(
        build(large, 19).apply,
        shapes_of(large, 19, 769, 769)[1],
        jax.ShapeDtypeStruct((1, 1024, 2048, 3), jnp.float32),
    )
    assert maps["head_conv"].shape == (1, 65, 129, 480)


def test_torchvisions_images_are_not_padded():
    spec = SPECS["lraspp_mobilenet_v3_large_torchvision"]
    (_, maps), _ = shapes_of(spec, 3, 66, 112)
    assert maps["head_conv"].shape[1:3] == (5, 7)  # (66 + 15) // 16, 112 / 16


@pytest.mark.parametrize("make", [lraspp, raspp, deeplabv3])
def test_images_of_any_size_get_logits_of_their_size(make):
    for height, width in ((1, 1), (31, 64), (66, 33)):
        shapes, _ = shapes_of(tiny(make), 3, height, width)
        assert shapes[0].logits.shape == (2, height, width, 3)


def quick(make, blocks, **options):
    """A segmenter of a few blocks without expansions, with an auxiliary head."""
    spec = get_spec("mobilenet_v1", width_multiplier=0.25, resolution=32)
    backbone = with_backbone(spec, blocks=spec.backbone.blocks[:blocks])
    return dataclasses.replace(
        make(backbone, filters=8, **options),
        auxiliary=AuxiliarySpec("block1", 8, dropout_rate=0.1),
    )


KINDS = {
    "lraspp": quick(lraspp, 6),
    "deeplabv3": quick(deeplabv3, 7, output_stride=8),
}


@pytest.fixture(scope="module", params=KINDS)
def trained_step(request):
    """A spec, its variables, and a training step of it with its gradients."""
    spec = KINDS[request.param]
    model = build(spec, 3)
    variables = init_variables(model, jax.random.key(0))

    @jax.jit
    def step(params, rng):
        def loss(params):
            (outputs, _), updated = model.apply(
                {**variables, "params": params},
                images_of(33, 48),
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": rng},
            )
            parts = [x for x in outputs if x is not None]
            return sum((x**2).sum() for x in parts), (outputs, updated)

        return jax.grad(loss, has_aux=True)(params)

    return spec, variables, step


def test_a_training_step_reaches_every_parameter(trained_step):
    _, variables, step = trained_step
    gradients, (_, updated) = jax.device_get(
        step(variables["params"], jax.random.key(0))
    )
    for name, gradient in names_of(gradients).items():
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() > 0, name
    before = names_of(variables["batch_stats"])
    for name, new in names_of(updated["batch_stats"]).items():
        assert np.abs(new - before[name]).max() > 0, name


def test_dropout_is_where_the_papers_have_it(trained_step):
    spec, variables, step = trained_step
    (first, second) = (
        step(variables["params"], jax.random.key(i))[1][0] for i in range(2)
    )
    same = np.array_equal(first.logits, second.logits)
    assert same == (spec.head.kind == "lraspp")
    assert not np.array_equal(first.auxiliary_logits, second.auxiliary_logits)


def test_frozen_modules_of_the_head_keep_their_statistics():
    spec = quick(raspp, 2, output_stride=4)
    frozen = ("aspp0", "auxiliary", "block1")
    model = build(spec, 3, frozen=frozen)
    variables = init_variables(model, jax.random.key(0))
    _, updated = jax.jit(
        lambda variables: model.apply(
            variables,
            images_of(32, 32),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )
    )(variables)
    before = variables["batch_stats"]
    changed = {
        module
        for module, new in updated["batch_stats"].items()
        if not jax.tree.all(jax.tree.map(np.array_equal, before[module], new))
    }
    assert changed == set(before) - set(frozen)


def test_bfloat16_gives_float32_logits_that_are_near():
    variables, exact, _ = ran(129, 210)
    model = build(strided(), 3, dtype=jnp.bfloat16)
    near = jax.jit(model.apply)(variables, images_of(129, 210))[0].logits
    assert near.dtype == jnp.float32
    assert np.abs(near - exact).mean() < 0.03 * np.std(exact)


def test_logits_start_small_and_without_bias():
    params = init_variables(build(tiny(filters=256), 19), jax.random.key(0))["params"]
    kernel = params["logits"]["kernel"]
    assert kernel.std() == pytest.approx(0.01 * 0.88, rel=0.05)  # cut at 2 deviations
    assert not params["logits"]["bias"].any()


def test_the_maps_are_those_of_the_backbone_alone():
    variables, _, maps = ran(65, 65)
    own = {
        kind: {
            module: arrays
            for module, arrays in tree.items()
            if module.startswith(("stem", "block", "head_conv"))
        }
        for kind, tree in variables.items()
    }
    expected = jax.jit(create_backbone(strided().backbone).apply)(
        own, images_of(65, 65)
    )
    for name in ("block4/depthwise", "head_conv"):
        np.testing.assert_allclose(maps[name], expected[name], rtol=1e-5, atol=1e-5)
