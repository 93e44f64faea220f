"""Our batch norm against Flax's, alone and in front of what reads the map."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets.nn.batch_norm import Deferred, batch_statistics, read, value
from mobilenets.nn.blocks import ACTIVATIONS, BatchNorm
from mobilenets.nn.depthwise import depthwise_conv

MOMENTUM, EPSILON = 0.9, 1e-3
ZERO = jnp.float32(0)  # in front is no other batch norm
CHANNELS = 6


def matmul(x, kernel):
    return x @ kernel


def inputs(dtype=jnp.float32):
    """Variables, maps of channels unlike in mean and spread, kernel, cotangent."""
    rng = np.random.default_rng(0)
    spread, mean = np.geomspace(0.1, 10, CHANNELS), np.linspace(-20, 20, CHANNELS)
    z = rng.standard_normal((8, 5, 4, CHANNELS)) * spread + mean
    variables = {
        "params": {
            "scale": rng.uniform(0.5, 2, CHANNELS),
            "bias": rng.uniform(-1, 3, CHANNELS),
        },
        "batch_stats": {
            "mean": rng.standard_normal(CHANNELS),
            "var": rng.uniform(0.5, 2, CHANNELS),
        },
    }
    exact = jnp.promote_types(dtype, jnp.float32)
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, exact), variables)
    kernel, cotangent = (
        rng.standard_normal((CHANNELS, 3)),
        rng.standard_normal((8, 5, 4, 3)),
    )
    return variables, *(jnp.asarray(a, dtype) for a in (z, kernel, cotangent))


def ours(act, lowering):
    norm = BatchNorm(act, MOMENTUM, EPSILON, nn.initializers.ones, lowering)

    def run(variables, z, kernel, train):
        deferred, updated = norm.apply(
            variables, z, train, ZERO, mutable=["batch_stats"]
        )
        if not train:
            return deferred @ kernel, updated
        return value(deferred.then(matmul, kernel)), updated

    return run


def flax(act):
    def run(variables, z, kernel, train):
        norm = nn.BatchNorm(
            not train, momentum=MOMENTUM, epsilon=EPSILON, dtype=z.dtype
        )
        y, updated = norm.apply(variables, z, mutable=["batch_stats"])
        return (ACTIVATIONS[act](y) if act else y) @ kernel, updated

    return run


def step(run, variables, z, kernel, cotangent, train=True):
    """The output, the gradients of parameters, map and kernel, the new statistics."""

    def output(params, z, kernel):
        return run({**variables, "params": params}, z, kernel, train)

    y, backward, updated = jax.vjp(output, variables["params"], z, kernel, has_aux=True)
    return {"y": y, "gradients": backward(cotangent), "updated": updated}


def assert_close(found, expected, tolerance):
    jax.tree.map_with_path(
        lambda path, a, b: np.testing.assert_allclose(
            np.asarray(a, np.float64),
            np.asarray(b, np.float64),
            rtol=tolerance,
            atol=tolerance * np.abs(np.asarray(b, np.float64)).max(),
            err_msg=jax.tree_util.keystr(path),
        ),
        found,
        expected,
    )


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("lowering", ["auto", "cpu"])
@pytest.mark.parametrize("act", ["relu", "relu6", "hard_swish", "swish", None])
def test_batch_norm_is_flaxs_in_double_precision(act, lowering, train):
    with jax.enable_x64(True):
        arguments = inputs(jnp.float64)
        found = jax.jit(lambda *a: step(ours(act, lowering), *a, train))(*arguments)
        expected = step(flax(act), *arguments, train)
        # Flax's own statistics are of float32 at least, and so of float64 here.
        assert_close(found, expected, 1e-10)


def test_batch_norm_is_flaxs_in_single_precision():
    arguments = inputs()
    found = jax.jit(lambda *a: step(ours("hard_swish", "auto"), *a))(*arguments)
    # The first channel's mean is 200 times its spread: of the 24 bits 16 are left.
    assert_close(found, step(flax("hard_swish"), *arguments), 2e-3)
    assert found["y"].dtype == jnp.float32


def test_bfloat16_is_normalised_in_single_precision():
    variables, z, kernel, cotangent = inputs(jnp.bfloat16)
    found = jax.jit(lambda *a: step(ours("relu", "auto"), *a))(
        variables, z, kernel, cotangent
    )
    # The statistics are those of the rounded map, as exact as in float32.
    expected = step(flax("relu"), variables, z, kernel, cotangent)
    assert_close(found["updated"], expected["updated"], 1e-3)
    assert found["y"].dtype == jnp.bfloat16
    assert_close(found["y"], expected["y"], 2**-6)
    assert_close(found["gradients"][2], expected["gradients"][2], 2**-5)
    params, from_z, _ = found["gradients"]
    assert from_z.dtype == jnp.bfloat16 and params["scale"].dtype == jnp.float32


def test_a_batch_on_four_devices_is_normalised_as_one():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    by_example = jax.NamedSharding(mesh, jax.P("data"))
    whole = jax.NamedSharding(mesh, jax.P())
    variables, z, kernel, cotangent = inputs()

    def run(*arguments):
        return step(ours("swish", "auto"), *arguments)

    sharded = jax.jit(run, in_shardings=(whole, by_example, whole, by_example))
    found = sharded(variables, z, kernel, cotangent)
    assert len(found["gradients"][1].sharding.device_set) == 4
    # The first channel's mean is 200 times its spread: squared, that is 4e4 roundings
    # of 6e-8 in a variance, in another order on each side.
    assert_close(found, step(flax("swish"), variables, z, kernel, cotangent), 1e-2)
    # Each device's own batch would have another mean.
    mean, _ = batch_statistics(z[:2])
    assert np.abs(mean - batch_statistics(z)[0]).max() > 0.1


def test_there_may_be_more_pixels_than_an_int32_counts():
    variables, z, *_ = inputs()
    run = ours("relu", "auto")

    def loss(z):
        return run(variables, z, jnp.eye(CHANNELS), True)[0].sum()

    huge = jax.ShapeDtypeStruct((2**31, 2, 1, CHANNELS), z.dtype)
    assert jax.eval_shape(jax.grad(loss), huge).shape == huge.shape


def test_functions_are_applied_one_after_the_other():
    variables, z, kernel, _ = inputs()
    deferred, _ = BatchNorm(
        "relu", MOMENTUM, EPSILON, nn.initializers.ones, "auto"
    ).apply(variables, z, True, ZERO, mutable=["batch_stats"])
    assert isinstance(deferred, Deferred)
    chain = deferred.then(matmul, kernel).then(lambda x, _: x.mean((1, 2)))
    expected = (value(deferred) @ kernel).mean((1, 2))
    np.testing.assert_allclose(value(chain), expected, rtol=1e-5, atol=1e-6)


def sigmoid_gates(means, weights):
    return jax.nn.sigmoid(means @ weights)


def double(x, _):
    return 2 * x


# Where the gates stand among what is made of a map; all compute the same.
CHAINS = {
    "gates first": lambda x, gates, weights, kernel: (
        x.gated(gates, weights).then(matmul, kernel).then(double)
    ),
    "gates in the middle": lambda x, gates, weights, kernel: (
        x.then(double).gated(gates, weights / 2).then(matmul, kernel)
    ),
    "gates last": lambda x, gates, weights, kernel: (
        value(x.then(double).gated(gates, weights / 2)) @ kernel
    ),
}


def gated(chain, gates=sigmoid_gates):
    """The output of a map times gates as a function of all it comes from."""
    norm = BatchNorm("swish", MOMENTUM, EPSILON, nn.initializers.ones, "auto")

    def run(variables, z, weights, kernel):
        deferred, _ = norm.apply(variables, z, True, ZERO, mutable=["batch_stats"])
        return value(CHAINS[chain](deferred, gates, weights, kernel))

    return run


def flaxs_gated(variables, z, weights, kernel):
    y, _ = flax("swish")(variables, z, jnp.eye(CHANNELS, dtype=z.dtype), True)
    gates = sigmoid_gates(y.mean((1, 2)), weights)
    return 2 * (y * gates[:, None, None]) @ kernel


def gated_inputs(dtype):
    variables, z, kernel, cotangent = inputs(dtype)
    weights = np.random.default_rng(1).normal(size=(CHANNELS, CHANNELS)) / 4
    return (variables, z, jnp.asarray(weights, dtype), kernel), cotangent


def with_gradients(run, arguments, cotangent):
    def output(params, *operands):
        return run({**arguments[0], "params": params}, *operands)

    y, backward = jax.vjp(output, arguments[0]["params"], *arguments[1:])
    return y, backward(cotangent)


@pytest.mark.parametrize("chain", CHAINS)
def test_gates_have_values_and_gradients_of_their_definition(chain):
    with jax.enable_x64(True):
        case = gated_inputs(jnp.float64)
        expected = with_gradients(flaxs_gated, *case)
        assert_close(with_gradients(gated(chain), *case), expected, 1e-10)


def test_gates_in_another_dtype_leave_the_maps():
    def exact_gates(means, weights):
        return sigmoid_gates(means.astype(jnp.float32), weights.astype(jnp.float32))

    case = gated_inputs(jnp.bfloat16)
    y, gradients = with_gradients(gated("gates first", exact_gates), *case)
    expected, _ = with_gradients(flaxs_gated, *case)
    assert y.dtype == gradients[1].dtype == jnp.bfloat16
    assert_close(y, expected, 2**-5)


@pytest.mark.parametrize("chain", CHAINS)
def test_second_derivatives_of_gates_are_those_of_their_definition(chain):
    with jax.enable_x64(True):
        (variables, *operands), cotangent = gated_inputs(jnp.float64)

        def of_gradient(run):
            def output(*operands):
                return (run(variables, *operands) ** 2 * cotangent).sum()

            def size(*operands):
                gradients = jax.grad(output, argnums=(0, 1))(*operands)
                return sum((g**2).sum() for g in gradients)

            return jax.grad(size, argnums=(0, 1))(*operands)

        assert_close(of_gradient(gated(chain)), of_gradient(flaxs_gated), 1e-9)


def test_gates_are_not_computed_again_for_the_gradient():
    (variables, z, weights, kernel), _ = gated_inputs(jnp.float32)

    def products(gates):
        def output(z):
            return gated("gates first", gates)(variables, z, weights, kernel).sum()

        return str(jax.make_jaxpr(jax.grad(output))(z)).count("dot_general")

    def without_products(means, weights):
        return means * weights[0]

    # One gives the gates; for the gradient there are those of means and weights.
    assert products(sigmoid_gates) == products(without_products) + 3


def in_turn(variables, act, passed_on=True):
    """Layers, each read by a product, as a function of the map and the kernels."""
    norm = BatchNorm(act, MOMENTUM, EPSILON, nn.initializers.ones, "auto")

    def run(x, kernels):
        late_zero = ZERO
        for kernel in kernels:
            deferred, _ = norm.apply(
                variables, x, True, late_zero, mutable=["batch_stats"]
            )
            x, zero = read(deferred.then(matmul, kernel))
            late_zero = zero if passed_on else ZERO
        return x

    return run


def flaxs_in_turn(variables, act):
    def run(x, kernels):
        for kernel in kernels:
            x, _ = flax(act)(variables, x, kernel, True)
        return x

    return run


def temporary_bytes(network, layers, options):
    """Of the gradient of a network's kernels."""
    _, z, *_ = inputs()
    z = jnp.tile(z, (8, 8, 8, 1))
    kernels = jnp.stack([jnp.eye(CHANNELS)] * layers)
    gradient = jax.grad(lambda kernels: (network(z, kernels) ** 2).mean())
    compiled = jax.jit(gradient).lower(kernels).compile(options)
    return compiled.memory_analysis().temp_size_in_bytes


