"""Each kind of block against its definition, written out with stock operations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mobilenets import create_backbone, create_model, get_spec
from mobilenets.networks.spec import (
    BackboneSpec,
    SqueezeExciteSpec,
    with_backbone,
)
from mobilenets.nn.blocks import max_pool
from mobilenets.nn.initialization import init_variables

MOMENTUM, EPSILON = 0.8, 1e-3


def one_block(name, index, **changes):
    """A backbone whose only block is that one of a paper's, on its own input width."""
    spec = get_spec(name).backbone
    block = dataclasses.replace(spec.blocks[index], **changes)
    return dataclasses.replace(
        spec,
        resolution=16,
        stem_channels=block.in_channels,
        stem_max_pool=False,
        stem_kernel_size=3,
        blocks=(block,),
        head_conv_channels=0,
        bn_momentum=MOMENTUM,
        bn_epsilon=EPSILON,
    )


# fmt: off
KINDS = {
    "depthwise separable": one_block("mobilenet_v1", 1),
    "with squeeze-and-excitation behind it": one_block("se_mobilenet_v1", 1),
    "inverted residual of stride 2": one_block("mobilenet_v2", 1),
    "inverted residual with its input added": one_block("mobilenet_v2", 2),
    "MobileNetV3 without expansion": one_block("mobilenet_v3_large", 0),
    "MobileNetV3 with squeeze-and-excitation": one_block("mobilenet_v3_small", 4),
    "EfficientNet's MBConv6": one_block("efficientnet_b0", 2, drop_path_rate=0.0),
    "MnasNet-A1": one_block("mnasnet_a1", 4),
    "MoGA's first": one_block("moga_a", 0),
    "MoGA's fifth": one_block("moga_a", 5),
    "dilated": one_block("mobilenet_v2", 2, dilation=2),
    "bottleneck v1.5": one_block("resnet50", 3),
    "bottleneck v1": one_block("se_resnet50", 3),
    "bottleneck with the identity as shortcut": one_block("se_resnet50", 1),
    "dilated bottleneck": one_block("resnet50", 4, dilation=2),
}
# fmt: on

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "swish": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    None: lambda x: x,
}


class Reference:
    """A block computed from the parameters by NumPy and XLA's own convolution."""

    def __init__(self, spec: BackboneSpec, params, stats):
        self.spec, self.params, self.stats = spec, params, stats

    def conv_bn(self, x, layer, act=None, stride=1, dilation=1):
        kernel = self.params[layer]["conv"]["kernel"]
        k, reach = kernel.shape[0], dilation * (kernel.shape[0] - 1) + 1
        padding = "SAME"
        if self.spec.padding == "symmetric":
            padding = [(reach // 2, reach // 2)] * 2
        x = lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            padding,
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1] if layer == "depthwise" and k > 1 else 1,
        )
        x, norm = np.asarray(x), self.params[layer]["bn"]
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        self.stats[layer] = {"bn": {"mean": mean, "var": var}}
        x = (x - mean) / np.sqrt(var + EPSILON) * norm["scale"] + norm["bias"]
        return ACTIVATIONS[act](x)

    def squeeze_excite(self, x, se):
        if se is None:
            return x
        reduce, expand = self.params["se"]["reduce"], self.params["se"]["expand"]
        squeezed = x.mean((1, 2)) @ reduce["kernel"] + reduce["bias"]
        gates = ACTIVATIONS[se.act](squeezed) @ expand["kernel"] + expand["bias"]
        return x * ACTIVATIONS[se.gate](gates)[:, None, None]

    def block(self, x):
        block = self.spec.blocks[0]
        if self.spec.initialization == "resnet":
            return self.bottleneck(x, block)
        shortcut, act = x, block.act
        separable = block.op == "depthwise_separable"
        if block.expanded_channels != block.in_channels:
            x = self.conv_bn(x, "expand", act)
        x = self.conv_bn(x, "depthwise", act, block.stride, block.dilation)
        if separable:
            return self.squeeze_excite(self.conv_bn(x, "project", act), block.se)
        x = self.conv_bn(self.squeeze_excite(x, block.se), "project")
        return x + shortcut if block.residual else x

    def bottleneck(self, x, block):
        first, second = block.stride, 1
        if block.stride_in == "3x3":
            first, second = second, first
        shortcut = x
        x = self.conv_bn(x, "reduce", "relu", first)
        x = self.conv_bn(x, "spatial", "relu", second, block.dilation)
        x = self.squeeze_excite(self.conv_bn(x, "restore"), block.se)
        if block.projection:
            shortcut = self.conv_bn(shortcut, "shortcut", None, block.stride)
        return np.maximum(x + shortcut, 0)


