"""Four virtual devices, so that what is split over devices is tested on any machine."""

import os

import jax
import pytest

from mobilenets.runtime import host_memory

os.environ["KERAS_BACKEND"] = (
    "jax"  # before anything imports Keras, TensorFlow included
)

jax.config.update("jax_num_cpu_devices", 4)

# A test compiles what it tests; only the scripts that it starts keep what they compile.
jax.config.update("jax_enable_compilation_cache", False)


@pytest.fixture(scope="session", autouse=True)
def _memory_of_this_process_as_it_is():
    """Commands that are called in this process must not change it for other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_memory, "use_huge_pages", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache_of_the_scripts(tmp_path_factory):
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path_factory.mktemp("xla"))
