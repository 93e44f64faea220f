"""Keras on JAX."""

from collections.abc import Callable
from typing import Any

import jax

from benchmarks.sides import keras_models
from benchmarks.sides.keras_models import training as training
from benchmarks.workloads import Network


def start(variant: str) -> dict[str, str]:
    """Where JAX computes."""
    return {"platform": jax.default_backend(), "kind": jax.devices()[0].device_kind}


def accelerator_peak(step: Callable[[], Any]) -> int | None:
    """Bytes of the accelerator in use at most since the process began."""
    step()
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use")


def inference(variant: str, network: Network) -> Callable[[], Any]:
    """The logits, compiled as Keras' guide does: `predict` adds milliseconds a call."""
    model, images = keras_models.model(network), keras_models.images(network)

    @jax.jit
    def compiled(trainable, non_trainable, images):
        return model.stateless_call(trainable, non_trainable, images, training=False)[0]

    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return lambda: jax.block_until_ready(compiled(trainable, others, images))
