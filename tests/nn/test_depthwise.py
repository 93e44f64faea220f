"""The depthwise convolution against its definition, in double precision."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets.errors import UserError
from mobilenets.nn.depthwise import depthwise_conv, explicit_padding


def reference(x, kernel, cotangent, stride, padding, dilation=1):
    """Output and the gradients of input and kernel, every tap for itself."""
    k, (height, width) = len(kernel), cotangent.shape[1:3]
    pads = explicit_padding(x.shape[1:3], k, stride, padding, dilation)  # tested below
    padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    y, dpadded, dkernel = np.zeros_like(cotangent), 0 * padded, 0 * kernel
    for i in range(k):
        for j in range(k):
            top, left = i * dilation, j * dilation
            rows = slice(top, top + stride * height, stride)
            columns = slice(left, left + stride * width, stride)
            seen = padded[:, rows, columns]
            y += seen * kernel[i, j, 0]
            dpadded[:, rows, columns] += cotangent * kernel[i, j, 0]
            dkernel[i, j, 0] = (seen * cotangent).sum((0, 1, 2))
    (top, _), (left, _) = pads
    dx = dpadded[:, top : top + x.shape[1], left : left + x.shape[2]]
    return y, dx, dkernel


def value_and_gradients(x, kernel, cotangent, *options):
    @jax.jit
    def run(x, kernel, cotangent):
        y, backward = jax.vjp(
            lambda x, kernel: depthwise_conv(x, kernel, *options), x, kernel
        )
        return y, *backward(cotangent)

    return run(x, kernel, cotangent)


def case(shape, kernel_size, stride):
    """Input, kernel and the cotangent of the output, in double precision."""
    rng = np.random.default_rng([*shape, kernel_size, stride])
    n, h, w, c = shape
    x = rng.standard_normal(shape)
    kernel = rng.standard_normal((kernel_size, kernel_size, 1, c))
    return x, kernel, rng.standard_normal((n, -(-h // stride), -(-w // stride), c))


SHAPES = [
    ((2, 7, 8, 5), 3),
    ((3, 8, 8, 1), 3),
    ((1, 1, 1, 2), 3),
    ((1, 6, 5, 3), 5),
    ((2, 9, 4, 2), 7),
    ((3, 6, 5, 3), 5),  # several images a device of four
    ((6, 9, 4, 2), 7),
]


def in_turn(rows, columns):
    """Every row with every column, and the paddings in turn: all pairs of the three."""
    paddings = ("same", "symmetric")
    return [
        (*row, *column, paddings[(i + j) % 2])
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    ]


@pytest.mark.usefixtures("four_devices")  # the kernel's gradient has a part for each
@pytest.mark.parametrize(
    ("shape", "kernel_size", "stride", "dilation", "padding"),
    in_turn(SHAPES, [(1, 1), (2, 1), (1, 2), (1, 4)]),
)
def test_values_and_gradients_are_those_of_the_definition(
    shape, kernel_size, stride, dilation, padding
):
    arguments = case(shape, kernel_size, stride)
    expected = reference(*arguments, stride, padding, dilation)
    single = [a.astype(np.float32) for a in arguments]
    found = value_and_gradients(*single, stride, padding, dilation)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 3)])
def test_values_are_those_of_the_grouped_convolution(stride, dilation, padding):
    x, kernel, _ = (a.astype(np.float32) for a in case((2, 8, 7, 4), 3, stride))
    expected = jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME" if padding == "same" else [(dilation, dilation)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=4,
    )
    found = depthwise_conv(x, kernel, stride, padding, dilation)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_bfloat16_is_as_exact_as_its_eight_bits(kernel_size, stride):
    arguments = case((3, 8, 7, 4), kernel_size, stride)
    arguments = [jnp.asarray(a, jnp.bfloat16) for a in arguments]
    exact = [np.asarray(a, np.float64) for a in arguments]
    expected = reference(*exact, stride, "same")
    bounds = reference(*map(np.abs, exact), stride, "same")  # of the terms' sizes
    found = value_and_gradients(*arguments, stride, "same")
    taps = kernel_size**2
    for a, b, size in zip(found, expected, bounds, strict=True):
        assert a.dtype == jnp.bfloat16
        # A product and a sum for each tap, each rounded by half of 2^-7 at most.
        assert np.all(np.abs(np.asarray(a, np.float64) - b) <= (taps + 1) * size / 256)


@pytest.mark.parametrize("k", [3, 5])
def test_the_kernels_gradient_in_bfloat16_is_summed_in_single_precision(k):
    # 4096 ones: a sum in bfloat16 stops at 256.
    x = jnp.ones((16, 16, 16, 1), jnp.bfloat16)
    kernel = jnp.zeros((k, k, 1, 1), jnp.bfloat16)
    _, _, gradient = value_and_gradients(x, kernel, x, 1, "same")
    assert gradient[k // 2, k // 2, 0, 0] == 4096


def test_a_filter_sees_its_own_channel_alone():
    x = jnp.zeros((1, 4, 4, 3)).at[0, 2, 1, 1].set(1.0)
    kernel = jnp.arange(1.0, 28.0).reshape(3, 3, 1, 3)
    y = depthwise_conv(x, kernel, 1, "same")
    assert not y[..., 0].any() and not y[..., 2].any()
    # A single 1 shows the filter turned by 180 degrees (a correlation, not flipped).
    np.testing.assert_array_equal(y[0, 1:4, 0:3, 1], kernel[::-1, ::-1, 0, 1])


@pytest.mark.parametrize(
    ("size", "kernel_size", "stride", "same"),
    # TensorFlow: in all max((ceil(n/s) - 1) s + k - n, 0), the smaller half before.
    [
        (8, 3, 2, (0, 1)),
        (7, 3, 2, (1, 1)),
        (8, 5, 2, (1, 2)),
        (7, 7, 2, (3, 3)),
        (8, 7, 1, (3, 3)),
        (1, 3, 2, (1, 1)),
    ],
)
def test_padding_is_that_of_tensorflow_or_pytorch(size, kernel_size, stride, same):
    reach = kernel_size // 2
    assert explicit_padding((size,), kernel_size, stride, "same") == [same]
    symmetric = explicit_padding((size,), kernel_size, stride, "symmetric")
    assert symmetric == [(reach, reach)]


@pytest.mark.parametrize("lowering", ["cpu", "native"])  # "auto" is one of them
@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation", "padding"),
    in_turn([(3,), (5,), (7,)], [(1, 1), (2, 1), (1, 2)]),
)
def test_every_form_has_the_gradients_of_the_grouped_convolution(
    kernel_size, stride, dilation, padding, lowering
):
    x, kernel, cotangent = case((3, 9, 8, 3), kernel_size, stride)
    reach = dilation * (kernel_size - 1) + 1

    def stock(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            "SAME" if padding == "same" else [(reach // 2, reach // 2)] * 2,
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=3,
        )

    with jax.enable_x64(True):
        arguments = [jnp.asarray(a) for a in (x, kernel, cotangent)]
        found = value_and_gradients(*arguments, stride, padding, dilation, lowering)
        y, backward = jax.vjp(stock, *arguments[:2])
        for a, b in zip(found, (y, *backward(arguments[2])), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("lowering", ["auto", "cpu", "native"])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_vmap_is_a_loop(kernel_size, lowering):
    x, kernel, cotangent = (a.astype("f") for a in case((6, 6, 5, 2), kernel_size, 2))
    x, cotangent = (a.reshape(3, 2, *a.shape[1:]) for a in (x, cotangent))
    kernels = np.stack([kernel, 2 * kernel, -kernel])

    def gradients(x, kernel, cotangent):
        return value_and_gradients(x, kernel, cotangent, 2, "same", 1, lowering)

    found = jax.vmap(gradients)(x, kernels, cotangent)
    expected = [gradients(*each) for each in zip(x, kernels, cotangent, strict=True)]
    for i, a in enumerate(found):
        b = np.stack([each[i] for each in expected])
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_second_derivatives_are_those_of_the_grouped_convolution(kernel_size):
    def of_gradients(lowering, *arguments):
        def size(*arguments):
            y, *gradients = value_and_gradients(*arguments, 1, "same", 1, lowering)
            return sum((a**3).sum() for a in (y, *gradients))

        return jax.jit(jax.grad(size, (0, 1, 2)))(*arguments)

    with jax.enable_x64(True):
        arguments = [jnp.asarray(a) for a in case((3, 6, 5, 2), kernel_size, 1)]
        found = of_gradients("cpu", *arguments)
        for a, b in zip(found, of_gradients("native", *arguments), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())


def test_forward_mode_is_native_and_refused_elsewhere():
    x, kernel, _ = (a.astype("f") for a in case((1, 6, 5, 2), 3, 1))

    def tangent(lowering):
        return jax.jvp(
            lambda kernel: depthwise_conv(x, kernel, 1, "same", 1, lowering),
            (kernel,),
            (kernel,),
        )

    y, moved = tangent("native")  # linear in the kernel
    np.testing.assert_allclose(moved, y, rtol=1e-6)
    for lowering in ("auto", "cpu"):
        with pytest.raises(TypeError, match="forward-mode"):
            tangent(lowering)


@pytest.mark.parametrize(
    ("platform", "has_convolution"), [("cpu", False), ("cuda", True), ("tpu", True)]
)
def test_the_form_is_chosen_when_a_program_is_lowered(platform, has_convolution):
    x, kernel, cotangent = (a.astype("f") for a in case((2, 6, 5, 2), 3, 2))

    @jax.jit
    def run(x, kernel, cotangent):
        return value_and_gradients(x, kernel, cotangent, 2, "same")

    exported = jax.export.export(run, platforms=[platform])(x, kernel, cotangent)
    assert ("stablehlo.convolution" in exported.mlir_module()) == has_convolution


@pytest.mark.usefixtures("four_devices")
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5, 7])
def test_a_batch_on_four_devices_is_convolved_as_on_one(
    kernel_size, stride, compiled_as_for_users
):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    by_example = jax.NamedSharding(mesh, jax.P("data"))
    whole = jax.NamedSharding(mesh, jax.P())
    arguments = case((8, 6, 5, 2), kernel_size, stride)
    arguments = [a.astype("f") for a in arguments]

    def run(x, kernel, cotangent):
        return value_and_gradients(x, kernel, cotangent, stride, "same")

    sharded = jax.jit(run, in_shardings=(by_example, whole, by_example))
    compiled = sharded.lower(*arguments).compile(compiled_as_for_users)
    program = compiled.as_text()
    loops, entry = program.split("\nENTRY ")
    assert "all-reduce" in entry  # of the kernel's gradient, once …
    assert "all-reduce" not in loops
    for collective in ("all-gather", "all-to-all", "collective-permute"):
        assert collective not in program  # … else every device keeps to its images
    placed = [
        jax.device_put(argument, sharding)
        for argument, sharding in zip(
            arguments, (by_example, whole, by_example), strict=True
        )
    ]
    for a, b in zip(compiled(*placed), run(*arguments), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lowering", ["auto", "cpu", "native"])
@pytest.mark.parametrize(
    ("kernel_shape", "dtype", "options", "message"),
    [
        ((3, 3, 1, 2), "float32", (2, "same", 2), "Stride 2 with dilation 2.* one of"),
        ((3, 3, 1, 2), "float32", (3, "same"), "Stride 3 with .* must be 1 or 2"),
        ((3, 3, 1, 2), "float32", (0, "same"), "Stride 0 with .* must be 1 or 2"),
        ((3, 3, 1, 2), "float32", (1, "same", 0), "with dilation 0.* 1 or more"),
        ((3, 3, 1, 2), "bfloat16", (1, "same"), "x is float32 and .* bfloat16: cast"),
        ((3, 3, 1, 1), "float32", (1, "same"), r"\[1, 6, 6, 2\] and \[3, 3, 1, 1\]"),
        ((3, 3, 2), "float32", (1, "same"), r"\[1, 6, 6, 2\] and \[3, 3, 2\]"),
        ((3, 5, 1, 2), "float32", (1, "same"), r"and \[3, 5, 1, 2\]"),
        ((4, 4, 1, 2), "float32", (1, "symmetric"), "an odd k of at least 3"),
        ((1, 1, 1, 2), "float32", (1, "same"), "an odd k of at least 3"),
    ],
)
def test_what_the_forms_would_take_differently_is_refused(
    kernel_shape, dtype, options, message, lowering
):
    x, kernel = jnp.ones((1, 6, 6, 2)), jnp.ones(kernel_shape, dtype)
    with pytest.raises(ValueError, match=message):
        depthwise_conv(x, kernel, *options, lowering=lowering)


@pytest.mark.parametrize("lowering", ["auto", "cpu", "native"])
def test_an_unknown_padding_is_refused(lowering):
    x, kernel = jnp.ones((1, 6, 6, 2)), jnp.ones((3, 3, 1, 2))
    with pytest.raises(UserError, match=r"Unknown padding 'SAME'.* same, symmetric"):
        depthwise_conv(x, kernel, 1, "SAME", lowering=lowering)  # pyright: ignore[reportArgumentType]


def test_a_swish_is_written_once_and_padded(compiled_as_for_users):
    x, kernel = jnp.ones((4, 64, 64, 8)), jnp.ones((3, 3, 1, 8))

    def convolve(x, kernel):
        return depthwise_conv(jax.nn.swish(x), kernel, 1, "same")

    lowered = jax.jit(convolve).lower(x, kernel)
    program = lowered.compile(compiled_as_for_users).as_text()
    _, entry = program.split("\nENTRY ")
    # The padded map and the convolved one; a third would be the sigmoid.
    assert len(re.findall(r"= f32\[\d+,\d+,\d+,8\].* fusion\(", entry)) == 2