def random_variables(model, seed=0):
    """Variables of which none is 0 or 1, so that each one matters."""
    rng = np.random.default_rng(seed)
    variables = init_variables(model, jax.random.key(seed))
    return jax.tree.map(
        lambda leaf: leaf + 0.3 * np.abs(rng.standard_normal(leaf.shape)).astype("f"),
        variables,
    )


def train_step(model, variables, images, rng=None):
    """The outputs and the statistics after one training step."""

    @jax.jit
    def run(variables, images):
        outputs, updated = model.apply(
            variables,
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0) if rng is None else rng},
        )
        return outputs, updated["batch_stats"]

    return run(variables, images)


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_a_block_is_what_its_paper_says(spec):
    model = create_backbone(spec)
    variables = random_variables(model)
    images = np.random.default_rng(1).standard_normal((3, 32, 32, 3)).astype("f")
    endpoints, updated = train_step(model, variables, images)

    batch = {}
    reference = Reference(spec, variables["params"]["block0"], batch)
    expected = reference.block(np.asarray(endpoints["stem"]))
    found = endpoints["block0"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())

    # The running statistics: momentum times the old, the rest of the batch's.
    old = variables["batch_stats"]["block0"]
    new = {layer: stats for layer, stats in updated["block0"].items() if layer != "se"}
    assert set(new) == set(batch)
    for layer, stats in new.items():
        for kind, value in stats["bn"].items():
            mixed = MOMENTUM * old[layer]["bn"][kind]
            mixed = mixed + (1 - MOMENTUM) * batch[layer]["bn"][kind]
            np.testing.assert_allclose(value, mixed, rtol=1e-4, atol=1e-4)


def test_stochastic_depth_drops_whole_examples_and_keeps_the_expectation():
    rate, examples = 0.3, 2000
    spec = one_block("efficientnet_b0", 2, drop_path_rate=rate)
    model = create_backbone(spec)
    variables = random_variables(model)
    image = np.random.default_rng(1).standard_normal((1, 4, 4, 3)).astype("f")
    images = np.repeat(image, examples, 0)
    endpoints, _ = train_step(model, variables, images)
    kept = create_backbone(one_block("efficientnet_b0", 2, drop_path_rate=0.0))
    full, _ = train_step(kept, variables, images)
    branch = np.asarray(full["block0"] - full["stem"])
    dropped = np.asarray(endpoints["block0"] - endpoints["stem"])

    # A branch is absent as a whole, or present and scaled up: 1 / (1 - rate).
    survives = np.abs(dropped).max((1, 2, 3)) > 0
    scale = np.where(survives, 1 / (1 - rate), 0)[:, None, None, None]
    np.testing.assert_allclose(dropped, branch * scale, atol=1e-4)
    # Three standard deviations of a binomial.
    assert abs(survives.mean() - (1 - rate)) < 3 * np.sqrt(rate * (1 - rate) / examples)


def test_stochastic_depth_does_nothing_in_evaluation():
    images = np.random.default_rng(1).standard_normal((2, 16, 16, 3)).astype("f")
    model = create_backbone(one_block("efficientnet_b0", 2, drop_path_rate=0.9))
    other = create_backbone(one_block("efficientnet_b0", 2, drop_path_rate=0.0))
    variables = random_variables(model)
    np.testing.assert_array_equal(
        model.apply(variables, images)["block0"],
        other.apply(variables, images)["block0"],
    )


