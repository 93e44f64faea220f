"""Four virtual devices, so that what is split over devices is tested on any machine."""

import os

import jax

os.environ["KERAS_BACKEND"] = (
    "jax"  # before anything imports Keras, TensorFlow included
)

jax.config.update("jax_num_cpu_devices", 4)
