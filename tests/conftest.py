"""What many tests share: the devices, what is compiled, a clock, commands to call."""

import contextlib
import dataclasses
import gc
import importlib.metadata
import json
import os
import sys

import jax
import pytest

from mobilenets.cli import main as cli
from mobilenets.data import timing
from mobilenets.runtime import host_memory
from mobilenets.training import throughput

os.environ["KERAS_BACKEND"] = (
    "jax"  # before anything imports Keras, TensorFlow included
)

# What is split over devices is tested on any machine: see `four_devices`.
jax.config.update("jax_num_cpu_devices", 4)

# What one test has compiled, the others need not.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


# Tests compile for longer than they run, so that XLA optimizes less for them, and for
# the processes that they start. What it had before its fusion emitters takes half as
# long. Versions after 0.10 have these alone, and end at the flag: `.ci/versions newest`
# shows that all that is tested holds with the emitters that users have.
HAS_OLD_EMITTERS = importlib.metadata.version("jaxlib").startswith("0.10.")
GIVEN_FLAGS = os.environ.get("XLA_FLAGS", "")
OLD_EMITTERS = "--xla_cpu_use_fusion_emitters=false"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
if HAS_OLD_EMITTERS and OLD_EMITTERS not in GIVEN_FLAGS:  # a worker's are its parent's
    os.environ["XLA_FLAGS"] = f"{GIVEN_FLAGS} {OLD_EMITTERS}"
jax.config.update("jax_disable_most_optimizations", True)


# The files that take longest, by far.
LONGEST = {"test_notebooks.py", "test_sweep.py", "test_search.py", "test_parity.py"}


def pytest_collection_modifyitems(items):
    """What takes longest begins first, so that no worker ends alone with it."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish():
    """What is imported by now stays: the collector need not look at it again.

    Tracing makes many objects. A collection for every 700 of them, of which JAX makes
    one of its own each time, takes a fifth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


@pytest.fixture(scope="session", autouse=True)
def _memory_of_this_process_as_it_is():
    """Commands that are called in this process must not change it for other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_memory, "use_huge_pages", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache_of_the_scripts(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has its own within the run's
        folder = folder.parent
    folder = str(folder / "xla")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    jax.config.update("jax_compilation_cache_dir", folder)


@contextlib.contextmanager
def _devices(number):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "device_count", lambda: number)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_device():
    """A step that is split over four takes twice as long to compile and to run."""
    with _devices(1):
        yield


@pytest.fixture
def four_devices():
    """For tests of what is split over devices."""
    with _devices(4):
        yield


@pytest.fixture
def compiled_as_for_users(monkeypatch):
    """For tests of what XLA makes of a program, and of what runs for long.

    New processes compile as users' do, and so does `lowered.compile(options)` with the
    options that this returns. What is jitted in this process is optimized, but XLA has
    read its flags.
    """
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS")
    monkeypatch.setenv("XLA_FLAGS", GIVEN_FLAGS.replace(OLD_EMITTERS, "").strip())
    jax.config.update("jax_disable_most_optimizations", False)
    yield {"xla_cpu_use_fusion_emitters": True} if HAS_OLD_EMITTERS else None
    jax.config.update("jax_disable_most_optimizations", True)


class Clock:
    """Moves when it is told to."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of loading and training, which the test moves."""
    clock = Clock()
    for module in (timing, throughput):
        monkeypatch.setattr(module, "time", clock)
    return clock


@dataclasses.dataclass
class Result:
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Calls the command in this process, which is faster than to start one."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mobilenets", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        stdout, stderr = capsys.readouterr()
        if isinstance(end.value.code, str):  # Python prints it and exits with 1
            return Result(1, stdout, f"{stderr}{end.value.code}\n")
        return Result(end.value.code or 0, stdout, stderr)

    return run


@pytest.fixture
def run_json(run):
    def run_json(*arguments):
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return run_json
