"""`Classifier` and `Backbone` are the network that its spec describes."""

import dataclasses
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets import UserError, create_backbone, create_model, get_spec
from mobilenets.networks import complexity
from mobilenets.networks.architectures.resnet import se_resnet_of_basic
from mobilenets.networks.published import ROWS
from mobilenets.networks.spec import with_backbone, with_output_stride
from mobilenets.nn.classifier import Classifier
from mobilenets.nn.initialization import init_variables


def shapes_of(spec, num_classes, resolution=32):
    """The model's variables, and logits and endpoints for two images; shapes only."""
    model = create_model(spec, num_classes)
    images = jax.ShapeDtypeStruct((2, resolution, resolution, 3), jnp.float32)
    (logits, endpoints), variables = jax.eval_shape(
        model.init_with_output, jax.random.key(0), images
    )
    return variables, logits, endpoints


def names_of(tree):
    leaves = jax.tree.leaves_with_path(tree)
    return {"/".join(k.key for k in path): leaf for path, leaf in leaves}


# The first row of each architecture of published.csv. The deeper networks have the same
# kinds of blocks. That specs have the published parameters is tested where they are
# made; that a module has what its spec counts is tested here.
DEEPER = re.compile(r"efficientnet_(b[1-7]|lite[1-4])|.*resnet1(01|52)")
NETWORKS = {row.architecture: row for row in reversed(ROWS)}
SHALLOW = [r for name, r in NETWORKS.items() if not DEEPER.fullmatch(name)]


@pytest.mark.parametrize("row", SHALLOW, ids=str)
def test_the_tree_holds_exactly_the_published_parameters(row):
    spec = row.spec()
    params = names_of(shapes_of(spec, 1000)[0]["params"])
    assert sum(p.size for p in params.values()) == int(row.parameters)
    layers = complexity.layers(spec, 1000)
    for layer in layers:
        found = {f"{layer.name}/{name}" for name in ("kernel", "bias")}
        found |= {f"{layer.name}/conv/kernel"}
        found |= {f"{layer.name}/bn/{name}" for name in ("scale", "bias")}
        sizes = [params.pop(path).size for path in found & set(params)]
        assert sum(sizes) == layer.params, layer.name
    assert not params  # every parameter is some layer's


SMALL_OF_EACH_KIND = ["mobilenet_v1", "mobilenet_v3_small", "resnet50"]


@pytest.mark.parametrize(
    ("name", "resolution"), [*zip(SMALL_OF_EACH_KIND, (32, 75, 224), strict=True)]
)
def test_the_counted_output_sizes_are_those_of_the_maps(name, resolution):
    spec = get_spec(name, resolution=resolution)
    *_, endpoints = shapes_of(spec, 10, resolution)
    compared = set()
    for layer in complexity.layers(spec, 10):
        endpoint = layer.name.removesuffix("/project").removesuffix("/restore")
        if endpoint in endpoints and endpoint != "head_conv":
            shape = (2, layer.output_size, layer.output_size, layer.channels)
            assert endpoints[endpoint].shape == shape, layer.name
            compared.add(endpoint)
    assert {
        "stem",
        *(f"block{i}" for i in range(len(spec.backbone.blocks))),
    } <= compared


@pytest.mark.parametrize(
    ("name", "padding"),
    [*zip(SMALL_OF_EACH_KIND, ("same", "symmetric", "same"), strict=True)],
)
def test_the_counted_multiply_adds_are_those_of_the_traced_operations(name, padding):
    # From the shapes of the operands that JAX traces, not from the spec.
    spec = get_spec(name, resolution=224, padding=padding)
    model = create_model(spec)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    jaxpr = jax.make_jaxpr(lambda v, x: model.apply(v, x)[0])(variables, images)
    assert products_of(jaxpr.jaxpr) == complexity.madds(spec)