def test_a_map_is_kept_once_for_the_gradient(compiled_as_for_users):
    variables, *_ = inputs()

    def by_value(x, kernels):
        for kernel in kernels:
            x, _ = ours("swish", "auto")(variables, x, kernel, True)
        return x

    flaxs, *found = (
        temporary_bytes(network, 3, compiled_as_for_users)
        for network in (
            flaxs_in_turn(variables, "swish"),
            by_value,
            in_turn(variables, "swish"),
        )
    )
    assert max(found) < 0.75 * flaxs


def test_without_late_zeros_xla_keeps_what_the_forward_pass_computed(
    compiled_as_for_users,
):
    variables, *_ = inputs()
    found, without = (
        temporary_bytes(
            in_turn(variables, "swish", passed_on), 6, compiled_as_for_users
        )
        for passed_on in (True, False)
    )
    assert found < 0.75 * without


def test_a_map_is_kept_once_where_no_convolution_reads_it(compiled_as_for_users):
    variables, *_ = inputs()
    norm = BatchNorm("swish", MOMENTUM, EPSILON, nn.initializers.ones, "auto")

    def residual_blocks(read_map):
        def run(x, kernels):
            for kernel in kernels:
                deferred, _ = norm.apply(
                    variables, x @ kernel, True, ZERO, mutable=["batch_stats"]
                )
                x = x + read_map(deferred.then(lambda y, _: jax.nn.swish(y) * y))
            return x

        return run

    found, without = (
        temporary_bytes(residual_blocks(read_map), 6, compiled_as_for_users)
        for read_map in (value, lambda x: read(x)[0])
    )
    assert found < 0.75 * without


