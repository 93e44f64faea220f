"""Optimizers and learning-rate schedules by name, all of optax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mobilenets.config.schema import (
    SGD,
    AdamW,
    Cosine,
    Optimizer,
    Piecewise,
    Polynomial,
    Schedule,
)


def make_schedule(
    schedule: Schedule,
    learning_rate: float,
    steps_per_epoch: float,
    total_steps: int,
) -> optax.Schedule:
    """The learning rate at a step, counted from 0.

    The warm-up rises linearly from 0. As in the authors' code of EfficientNet and in
    that of ResNet for TPUs, the other decays count from step 0, so that the warm-up
    hides their beginning; the cosine begins where the warm-up ends. The polynomial ends
    at 0.
    """
    warmup_steps = round(schedule.warmup_epochs * steps_per_epoch)
    if isinstance(schedule, Cosine):
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0 if warmup_steps else learning_rate,
            peak_value=learning_rate,
            warmup_steps=warmup_steps,
            decay_steps=max(total_steps, warmup_steps + 1),
            end_value=learning_rate * schedule.final_fraction,
        )
    if isinstance(schedule, Piecewise):
        decay = optax.piecewise_constant_schedule(
            learning_rate,
            {round(b * steps_per_epoch): schedule.factor for b in schedule.boundaries},
        )
    elif isinstance(schedule, Polynomial):
        decay = optax.polynomial_schedule(
            init_value=learning_rate,
            end_value=0.0,
            power=schedule.power,
            transition_steps=total_steps,
        )
    else:
        decay = optax.exponential_decay(
            init_value=learning_rate,
            transition_steps=max(1, round(schedule.decay_epochs * steps_per_epoch)),
            decay_rate=schedule.decay_rate,
            staircase=True,
        )

    def warmed_up(step):
        fraction = step / max(1, warmup_steps)
        return jnp.where(step < warmup_steps, learning_rate * fraction, decay(step))

    return warmed_up


def make_optimizer(
    optimizer: Optimizer,
    schedule: optax.Schedule,
    relative_rates: Callable[[Any], Any] = lambda params: jax.tree.map(
        lambda _: 1.0, params
    ),
) -> optax.GradientTransformation:
    """The named optimizer, with weight decay on kernels only.

    Args:
      optimizer: of the configuration.
      schedule: the learning rate at a step.
      relative_rates: from the parameters to a number for each, by which its learning
        rate is multiplied. 0 leaves it as it is, without decay and without a state.
    """

    def is_trained(params: Any) -> Any:
        return jax.tree.map(bool, relative_rates(params))

    def scale(updates: Any, params: Any) -> Any:
        return jax.tree.map(lambda u, rate: u * rate, updates, relative_rates(params))

    update = optax.chain(
        optax.masked(_named_optimizer(optimizer, schedule), is_trained),
        optax.stateless(scale),
    )
    if not optimizer.max_nonfinite_steps:
        return update  # with the state that it always had
    return optax.apply_if_finite(update, optimizer.max_nonfinite_steps)


def _named_optimizer(
    optimizer: Optimizer, schedule: optax.Schedule
) -> optax.GradientTransformation:

    def decayed(params: Any) -> Any:
        return decay_mask(params, optimizer.weight_decay_on_depthwise)

    if isinstance(optimizer, AdamW):
        return optax.adamw(
            schedule,
            b1=optimizer.b1,
            b2=optimizer.b2,
            eps=optimizer.epsilon,
            weight_decay=optimizer.weight_decay,
            mask=decayed,
        )
    if isinstance(optimizer, SGD):
        update = optax.sgd(
            schedule,
            momentum=optimizer.momentum,
            nesterov=optimizer.nesterov,
        )
    else:
        # As TensorFlow's kernel: the mean of squares starts at 1, epsilon is under the
        # root, and the momentum adds up steps already scaled by their learning rate.
        update = optax.rmsprop(
            schedule,
            decay=optimizer.decay,
            eps=optimizer.epsilon,
            initial_scale=1.0,
            momentum=optimizer.momentum,
        )
    return optax.chain(
        optax.add_decayed_weights(optimizer.weight_decay, mask=decayed), update
    )


def decay_mask(params: Any, on_depthwise: bool) -> Any:
    """True where weight decay applies: kernels, those of depthwise layers if wanted."""

    def is_decayed(path: tuple, _: jax.Array) -> bool:
        names = [part.key for part in path]
        return names[-1] == "kernel" and (on_depthwise or "depthwise" not in names)

    return jax.tree.map_with_path(is_decayed, params)