def products_of(jaxpr):
    """Multiply-adds of the native convolutions and the matrix products."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
            total += np.prod(kernel[:3]) * np.prod(out)
        elif equation.primitive.name == "dot_general":
            inputs = equation.invars[0].aval.shape[-1]
            total += inputs * np.prod(equation.outvars[0].aval.shape)
        else:
            for value in equation.params.values():
                total += products_in(value)
    return total


def products_in(value):
    """Those of a branch by platform (the native one is the last) or of a call."""
    if isinstance(value, tuple | list):
        return products_in(value[-1]) if value else 0
    inner = getattr(value, "jaxpr", value)
    return products_of(inner) if hasattr(inner, "eqns") else 0


PARTS = ("", "/expand", "/depthwise")  # the maps of a block


def test_the_endpoints_of_mobilenet_v2_are_those_of_table_2():
    spec = get_spec("mobilenet_v2")
    _, logits, endpoints = shapes_of(spec, 1000, 224)
    assert logits.shape == (2, 1000)
    blocks = {f"block{i}{part}" for i in range(17) for part in PARTS}
    strides = {"stride2", "stride4", "stride8", "stride16", "stride32"}
    assert set(endpoints) == blocks | strides | {"stem", "head_conv", "pre_logits"}
    expected = {
        "stem": (2, 112, 112, 32),
        "stride2": (2, 112, 112, 16),  # the last at that stride: block 0
        "stride4": (2, 56, 56, 24),
        "stride8": (2, 28, 28, 32),
        "block13/expand": (2, 14, 14, 576),  # where SSDLite attaches
        "block13/depthwise": (2, 7, 7, 576),
        "stride16": (2, 14, 14, 96),
        "stride32": (2, 7, 7, 320),  # the last block, not the head
        "head_conv": (2, 7, 7, 1280),
        "pre_logits": (2, 1280),
    }
    assert {name: endpoints[name].shape for name in expected} == expected


def test_the_endpoints_of_mobilenet_v1_are_those_of_table_1():
    backbone = create_backbone("mobilenet_v1")
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    endpoints, _ = jax.eval_shape(backbone.init_with_output, jax.random.key(0), images)
    blocks = {f"block{i}{part}" for i in range(13) for part in PARTS}
    strides = {"stride2", "stride4", "stride8", "stride16", "stride32"}
    assert set(endpoints) == blocks | strides | {"stem", "features"}
    expected = {
        "stem": (2, 112, 112, 32),
        "block0/expand": (2, 112, 112, 32),  # no expansion: the block's input
        "stride2": (2, 112, 112, 64),
        "stride16": (2, 14, 14, 512),
        "block11/expand": (2, 14, 14, 512),
        "stride32": (2, 7, 7, 1024),
        "features": (2, 7, 7, 1024),
    }
    assert {name: endpoints[name].shape for name in expected} == expected


def test_the_endpoints_of_mobilenet_v3_are_those_of_table_1():
    _, logits, endpoints = shapes_of(get_spec("mobilenet_v3_large"), 1000, 224)
    assert logits.shape == (2, 1000)
    expected = {
        "stem": (2, 112, 112, 16),
        "stride8": (2, 28, 28, 40),
        "block5/depthwise": (2, 28, 28, 120),  # which LR-ASPP reads
        "block12/expand": (2, 14, 14, 672),  # C4 of Sec. 6.3, where SSDLite attaches
        "stride16": (2, 14, 14, 112),
        "stride32": (2, 7, 7, 160),
        "head_conv": (2, 7, 7, 960),
        "pre_logits": (2, 1280),
    }
    assert {name: endpoints[name].shape for name in expected} == expected


def test_the_endpoints_of_a_resnet_are_those_of_table_1():
    *_, endpoints = shapes_of(get_spec("resnet50"), 1000, 224)
    blocks = {f"block{i}" for i in range(16)}
    strides = {"stride2", "stride4", "stride8", "stride16", "stride32"}
    assert set(endpoints) == blocks | strides | {"stem", "pre_logits"}
    expected = {
        "stem": (2, 112, 112, 64),
        "stride2": (2, 112, 112, 64),
        "stride4": (2, 56, 56, 256),
        "stride8": (2, 28, 28, 512),
        "stride16": (2, 14, 14, 1024),
        "stride32": (2, 7, 7, 2048),
        "pre_logits": (2, 2048),
    }
    assert {name: endpoints[name].shape for name in expected} == expected


FIRST_TWO = {"mobilenet_v2": (0, 1, 2, 3, 4, 6, 7), "resnet50": (0, 1, 3, 4, 7, 8)}


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [("mobilenet_v2", 4), ("mobilenet_v2", 8), ("resnet50", 4), ("resnet50 v1", 8)],
)
def test_a_finer_map_has_the_coarser_one_in_it(name, output_stride):
    # Every filter sees the pixels that it saw before. The first two blocks at each
    # stride up to 16, which compile in seconds; symmetric padding, where pixel 0 of one
    # map is pixel 0 of the other.
    name, *version = name.split()
    options = {"version": "v1"} if version else {}
    spec = get_spec(name, padding="symmetric", **options)
    blocks = [spec.backbone.blocks[i] for i in FIRST_TWO[name]]
    spec = with_backbone(spec.backbone, blocks=tuple(blocks), head_conv_channels=0)
    finer = with_output_stride(spec, output_stride)
    step = spec.output_stride // finer.output_stride
    assert step == 16 // output_stride
    rng = np.random.default_rng(0)
    variables = jax.tree.map(  # a ResNet's branches begin at 0 and would hide mistakes
        lambda leaf: leaf + 0.1 * np.abs(rng.standard_normal(leaf.shape)).astype("f"),
        init_variables(create_backbone(spec), jax.random.key(0)),
    )
    images = rng.standard_normal((1, 75, 75, 3)).astype("f")
    coarse, fine = (
        jax.jit(create_backbone(s).apply)(variables, images)["features"]
        for s in (spec, finer)
    )
    found = fine[:, ::step, ::step]
    assert found.shape == coarse.shape
    np.testing.assert_allclose(found, coarse, atol=1e-5 * np.abs(coarse).max())


def test_a_stem_without_stride_keeps_the_resolution():
    *_, endpoints = shapes_of(get_spec("mobilenet_v1", stem_stride=1), 10)
    assert endpoints["stride1"].shape == (2, 32, 32, 64)
    assert endpoints["stride16"].shape == (2, 2, 2, 1024)
    assert "stride32" not in endpoints


def logits_of(images, padding, **options):
    """The logits of a network cut short, which compiles in a second."""
    spec = get_spec("mobilenet_v2", width_multiplier=0.35, padding=padding)
    model = create_model(
        with_backbone(spec, blocks=spec.backbone.blocks[:4]), 5, **options
    )
    variables = init_variables(model, jax.random.key(0))
    return np.asarray(jax.jit(model.apply)(variables, images)[0])


def test_the_paddings_differ_where_a_stride_meets_an_even_size():
    rng = np.random.default_rng(0)
    even = rng.standard_normal((1, 32, 32, 3)).astype(np.float32)
    same, symmetric = (logits_of(even, p) for p in ("same", "symmetric"))
    assert np.abs(same - symmetric).max() > 0.05 * np.abs(same).max()
    # 33 pixels: every map before a stride of 2 is odd (33, 17, 9), so they agree.
    odd = rng.standard_normal((1, 33, 33, 3)).astype(np.float32)
    same, symmetric = (logits_of(odd, p) for p in ("same", "symmetric"))
    np.testing.assert_allclose(same, symmetric, rtol=1e-5, atol=1e-7)


def test_bfloat16_computes_in_it_and_keeps_float32_parameters_and_logits():
    model = create_model(first_blocks("mobilenet_v2", 4), 5, jnp.bfloat16)
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)

    def train(variables, images):
        return model.apply(
            variables,
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )

    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    (logits, endpoints), updated = jax.eval_shape(train, variables, images)
    assert {leaf.dtype for leaf in jax.tree.leaves([variables, updated])} == {
        jnp.dtype("float32")
    }
    assert logits.dtype == jnp.float32
    assert {e.dtype for e in endpoints.values()} == {jnp.dtype("bfloat16")}


def test_bfloat16_logits_are_close_to_those_of_float32():
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3))
    images = images.astype(np.float32)
    single = logits_of(images, "same")
    half = logits_of(images, "same", dtype=jnp.bfloat16)
    errors = np.abs(single - half).max()
    assert 0 < errors < 0.05 * np.abs(single).max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("mobilenet_v2", -1),
            "num_classes must be a positive integer, but is -1",
        ),
        (("mobilenet_v2", 0), "without classes is a `create_backbone`"),
        (("mobilenet_v2", "10"), "num_classes must be a positive integer"),
        (("mobilnet_v2",), "did you mean 'mobilenet_v2'"),
        ((None,), "Unknown architecture 'None'"),
    ],
)
def test_a_model_that_cannot_be_is_one_clear_sentence(arguments, message):
    with pytest.raises(UserError, match=message):
        create_model(*arguments)


# Stochastic depth, dropout and squeeze-and-excitation; a bottleneck's projection.
REMAT_SPECS = {
    "efficientnet_b0": dict(
        width_multiplier=0.25, dropout_rate=0.5, drop_path_rate=0.5
    ),
    "se_resnet50": dict(width_multiplier=0.125),
}


def remat_pair(name):
    """A small network that keeps its maps, and the same with `remat`."""
    spec = get_spec(name, **REMAT_SPECS[name], resolution=32)
    spec = with_backbone(spec, blocks=spec.backbone.blocks[:3])
    return [Classifier(spec, 10, remat=remat) for remat in (False, True)]


def training_loss(model, images):
    """From parameters and statistics to a loss and the new statistics."""

    def loss(params, batch_stats):
        (logits, _), updated = model.apply(
            {"params": params, "batch_stats": batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(1)},
        )
        return jnp.sum(logits**2), updated["batch_stats"]

    return loss


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 32, 32), "have [2, 3, 32, 32]: put the channels last"),
        ((2, 32, 32, 1), "have [2, 32, 32, 1]: repeat the grey channel"),
        ((32, 32, 3), "have [32, 32, 3]: give a batch, as by images[None]."),
        ((32, 32), "red, green and blue, but these have [32, 32]."),
        ((2, 32, 32, 4), "but these have [2, 32, 32, 4]."),
    ],
)
@pytest.mark.parametrize("create", [create_backbone, create_model])
def test_images_of_another_layout_are_refused_with_a_way_out(create, shape, message):
    model = create(first_blocks("mobilenet_v3_small", 1))
    right = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), right)
    wrong = jax.ShapeDtypeStruct(shape, jnp.float32)
    for call in (
        lambda: jax.eval_shape(model.init, jax.random.key(0), wrong),
        lambda: jax.eval_shape(model.apply, variables, wrong),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            call()


def test_each_way_out_of_another_layout_is_one():
    model = create_backbone(first_blocks("mobilenet_v3_small", 1))
    images = jnp.zeros((2, 3, 32, 32))
    for right in (
        images.transpose(0, 2, 3, 1),
        images[:, 0, ..., None].repeat(3, axis=-1),
        images.transpose(0, 2, 3, 1)[0][None],
    ):
        jax.eval_shape(model.init, jax.random.key(0), right)


@pytest.mark.parametrize("name", REMAT_SPECS)
def test_remat_changes_neither_names_nor_gradients_nor_statistics(name):
    plain, remat = remat_pair(name)
    images = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
    trees = [jax.eval_shape(m.init, jax.random.key(0), images) for m in (plain, remat)]
    assert names_of(trees[0]) == names_of(trees[1])
    variables = init_variables(plain, jax.random.key(2))

    def gradients_and_statistics(model):
        gradient = jax.grad(training_loss(model, images), has_aux=True)
        found = jax.jit(gradient)(variables["params"], variables["batch_stats"])
        return names_of(dict(zip(("gradients", "statistics"), found, strict=True)))

    found, expected = map(gradients_and_statistics, (remat, plain))
    # Of all: a bias before a batch norm has the gradient 0 but for rounding.
    largest = max(np.abs(value).max() for value in expected.values())
    for path, value in expected.items():
        np.testing.assert_allclose(
            found[path], value, rtol=1e-4, atol=1e-6 * largest, err_msg=path
        )


def test_remat_keeps_fewer_bytes_for_the_gradient():
    def kept_bytes(model):
        def backward(variables, images):
            loss = training_loss(model, images)
            given = variables["params"], variables["batch_stats"]
            return jax.vjp(loss, *given, has_aux=True)[1]

        images = jax.ShapeDtypeStruct((4, 32, 32, 3), jnp.float32)
        variables = jax.eval_shape(model.init, jax.random.key(0), images)
        kept = jax.tree.leaves(jax.eval_shape(backward, variables, images))
        return sum(x.size * x.dtype.itemsize for x in kept)

    plain, remat = map(kept_bytes, remat_pair("efficientnet_b0"))
    assert remat < 0.6 * plain


def first_blocks(name, blocks, **options):
    spec = get_spec(name, resolution=32, **options)
    return with_backbone(spec, blocks=spec.backbone.blocks[:blocks])


# fmt: off
WHOLE = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0")
STEPS = {
    # Up to the first block of every kind: with a stride, squeezed, with 5x5 kernels.
    "beginning of efficientnet_b0": Classifier(first_blocks("efficientnet_b0", 4), 10),
    "squeeze-and-excitation behind a block":
        Classifier(first_blocks("se_mobilenet_v1", 2), 10),
    "bottlenecks": Classifier(first_blocks("se_resnet50", 2), 10),
    "a frozen part":
        Classifier(first_blocks("mobilenet_v2", 4), 10, frozen=("stem", "block0")),
    "remat": Classifier(first_blocks("mobilenet_v3_large", 5), 10, remat=True),
}
# fmt: on


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_a_training_step_of_all_blocks_of_a_network_is_that_of_stock_flax(name):
    # Of blocks that are the same one is enough.
    spec = get_spec(name, resolution=32)
    different = tuple(dict.fromkeys(spec.backbone.blocks))
    check_training_step(Classifier(with_backbone(spec, blocks=different), 10))


# One of each kind of block is enough at every change.
FAST_STEPS = (
    *("beginning of efficientnet_b0", "bottlenecks"),
    "squeeze-and-excitation behind a block",
)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            model, id=name, marks=[] if name in FAST_STEPS else [pytest.mark.slow]
        )
        for name, model in STEPS.items()
    ],
)
def test_a_training_step_is_that_of_stock_flax(model):
    check_training_step(model)


def check_training_step(model):
    # In double precision but for the logits: a difference is one of the formulas.
    with jax.enable_x64(True):
        model = model.clone(dtype=jnp.float64)
        images = jax.random.normal(jax.random.key(0), (4, 32, 32, 3), jnp.float64)
        variables = jax.tree.map(
            lambda leaf: (
                leaf.astype(jnp.float64) + 0.1 * jnp.arange(leaf.shape[-1]) % 1
            ),
            init_variables(model, jax.random.key(1)),
        )

        def step(model):
            """Logits, gradients and statistics, with dropout and stochastic depth."""

            def loss(params):
                (logits, endpoints), updated = model.apply(
                    {**variables, "params": params},
                    images,
                    train=True,
                    mutable=["batch_stats"],
                    rngs={"dropout": jax.random.key(2)},
                )
                # Heads of detection read maps within the network.
                maps = [endpoints["block1"], endpoints.get("block1/expand", 0.0)]
                total = sum(jnp.mean(x**2) for x in (logits, *maps))
                return total, {"logits": logits, **updated}

            (_, found), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(
                variables["params"]
            )
            return names_of({**found, "gradients": gradients})

        found, expected = step(model), step(model.clone(lowering="native"))
        assert found.keys() == expected.keys()
        # A bias in front of another batch norm has the gradient 0 but for rounding.
        largest = max(
            jnp.linalg.norm(b) for path, b in expected.items() if "gradients" in path
        )
        for path, b in expected.items():
            distance, size = jnp.linalg.norm(found[path] - b), jnp.linalg.norm(b)
            assert distance <= 1e-5 * size + 1e-8 * largest, path


def test_parameters_are_single_precision_whatever_jax_is_set_to():
    with jax.enable_x64(True):
        model = Classifier(first_blocks("mobilenet_v3_small", 2), 10)
        images = jnp.zeros((2, 32, 32, 3), jnp.float32)
        key = jax.random.key(0)
        variables = jax.eval_shape(lambda x: model.init(key, x, train=True), images)
        gradients = jax.eval_shape(
            jax.grad(
                lambda variables: model.apply(
                    variables,
                    images,
                    train=True,
                    mutable=["batch_stats"],
                    rngs={"dropout": key},
                )[0][0].sum()
            ),
            variables,
        )
    for tree in (variables, gradients):
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("platform", "has_convolution"), [("cpu", False), ("cuda", True), ("tpu", True)]
)
def test_a_training_step_exports_in_the_form_of_its_platform(platform, has_convolution):
    model = Classifier(first_blocks("efficientnet_b0", 2), 10)
    images = jax.ShapeDtypeStruct((4, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)

    def step(variables, images):
        loss = training_loss(model, images)
        return jax.grad(loss, has_aux=True)(
            variables["params"], variables["batch_stats"]
        )

    exported = jax.export.export(jax.jit(step), platforms=[platform])(variables, images)
    assert ("stablehlo.convolution" in exported.mlir_module()) == has_convolution


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet50"])
def test_a_network_exports_for_any_number_of_images(name):
    model = create_model(first_blocks(name, 4, width_multiplier=0.25), num_classes=3)
    variables = init_variables(model, jax.random.key(0))
    classify = jax.jit(lambda images: model.apply(variables, images)[0])
    (number,) = jax.export.symbolic_shape("number")
    images = jax.ShapeDtypeStruct((number, 64, 64, 3), jnp.float32)
    exported = jax.export.export(classify, platforms=["cpu", "cuda"])(images)
    images = jax.random.normal(jax.random.key(1), (5, 64, 64, 3))
    expected = classify(images)
    largest = abs(expected).max()
    np.testing.assert_allclose(exported.call(images), expected, atol=1e-5 * largest)


def test_an_unknown_lowering_is_one_clear_sentence():
    model = create_model("mobilenet_v2", 3).clone(lowering="natve")
    with pytest.raises(UserError, match="'natve': did you mean 'native'"):
        init_variables(model, jax.random.key(0))


SMALL_V3 = first_blocks("mobilenet_v3_small", 3, width_multiplier=0.25)


class Heatmap(nn.Module):
    """A head of one's own on one of a backbone's maps."""

    @nn.compact
    def __call__(self, images, train=False):
        backbone = create_backbone(SMALL_V3, name="encoder")
        endpoints = backbone(images, train)
        return nn.Conv(1, (1, 1), name="heat")(endpoints["stride8"]), endpoints


def test_a_backbone_is_a_part_of_a_module_of_ones_own():
    model, images = Heatmap(), jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    variables = init_variables(model, jax.random.key(1))
    assert set(variables["params"]) == {"encoder", "heat"}
    (heat, endpoints), _ = jax.jit(
        lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"])
    )(variables, images)
    assert heat.shape == (2, 4, 4, 1)
    assert endpoints["features"].shape == endpoints["head_conv"].shape == (2, 4, 4, 144)
    # The same maps as those of the backbone alone.
    alone = create_backbone(SMALL_V3)
    found = jax.jit(alone.apply)(
        {kind: tree["encoder"] for kind, tree in variables.items()}, images
    )
    expected = jax.jit(model.apply)(variables, images)[1]
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(found["stride8"], expected["stride8"], rtol=1e-5)


def test_a_classifier_has_the_backbones_variables_under_their_own_names():
    backbone = create_backbone("mobilenet_v3_small")
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    part = names_of(jax.eval_shape(backbone.init, jax.random.key(0), images))
    whole = names_of(shapes_of(get_spec("mobilenet_v3_small"), 10)[0])
    assert part == {path: whole[path] for path in part}
    head = {path.split("/")[1] for path in set(whole) - set(part)}
    assert head == {"head_dense", "logits"}


def test_only_the_output_layer_has_the_role_of_a_head():
    model = create_model("mobilenet_v3_small", 10)
    names = shapes_of(get_spec("mobilenet_v3_small"), 10)[0]["params"]
    assert {name for name in names if model.role(name) == "head"} == {"logits"}
    backbone = create_backbone("mobilenet_v3_small")
    assert {backbone.role(name) for name in names} == {"backbone"}


def test_a_finer_map_of_basic_blocks_has_the_coarser_one_in_it():
    """As above; the second convolution of a block is behind its stride."""
    spec = se_resnet_of_basic(18).backbone
    spec = dataclasses.replace(spec, blocks=spec.blocks[:5])
    finer = with_output_stride(spec, 4)
    assert spec.output_stride == 16
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: leaf + 0.1 * np.abs(rng.standard_normal(leaf.shape)).astype("f"),
        init_variables(create_backbone(spec), jax.random.key(0)),
    )
    images = rng.standard_normal((1, 75, 75, 3)).astype("f")
    coarse, fine = (
        jax.jit(create_backbone(s).apply)(variables, images)["features"]
        for s in (spec, finer)
    )
    found = fine[:, ::4, ::4]
    assert found.shape == coarse.shape
    np.testing.assert_allclose(found, coarse, atol=1e-5 * np.abs(coarse).max())
