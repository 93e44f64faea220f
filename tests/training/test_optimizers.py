"""Optimizers and schedules do what is worked out by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets import create_model
from mobilenets.config import schema
from mobilenets.training.optimizers import decay_mask, make_optimizer, make_schedule

RATES = [0.1, 0.05, 0.2]
GRADIENTS = [0.5, -1.5, 2.0]


def rate_at(step):
    return jnp.asarray(RATES)[step]


def run(optimizer, params, gradients):
    """The parameters after each gradient, applied to all of them."""
    state, history = optimizer.init(params), []
    for g in gradients:
        grads = jax.tree.map(lambda w, g=g: jnp.full_like(w, g), params)
        updates, state = optimizer.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        history.append(jax.tree.map(float, params))
    return history


def tensorflow_rmsprop(w, gradients, decay, momentum, epsilon, weight_decay=0.0):
    mean_square, velocity, history = 1.0, 0.0, []
    for g, rate in zip(gradients, RATES, strict=True):
        g += weight_decay * w
        mean_square = decay * mean_square + (1 - decay) * g**2
        velocity = momentum * velocity + rate * g / math.sqrt(mean_square + epsilon)
        w -= velocity
        history.append(w)
    return history


def rmsprop(**changes):
    return schema.RMSProp(decay=0.8, momentum=0.7, epsilon=0.1, **changes)


def test_rmsprop_is_that_of_tensorflow():
    optimizer = make_optimizer(rmsprop(), rate_at)
    history = run(optimizer, {"kernel": jnp.float32(2.0)}, GRADIENTS)
    expected = tensorflow_rmsprop(2.0, GRADIENTS, 0.8, 0.7, 0.1)
    # By hand: 2 - 0.1 * 0.5 / sqrt(0.8 + 0.2 * 0.25 + 0.1).
    assert expected[0] == pytest.approx(2 - 0.05 / math.sqrt(0.95))
    np.testing.assert_allclose([h["kernel"] for h in history], expected, rtol=1e-6)


@pytest.mark.parametrize("on_depthwise", [False, True])
def test_weight_decay_is_an_l2_term_of_the_kernels_in_rmsprop(on_depthwise):
    optimizer = make_optimizer(
        rmsprop(weight_decay=0.25, weight_decay_on_depthwise=on_depthwise), rate_at
    )
    params = {
        "project": {"conv": {"kernel": jnp.float32(2.0)}},
        "depthwise": {"conv": {"kernel": jnp.float32(2.0)}},
        "logits": {"bias": jnp.float32(2.0)},
    }
    last = run(optimizer, params, GRADIENTS)[-1]
    plain = tensorflow_rmsprop(2.0, GRADIENTS, 0.8, 0.7, 0.1)[-1]
    decayed = tensorflow_rmsprop(2.0, GRADIENTS, 0.8, 0.7, 0.1, 0.25)[-1]
    assert abs(plain - decayed) > 0.1
    assert last["project"]["conv"]["kernel"] == pytest.approx(decayed, rel=1e-6)
    assert last["logits"]["bias"] == pytest.approx(plain, rel=1e-6)
    of_depthwise = decayed if on_depthwise else plain
    assert last["depthwise"]["conv"]["kernel"] == pytest.approx(of_depthwise, rel=1e-6)


@pytest.mark.parametrize(
    ("nesterov", "expected"),
    # Momenta: 1, then 0.5 * 1 - 3 = -2.5. Nesterov steps along g + 0.5 * momentum.
    [
        (False, [2 - 0.1 * 1, 1.9 - 0.05 * -2.5]),
        (True, [2 - 0.1 * (1 + 0.5), 1.85 - 0.05 * (-3 + 0.5 * -2.5)]),
    ],
)
def test_sgd_adds_up_gradients(nesterov, expected):
    config = schema.SGD(momentum=0.5, nesterov=nesterov)
    optimizer = make_optimizer(config, rate_at)
    history = run(optimizer, {"kernel": jnp.float32(2.0)}, [1.0, -3.0])
    np.testing.assert_allclose([h["kernel"] for h in history], expected, rtol=1e-6)


def test_weight_decay_is_an_l2_term_of_the_kernels_in_sgd():
    config = schema.SGD(momentum=0.0, weight_decay=0.5)
    params = {"kernel": jnp.float32(2.0), "scale": jnp.float32(2.0)}
    last = run(make_optimizer(config, rate_at), params, [3.0])[-1]
    assert last["kernel"] == pytest.approx(2 - 0.1 * (3 + 0.5 * 2))
    assert last["scale"] == pytest.approx(2 - 0.1 * 3)


def test_the_decay_of_adamw_is_decoupled():
    config = schema.AdamW(b1=0.9, b2=0.99, epsilon=1e-8, weight_decay=0.5)
    params = {
        "kernel": jnp.float32(2.0),
        "depthwise": {"kernel": jnp.float32(2.0)},
        "bias": jnp.float32(2.0),
    }
    # Adam's first step is the rate times the gradient's sign, whatever its size, and
    # so is its second if the gradient stays the same.
    first, second = run(make_optimizer(config, rate_at), params, [3.0, 3.0])
    assert first["bias"] == pytest.approx(2 - 0.1)
    assert first["depthwise"]["kernel"] == pytest.approx(2 - 0.1)
    assert first["kernel"] == pytest.approx(2 - 0.1 - 0.1 * 0.5 * 2)
    assert second["bias"] == pytest.approx(1.9 - 0.05)
    assert second["kernel"] == pytest.approx(1.8 - 0.05 - 0.05 * 0.5 * 1.8)


def names_with(value, tree):
    leaves = jax.tree.leaves_with_path(tree)
    return {"/".join(k.key for k in path) for path, leaf in leaves if leaf is value}


def mobilenet_v2_params():
    model = create_model("mobilenet_v2", 10, width_multiplier=0.35, resolution=32)
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))[
        "params"
    ]


@pytest.mark.parametrize("on_depthwise", [False, True])
def test_exactly_the_kernels_of_a_mobilenet_decay(on_depthwise):
    expected = {"stem/conv/kernel", "head_conv/conv/kernel", "logits/kernel"}
    for i in range(17):
        parts = ["project"] + ["expand"] * (i > 0) + ["depthwise"] * on_depthwise
        expected |= {f"block{i}/{part}/conv/kernel" for part in parts}
    mask = decay_mask(mobilenet_v2_params(), on_depthwise)
    assert names_with(True, mask) == expected
    assert len(names_with(False, mask)) == len(jax.tree.leaves(mask)) - len(expected)


def test_the_stair_counts_from_step_0_and_the_warm_up_hides_its_beginning():
    config = schema.Exponential(
        warmup_epochs=1.5,  # 15 steps
        decay_rate=0.5,
        decay_epochs=1.0,
    )
    schedule = make_schedule(config, 0.8, steps_per_epoch=10.0, total_steps=40)
    expected = {
        0: 0.0,
        3: 0.8 * 3 / 15,
        14: 0.8 * 14 / 15,
        15: 0.4,  # one stair is hidden
        19: 0.4,
        20: 0.2,
        29: 0.2,
        30: 0.1,
    }
    found = {step: float(schedule(step)) for step in expected}
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_stair_without_warm_up_begins_at_the_peak():
    config = schema.Exponential(
        decay_rate=0.5,
        decay_epochs=2.5,
    )
    schedule = make_schedule(config, 0.8, steps_per_epoch=4.0, total_steps=40)
    found = [float(schedule(step)) for step in (0, 9, 10, 19, 20)]
    assert found == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2], rel=1e-6)


def test_the_pieces_begin_at_their_epochs():
    config = schema.Piecewise(
        warmup_epochs=0.5,  # 5 steps
        boundaries=(2.0, 3.5),
        factor=0.1,
    )
    schedule = make_schedule(config, 0.4, steps_per_epoch=10.0, total_steps=40)
    expected = {0: 0.0, 4: 0.32, 5: 0.4, 19: 0.4, 20: 0.04, 34: 0.04, 35: 0.004}
    found = {step: float(schedule(step)) for step in expected}
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_cosine_begins_where_the_warm_up_ends():
    config = schema.Cosine(
        warmup_epochs=2.0,  # 20 steps, then 80 of cosine
        final_fraction=0.1,
    )
    schedule = make_schedule(config, 0.5, steps_per_epoch=10.0, total_steps=100)
    expected = {
        0: 0.0,
        5: 0.125,
        20: 0.5,
        40: 0.05 + 0.45 * (1 + math.sqrt(0.5)) / 2,  # a quarter of the way
        60: 0.275,  # half way between 0.5 and 0.05
        100: 0.05,
    }
    found = {step: float(schedule(step)) for step in expected}
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_cosine_without_warm_up_begins_at_the_peak():
    schedule = make_schedule(schema.Cosine(), 0.5, 10.0, total_steps=100)
    found = [float(schedule(step)) for step in (0, 50, 100)]
    assert found == pytest.approx([0.5, 0.25, 0.0], abs=1e-7)


def test_poly_is_a_power_of_the_steps_that_are_left():
    """DeepLabv3, Sec. 4.1: (1 - step / steps) ** 0.9 of the first rate."""
    schedule = make_schedule(schema.Polynomial(), 0.007, 10.0, total_steps=200)
    assert schedule(0) == pytest.approx(0.007)
    assert schedule(50) == pytest.approx(0.007 * 0.75**0.9)
    assert schedule(150) == pytest.approx(0.007 * 0.25**0.9)
    assert schedule(200) == 0
    warmed_up = make_schedule(
        schema.Polynomial(power=2.0, warmup_epochs=2.0), 1.0, 10.0, total_steps=100
    )
    assert warmed_up(10) == pytest.approx(0.5)
    assert warmed_up(50) == pytest.approx(0.25)
