"""The update, which runs on the accelerator.

It is pure; the caller compiles it and chooses the shardings. A batch is one global
array sharded over the devices, so that means over it, the batch norms' included, are
means over all devices: no collective is written by hand.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mobilenets.metrics.base import Batch
from mobilenets.tasks.base import Metrics, Task
from mobilenets.training.state import TrainState

# The metric that says whether the step was skipped; it is not logged.
SKIPPED = "is_skipped"
# Folded into the key of a step for the variants; a pass folds its number into it.
_VARIANTS = 2**32 - 1


def make_train_step(
    task: Task,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
) -> Callable[[TrainState, Batch, jax.Array, Any], tuple[TrainState, Metrics]]:
    """Builds the update from one batch, the run's random key and a teacher's variables.

    The key is an argument, so that runs that differ in their seed share a program. So
    are the variables, {} without a teacher: as constants they would be a part of it.
    With accumulation the parts of the batch pass one after the other: gradients and
    metrics are their means, the batch norms see a part at a time. So do the variants of
    a task, with the whole batch each. The "gradient_norm"
    is that before the gradient is clipped. Where steps may be skipped, "skipped_steps"
    counts those until now, which changed nothing but the number of the step.
    """
    # Not a part of the optimizer: its state is the same with and without.
    clip = optax.clip_by_global_norm(task.config.optimizer.clip_norm)

    def loss_and_updates(params, batch_stats, part, rng):
        # Nothing flows back to what is not trained: a gradient of 0 that costs nothing.
        rates = task.relative_rates(params)
        params = jax.tree.map(
            lambda p, rate: p if rate else jax.lax.stop_gradient(p), params, rates
        )
        outputs, updated = task.model.apply(
            {"params": params, "batch_stats": batch_stats},
            task.inputs(part),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": rng},
        )
        loss, metrics = task.loss(outputs, part)
        return loss, (metrics, updated["batch_stats"])

    def train_step(state, batch, rng, teacher_variables):
        step_rng = jax.random.fold_in(rng, state.step)

        count, nth_part = _passes(task, batch, step_rng, teacher_variables)

        def gradients(batch_stats, number):
            part_rng = jax.random.fold_in(step_rng, number)
            grads, (metrics, batch_stats) = jax.grad(loss_and_updates, has_aux=True)(
                state.params, batch_stats, nth_part(number), part_rng
            )
            return batch_stats, (grads, metrics)

        def accumulate(carry, number):
            batch_stats, sums = carry
            batch_stats, (grads, metrics) = gradients(batch_stats, number)
            return (batch_stats, jax.tree.map(jnp.add, sums, grads)), metrics

        if count == 1:  # not a scan of length 1: XLA's CPU code for that is slower
            batch_stats, (grads, metrics) = gradients(state.batch_stats, 0)
        else:
            zeros = jax.tree.map(jnp.zeros_like, state.params)
            (batch_stats, sums), metrics = jax.lax.scan(
                accumulate, (state.batch_stats, zeros), jnp.arange(count)
            )
            grads = jax.tree.map(lambda x: x / count, sums)
            metrics = jax.tree.map(lambda x: x.mean(0), metrics)

        gradient_norm = optax.tree.norm(grads)
        if task.config.optimizer.clip_norm:
            grads, _ = clip.update(grads, optax.EmptyState())
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = ema_decay_at(state.step, task.config.ema_decay)
        # In this form an average of equal values is that value, and one without decay
        # is the new value, to the bit.
        ema = jax.tree.map(
            lambda average, value: value + decay * (average - value),
            state.ema,
            {"params": params, "batch_stats": batch_stats},
        )
        most_skipped = task.config.optimizer.max_nonfinite_steps
        if most_skipped:
            (batch_stats, ema), counted = _unless_skipped(
                most_skipped,
                opt_state,
                (batch_stats, ema),
                (state.batch_stats, state.ema),
            )
            metrics |= counted
        metrics |= {
            "learning_rate": jnp.asarray(schedule(state.step)),
            "gradient_norm": gradient_norm,
        }
        return TrainState(state.step + 1, params, batch_stats, opt_state, ema), metrics

    return train_step


def _unless_skipped(
    most: int, opt_state: Any, new: Any, old: Any
) -> tuple[Any, Metrics]:
    """What the optimizer does not hold, after a step that it may have skipped.

    Args:
      most: steps that are skipped in succession. One more is not, so that the training
        ends.
      opt_state: of `optax.apply_if_finite`, after the step.
      new: the values if the step counts.
      old: the values before it.

    Returns:
      The values, and the metrics of skipping.
    """
    is_skipped = ~opt_state.last_finite & (opt_state.notfinite_count <= most)
    kept = jax.tree.map(lambda n, o: jnp.where(is_skipped, o, n), new, old)
    return kept, {"skipped_steps": opt_state.total_notfinite, SKIPPED: is_skipped}


def ema_decay_at(step: jax.Array, ema_decay: float) -> jax.Array:
    """The decay of the moving averages in the update that follows `step` updates.

    The first updates average over few steps, otherwise the averages would keep the
    untrained weights for about 1 / (1 - ema_decay) steps. The rule is that of
    `tf.train.ExponentialMovingAverage`.
    """
    return jnp.minimum(ema_decay, (1.0 + step) / (10.0 + step))


def _passes(
    task: Task, batch: Batch, step_rng: jax.Array, teacher_variables: Any
) -> tuple[int, Callable[[Any], Batch]]:
    """What passes through the model in one update, one after the other.

    A teacher sees a part when it is trained on, variants once.

    Returns:
      The number of passes, and the batch of each by its number.
    """
    variants = task.variants(jax.random.fold_in(step_rng, _VARIANTS))
    if variants:
        batch = task.taught(batch, teacher_variables)
        count = len(jax.tree.leaves(variants)[0])
        return count, lambda i: batch | jax.tree.map(lambda x: x[i], variants)
    parts = task.config.accumulation_steps
    if parts == 1:
        return 1, lambda _: task.taught(batch, teacher_variables)
    split = jax.tree.map(lambda x: _split(x, parts), batch)

    def nth_part(i: Any) -> Batch:
        return task.taught(jax.tree.map(lambda x: x[i], split), teacher_variables)

    return parts, nth_part


def _split(x: jax.Array, parts: int) -> jax.Array:
    """[N, ...] -> [parts, N / parts, ...]; each part is spread over all devices."""
    return x.reshape(x.shape[0] // parts, parts, *x.shape[1:]).swapaxes(0, 1)
