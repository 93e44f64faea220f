"""Losses, averages and updates are those worked by hand, on any number of devices."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from configs import quickstart
from mobilenets import UserError, create_model
from mobilenets.config import check
from mobilenets.evaluation.evaluator import make_eval_step
from mobilenets.networks.spec import with_backbone
from mobilenets.runtime import sharding
from mobilenets.tasks.registry import make_task
from mobilenets.training.optimizers import make_optimizer
from mobilenets.training.state import create_state
from mobilenets.training.step import ema_decay_at, make_train_step

LEARNING_RATE = 0.1


def make_config(**changes):
    config = quickstart.get_config("smoke")
    config.update(changes)
    config.optimizer.name = "sgd"
    return check.check(config)


def make_small_task(config, dropout_rate=0.0):
    """The quick start's task with a network cut short, which compiles in seconds."""
    task = make_task(config)
    spec = dataclasses.replace(
        with_backbone(task.spec, blocks=task.spec.backbone.blocks[:1]),
        dropout_rate=dropout_rate,
    )
    task.model = create_model(spec, 10)
    return task


def make_batch(size):
    rng = np.random.default_rng(size)
    return {
        "image": rng.integers(0, 64, (size, 32, 32, 3), np.uint8)
        + rng.integers(0, 64, (size, 1, 1, 3), np.uint8),  # dark, no two alike
        "label": rng.integers(0, 10, size, np.int32),
    }


def make_step(config, dropout_rate=0.0, devices=1):
    """The state before the first step, and the step from state, batch and seed."""
    mesh = jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )
    everywhere = sharding.replicated(mesh)
    task = make_small_task(config, dropout_rate)

    def schedule(step):
        return LEARNING_RATE

    optimizer = make_optimizer(config.optimizer, schedule)
    compiled = jax.jit(
        make_train_step(task, optimizer, schedule),
        in_shardings=(everywhere, sharding.by_example(mesh), everywhere, everywhere),
        out_shardings=everywhere,
    )

    def step(state, batch, seed=1):
        batch = sharding.to_devices(mesh, batch)
        return jax.device_get(compiled(state, batch, jax.random.key(seed), {}))

    state = create_state(task.init_variables(jax.random.key(0)), optimizer)
    return jax.device_get(state), step


def run_steps(config, batches):
    """The states before the first step and after each, and the last metrics."""
    state, step = make_step(config)
    states, metrics = [state], {}
    for batch in batches:
        state, metrics = step(state, batch)
        states.append(state)
    return states, metrics


def assert_close(a, b, tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_label_smoothing_worked_by_hand():
    task = make_task(make_config(task={"label_smoothing": 0.3}))
    # Probabilities 1/8, 2/8 and 5/8; targets 0.1, 0.1 and 0.8.
    logits = jnp.log(jnp.array([[1.0, 2.0, 5.0]]))
    loss, metrics = task.loss((logits, {}), {"label": jnp.array([2])})
    by_hand = 0.1 * math.log(8) + 0.1 * math.log(4) + 0.8 * math.log(8 / 5)
    assert loss == pytest.approx(by_hand, rel=1e-6)
    assert metrics["loss"] == loss
    assert metrics["top1"] == 1.0


def test_a_masked_image_changes_no_evaluation():
    task = make_small_task(make_config())
    eval_step = jax.jit(make_eval_step(task, task.metric))
    variables = task.init_variables(jax.random.key(0))
    batch = make_batch(8) | {"mask": np.float32([1] * 5 + [0] * 3)}
    other = jax.tree.map(np.copy, batch)
    other["image"][5:], other["label"][5:] = 0, 0
    a, b = eval_step(variables, batch), eval_step(variables, other)
    assert a["means"]["count"] == 5
    assert_close(a, b, 1e-6)


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_a_long_gradient_is_cut_to_the_norm_and_a_short_one_is_not(accumulation_steps):
    batch = make_batch(16)
    # Of one class all images pull the same way.
    batches = (batch | {"label": np.zeros(16, np.int32)}, batch)

    def first_updates(clip_norm):
        """Of each batch: SGD's update from rest, by the rate, and the norm logged."""
        config = make_config(
            optimizer={"clip_norm": clip_norm, "weight_decay": 0.0},
            accumulation_steps=accumulation_steps,
        )
        before, step = make_step(config)
        for after, metrics in [step(before, batch) for batch in batches]:
            update = jax.tree.map(
                lambda a, b: (b - a) / LEARNING_RATE, before.params, after.params
            )
            yield update, metrics["gradient_norm"]

    (long, long_norm), (short, short_norm) = first_updates(0.0)
    assert long_norm == pytest.approx(norm_of(long), rel=1e-4)
    assert long_norm > 1.5 * short_norm
    limit = float(1.2 * short_norm)
    (cut, norm_before), (kept, _) = first_updates(limit)
    assert norm_before == pytest.approx(long_norm, rel=1e-5)  # that of the whole
    assert_close(cut, jax.tree.map(lambda g: g * limit / long_norm, long), 1e-4)
    assert_close(kept, short, 1e-5)


def norm_of(tree):
    return math.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(tree)))


