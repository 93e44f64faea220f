"""`ConvNet` is the network that its spec describes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets import complexity, create_model, get_spec
from mobilenets.convnet import init_variables


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


@pytest.mark.parametrize("width", [0.25, 0.75, 1.0, 1.4])
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_the_tree_holds_exactly_the_counted_parameters(name, width):
    spec = get_spec(name, width_multiplier=width)
    params = names_of(shapes_of(spec, 17)[0]["params"])
    for layer in complexity.layers(spec, 17):
        found = [p for path, p in params.items() if path.startswith(f"{layer.name}/")]
        assert sum(p.size for p in found) == layer.params, layer.name
    assert sum(p.size for p in params.values()) == complexity.params(spec, 17)


def test_the_parameters_of_the_papers_are_counted():
    # MobileNetV1, Table 4: 4.2 million; MobileNetV2, Table 4: 3.4 million.
    sizes = {
        name: sum(p.size for p in jax.tree.leaves(shapes["params"]))
        for name in ("mobilenet_v1", "mobilenet_v2")
        for shapes in [shapes_of(get_spec(name), 1000)[0]]
    }
    assert round(sizes["mobilenet_v1"] / 1e6, 1) == 4.2
    assert sizes["mobilenet_v2"] == 3_504_872  # torchvision's, which is this network


@pytest.mark.parametrize("resolution", [32, 75, 224])
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_the_counted_output_sizes_are_those_of_the_maps(name, resolution):
    spec = get_spec(name, width_multiplier=0.5, resolution=resolution)
    *_, endpoints = shapes_of(spec, 10, resolution)
    compared = set()
    for layer in complexity.layers(spec, 10):
        endpoint = layer.name.removesuffix("/project")
        if endpoint in endpoints:
            size = layer.output_size
            assert endpoints[endpoint].shape[1:3] == (size, size), layer.name
            compared.add(endpoint)
    assert {"stem", *(f"block{i}" for i in range(len(spec.blocks)))} <= compared


def test_the_endpoints_of_mobilenet_v2_are_those_of_table_2():
    spec = get_spec("mobilenet_v2")
    _, logits, endpoints = shapes_of(spec, 1000, 224)
    assert logits.shape == (2, 1000)
    blocks = {f"block{i}{part}" for i in range(17) for part in ("", "/expand")}
    strides = {"stride2", "stride4", "stride8", "stride16", "stride32"}
    assert set(endpoints) == blocks | strides | {"stem", "head_conv", "pre_logits"}
    expected = {
        "stem": (2, 112, 112, 32),
        "stride2": (2, 112, 112, 16),  # the last at that stride: block 0
        "stride4": (2, 56, 56, 24),
        "stride8": (2, 28, 28, 32),
        "block13/expand": (2, 14, 14, 576),  # where SSDLite attaches
        "stride16": (2, 14, 14, 96),
        "stride32": (2, 7, 7, 320),  # the last block, not the head
        "head_conv": (2, 7, 7, 1280),
        "pre_logits": (2, 1280),
    }
    assert {name: endpoints[name].shape for name in expected} == expected


def test_the_endpoints_of_mobilenet_v1_are_those_of_table_1():
    _, logits, endpoints = shapes_of(get_spec("mobilenet_v1"), 0, 224)
    assert logits is None
    blocks = {f"block{i}{part}" for i in range(13) for part in ("", "/expand")}
    strides = {"stride2", "stride4", "stride8", "stride16", "stride32"}
    assert set(endpoints) == blocks | strides | {"stem", "pre_logits"}
    expected = {
        "stem": (2, 112, 112, 32),
        "block0/expand": (2, 112, 112, 32),  # no expansion: the block's input
        "stride2": (2, 112, 112, 64),
        "stride16": (2, 14, 14, 512),
        "block11/expand": (2, 14, 14, 512),
        "stride32": (2, 7, 7, 1024),
        "pre_logits": (2, 1024),
    }
    assert {name: endpoints[name].shape for name in expected} == expected


def test_a_stem_without_stride_keeps_the_resolution():
    *_, endpoints = shapes_of(get_spec("mobilenet_v1", stem_stride=1), 10)
    assert endpoints["stride1"].shape == (2, 32, 32, 64)
    assert endpoints["stride16"].shape == (2, 2, 2, 1024)
    assert "stride32" not in endpoints


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_init_variables_gives_the_tree_of_init(name):
    model = create_model(name, 10, width_multiplier=0.5)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    expected = jax.eval_shape(model.init, jax.random.key(0), images)
    variables = init_variables(model, jax.random.key(0))
    assert jax.tree.structure(variables) == jax.tree.structure(expected)
    for a, b in zip(*map(jax.tree.leaves, (variables, expected)), strict=True):
        assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, False)


def test_init_variables_draws_the_kernels_of_the_authors_code():
    variables = init_variables(
        create_model("mobilenet_v1", 1000, width_multiplier=0.5), jax.random.key(1)
    )
    kernels, of_name = [], {"bias": 0, "scale": 1, "mean": 0, "var": 1}
    for path, leaf in names_of(variables).items():
        name = path.rpartition("/")[2]
        if name == "kernel":
            # A normal of 0.09, cut at two standard deviations, has 0.8796 of it left.
            if leaf.size > 5000:
                assert np.std(leaf) == pytest.approx(0.09 * 0.8796, rel=0.03), path
            assert np.abs(leaf).max() <= 0.18
            kernels.append(np.ravel(leaf))
        else:
            assert np.all(leaf == of_name[name]), path
    drawn = np.concatenate(kernels)
    assert np.mean(drawn) == pytest.approx(0, abs=1e-3)
    # Every weight is drawn for itself: two uses of one number would be seen here.
    assert len(np.unique(drawn)) > 0.7 * len(drawn)
    first, second = variables["params"]["block6"], variables["params"]["block7"]
    a, b = (np.ravel(block["project"]["conv"]["kernel"]) for block in (first, second))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.02


def test_another_key_draws_other_kernels():
    model = create_model("mobilenet_v1", 0, width_multiplier=0.25)
    a, b = (init_variables(model, jax.random.key(seed)) for seed in (0, 1))
    kernels = [v["params"]["stem"]["conv"]["kernel"] for v in (a, b)]
    assert not np.any(kernels[0] == kernels[1])


def logits_of(images, padding, **options):
    """The logits of a network cut short, which compiles in a second."""
    spec = get_spec("mobilenet_v2", width_multiplier=0.35, padding=padding)
    model = create_model(
        dataclasses.replace(spec, blocks=spec.blocks[:4]), 5, **options
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
    model = create_model("mobilenet_v2", 5, jnp.bfloat16, width_multiplier=0.35)
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