def test_a_map_is_computed_again_by_the_kernel_that_computed_it(
    compiled_as_for_users,
):
    """And the sigmoid of its swish is no map of its own."""
    variables, z, *_ = inputs()
    norm = BatchNorm("swish", MOMENTUM, EPSILON, nn.initializers.ones, "auto")
    kernel, taps = jnp.eye(CHANNELS), jnp.ones((3, 3, 1, CHANNELS))

    def convolve(y, taps):
        return depthwise_conv(y, taps, 1, "same")

    def output(params, kernel, taps):
        def normalize(y, late_zero):
            changed = {**variables, "params": params}
            return norm.apply(changed, y, True, late_zero, mutable=["batch_stats"])[0]

        y, late_zero = read(normalize(z @ kernel, ZERO).then(convolve, taps))
        return (read(normalize(y, late_zero))[0] ** 2).sum()

    gradient = jax.jit(jax.grad(output, (0, 1, 2)))
    lowered = gradient.lower(variables["params"], kernel, taps)
    program = lowered.compile(compiled_as_for_users).as_text()
    kernels = [
        re.sub(r"\.\d+|metadata={.*?}", "", kernel)  # without what is its alone
        for kernel in re.findall(r"^%fused_computation.*?^}", program, re.M | re.S)
        if " exponential(" in kernel
    ]
    roots = re.findall(r"ROOT.* (\w+)\(", "".join(kernels))
    # Derivatives of both swishes; the first map, padded, in the forward pass and again.
    assert sorted(roots) == ["add", "add", "pad", "pad"]
    assert len(set(kernels)) == 3


