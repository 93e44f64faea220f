"""Four virtual devices, so that what is split over devices is tested on any machine."""

import os

import jax
import pytest

os.environ["KERAS_BACKEND"] = (
    "jax"  # before anything imports Keras, TensorFlow included
)

jax.config.update("jax_num_cpu_devices", 4)

# A test compiles what it tests; only the scripts that it starts keep what they compile.
jax.config.update("jax_enable_compilation_cache", False)


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache_of_the_scripts(tmp_path_factory):
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path_factory.mktemp("xla"))
