"""What the sides of Keras share: `keras.applications` and its training step.

All settings are Keras' defaults, among them `jit_compile="auto"`.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.workloads import CLASSES, LEARNING_RATE, MOMENTUM, NAMES, Network


def model(network: Network) -> Any:
    """The model with logits, for images of that size and number alone."""
    names = NAMES[network.model]
    size = (network.resolution, network.resolution, 3)
    return getattr(keras.applications, names.keras)(
        input_tensor=keras.Input(batch_shape=(network.batch, *size)),
        weights=None,
        classes=CLASSES,
        classifier_activation=None,
        **names.keras_options,
    )


def images(network: Network) -> Any:
    """A tensor of the backend, on its device."""
    size = (network.batch, network.resolution, network.resolution, 3)
    values = np.random.default_rng(0).standard_normal(size, np.float32)
    return keras.ops.convert_to_tensor(values)


def training(variant: str, network: Network) -> Callable[[], Any]:
    """An update by SGD with momentum, batch statistics included.

    `train_on_batch` is Keras' compiled step; it returns when it has the loss. Dropout
    is that of `keras.applications`.
    """
    trained, batch = model(network), images(network)
    labels = keras.ops.arange(network.batch) % CLASSES
    trained.compile(
        keras.optimizers.SGD(LEARNING_RATE, MOMENTUM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: trained.train_on_batch(batch, labels)