def test_the_decay_of_the_averages_grows_up_to_its_limit():
    found = [float(ema_decay_at(jnp.int32(step), 0.99)) for step in (0, 1, 2, 90, 9000)]
    assert found == pytest.approx([0.1, 2 / 11, 3 / 12, 91 / 100, 0.99])


def test_parameters_and_statistics_are_averaged():
    batches = [make_batch(16 + i) for i in range(3)]
    batches = [jax.tree.map(lambda x: x[:16], batch) for batch in batches]
    states, _ = run_steps(make_config(ema_decay=0.2), batches)
    average = states[0].variables(ema=False)
    assert_close(states[0].ema, average, 0)
    for state, decay in zip(states[1:], [0.1, 2 / 11, 0.2], strict=True):
        average = jax.tree.map(
            lambda old, new, decay=decay: decay * old + (1 - decay) * new,
            average,
            state.variables(ema=False),
        )
        assert_close(state.ema, average, 1e-6)
    mean = states[-1].ema["batch_stats"]["stem"]["bn"]["mean"]
    assert np.abs(mean).max() > 1e-3
    assert [int(state.step) for state in states] == [0, 1, 2, 3]


def test_equal_parts_give_the_update_of_one_of_them():
    parts, batch = 4, make_batch(8)
    # Parts are strided, so every example follows itself.
    repeated = {name: np.repeat(x, parts, axis=0) for name, x in batch.items()}
    (start, whole), metrics = run_steps(make_config(batch_size=8), [batch])
    config = make_config(batch_size=32, accumulation_steps=parts)
    (_, accumulated), accumulated_metrics = run_steps(config, [repeated])
    assert_close(accumulated.params, whole.params, 1e-6)
    assert_close(accumulated_metrics, metrics, 1e-5)
    # The statistics see four batches: what is left of the old ones is m^4, not m.
    m = 0.9

    def four_times(old, new):
        of_batch = (new - m * old) / (1 - m)
        return m**parts * old + (1 - m**parts) * of_batch

    expected = jax.tree.map(four_times, start.batch_stats, whole.batch_stats)
    assert_close(accumulated.batch_stats, expected, 1e-5)
    assert (
        np.abs(
            start.params["logits"]["kernel"] - whole.params["logits"]["kernel"]
        ).max()
        > 1e-3
    )


def test_different_parts_give_the_mean_of_their_gradients():
    batch = make_batch(16)
    halves = [jax.tree.map(lambda x, i=i: x[i::2], batch) for i in range(2)]
    small = make_config(batch_size=8)
    start, step = make_step(small)
    ends = [step(start, half)[0] for half in halves]
    moves = [jax.tree.map(np.subtract, end.params, start.params) for end in ends]
    config = make_config(batch_size=16, accumulation_steps=2)
    (start, end), _ = run_steps(config, [batch])
    move = jax.tree.map(np.subtract, end.params, start.params)
    assert_close(move, jax.tree.map(lambda a, b: (a + b) / 2, *moves), 1e-5)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.usefixtures("four_devices")
def test_four_devices_do_what_one_does(parts):
    config, batch = make_config(accumulation_steps=parts), make_batch(16)
    start, step = make_step(config, dropout_rate=0.2)
    one, metrics = step(start, batch)
    four, metrics_of_four = make_step(config, 0.2, devices=4)[1](start, batch)
    assert_close(four, one, 1e-5)
    assert_close(metrics_of_four, metrics, 1e-5)
    # With another seed the update is another one: dropout was active.
    other, _ = step(start, batch, seed=2)
    kernels = [s.params["logits"]["kernel"] for s in (start, one, other)]
    assert np.abs(kernels[1] - kernels[0]).max() > 1e-3
    assert np.abs(kernels[1] - kernels[2]).max() > 1e-3


@pytest.mark.parametrize(
    ("batch_size", "near"), [(18, "16 or 20"), (3, "4"), (129, "128 or 132")]
)
@pytest.mark.usefixtures("four_devices")
def test_a_batch_that_the_devices_cannot_share_is_refused(batch_size, near):
    message = (
        f"batch_size {batch_size} cannot be split over 4 devices: use a multiple of 4, "
        f"such as --config.batch_size={near}."
    )
    with pytest.raises(UserError) as error:
        sharding.data_mesh(batch_size)
    assert str(error.value) == message


@pytest.mark.usefixtures("four_devices")
def test_the_mesh_is_of_all_devices():
    assert sharding.data_mesh(8).shape == {"data": 4}