def test_second_derivatives_are_flaxs():
    with jax.enable_x64(True):
        variables, z, kernel, cotangent = inputs(jnp.float64)

        def of_gradient(run):
            def output(z):
                return (run(variables, z, kernel, True)[0] ** 2 * cotangent).sum()

            return jax.grad(lambda z: (jax.grad(output)(z) ** 2).sum())(z)

        assert_close(
            of_gradient(ours("swish", "auto")), of_gradient(flax("swish")), 1e-9
        )


def test_second_derivatives_through_layers_are_flaxs():
    with jax.enable_x64(True):
        variables, z, kernel, cotangent = inputs(jnp.float64)
        kernels = jnp.eye(CHANNELS) + jnp.arange(0.2, 0.8, 0.2)[:, None, None]

        def of_gradient(network):
            def output(z):
                return ((network(z, kernels) @ kernel) ** 2 * cotangent).sum()

            return jax.grad(lambda z: (jax.grad(output)(z) ** 2).sum())(z)

        expected = of_gradient(flaxs_in_turn(variables, "swish"))
        assert_close(of_gradient(in_turn(variables, "swish")), expected, 1e-9)


def test_the_first_call_of_training_normalises_by_the_batch():
    _, z, *_ = inputs()
    norm = BatchNorm("relu", MOMENTUM, EPSILON, nn.initializers.ones, "auto")
    y, variables = norm.init_with_output(jax.random.key(0), z, True, ZERO)
    stock = nn.BatchNorm(use_running_average=False, epsilon=EPSILON)
    expected, _ = stock.init_with_output(jax.random.key(0), z)
    np.testing.assert_allclose(y, jax.nn.relu(expected), rtol=1e-2, atol=1e-2)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)  # not updated


def test_there_is_no_forward_mode():
    variables, z, kernel, _ = inputs()
    run = ours("relu", "auto")
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda z: run(variables, z, kernel, True)[0], (z,), (z,))