@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "mobilenet_v3_small", "moga_a", "efficientnet_b0"]
)
def test_dropout_is_between_the_last_features_and_the_logits(name):
    spec = get_spec(name)
    spec = dataclasses.replace(
        with_backbone(spec, blocks=spec.backbone.blocks[:1], head_conv_channels=24),
        dropout_rate=0.25,
    )
    if spec.head_dense_channels:
        spec = dataclasses.replace(spec, head_dense_channels=40)
    model = create_model(spec, spec.feature_channels)
    variables = random_variables(model)
    # Logits that show what they are given.
    variables["params"]["logits"] = {
        "kernel": jnp.eye(spec.feature_channels),
        "bias": jnp.zeros(spec.feature_channels),
    }
    images = np.random.default_rng(1).standard_normal((64, 16, 16, 3)).astype("f")
    (logits, endpoints), _ = train_step(model, variables, images)
    features = np.asarray(endpoints["pre_logits"])
    ratios = np.asarray(logits)[features != 0] / features[features != 0]
    is_kept = ratios > 0
    np.testing.assert_allclose(ratios[is_kept], 1 / 0.75, rtol=1e-5)
    assert is_kept.mean() == pytest.approx(0.75, abs=0.05)


def test_the_head_of_mobilenet_v3_has_a_bias_and_no_batch_norm_and_moga_no_bias():
    def head(name):
        model = create_model(name, 10)
        images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
        params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
        return jax.tree.map(lambda leaf: leaf.shape, params["head_dense"])

    assert head("mobilenet_v3_large") == {"kernel": (960, 1280), "bias": (1280,)}
    assert head("mobilenet_v3_small") == {"kernel": (576, 1024), "bias": (1024,)}
    assert head("moga_a") == {"kernel": (960, 1280)}


def test_the_dense_head_is_activated():
    spec = get_spec("mobilenet_v3_small")
    spec = dataclasses.replace(
        with_backbone(spec, blocks=spec.backbone.blocks[:1], head_conv_channels=24),
        head_dense_channels=40,
    )
    model = create_model(spec, 10)
    variables = random_variables(model)
    images = np.random.default_rng(1).standard_normal((2, 16, 16, 3)).astype("f")
    endpoints = model.apply(variables, images)[1]
    dense = variables["params"]["head_dense"]
    means = np.asarray(endpoints["head_conv"]).mean((1, 2))
    expected = ACTIVATIONS["hard_swish"](means @ dense["kernel"] + dense["bias"])
    np.testing.assert_allclose(endpoints["pre_logits"], expected, rtol=2e-4)


@pytest.mark.parametrize(
    ("size", "padding", "first_of_second_window"),
    [(6, "symmetric", 1), (7, "symmetric", 1), (6, "same", 2), (7, "same", 1)],
)
def test_max_pooling_pads_with_nothing(size, padding, first_of_second_window):
    # Negative numbers that fall from the first pixel on: the largest of a window is its
    # first, and a zero of padding would be larger.
    x = -np.arange(1.0, size**2 + 1).reshape(1, size, size, 1).astype("f")
    pooled = max_pool(x, padding)
    assert pooled.shape == (1, -(-size // 2), -(-size // 2), 1)
    assert pooled[0, 0, 0, 0] == x[0, 0, 0, 0]
    pixel = first_of_second_window
    assert pooled[0, 1, 1, 0] == x[0, pixel, pixel, 0]


def test_squeeze_and_excitation_widths_are_those_of_the_spec():
    spec = one_block(
        "mobilenet_v1", 1, se=SqueezeExciteSpec(5, act="relu", gate="sigmoid")
    )
    model = create_backbone(spec)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    assert params["block0"]["se"]["reduce"]["kernel"].shape == (128, 5)
    assert params["block0"]["se"]["expand"]["kernel"].shape == (5, 128)
