"""What the scripts compile is kept; without a place for it they go on."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests import small_model
from tests.toy_task import TIMED

ROOT = pathlib.Path(__file__).parents[2]

# The scripts begin thus; eight programs of about 2 kB follow.
SMALL = """
from mobilenets.runtime import compilation_cache
compilation_cache.use()
import jax
for number in range(8):
    assert jax.jit(lambda x: x + number)(1.0) == 1 + number
"""


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Starts Python as for a user whose caches are in `tmp_path`."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def python(*arguments, **environment):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    return python


def programs(folder):
    """When each program of a cache was written and when it was used last."""
    return {
        path.name: (path.stat().st_mtime_ns, used.stat().st_mtime_ns)
        for path in folder.glob("*-cache")
        for used in [path.with_name(path.name.removesuffix("cache") + "atime")]
    }


@pytest.mark.slow
def test_a_second_start_compiles_nothing_and_computes_the_same(python, tmp_path):
    found = []
    for run in ("first", "second"):
        result = python(
            "train.py",
            *("--config=configs/quickstart.py:smoke", *small_model.OPTIONS),
            *("--config.epochs=0.5", f"--workdir={tmp_path / run}"),
        )
        assert (result.returncode, result.stderr) == (0, "")
        metrics = map(json.loads, (tmp_path / run / "metrics.jsonl").open())
        logged = [
            {k: v for k, v in record.items() if k not in TIMED} for record in metrics
        ]
        found.append((logged, programs(tmp_path / "mobilenets/xla")))
    (metrics, kept), (second_metrics, kept_after) = found
    assert second_metrics == metrics
    assert kept_after.keys() == kept.keys()
    names = {name.partition("-")[0] for name in kept}
    assert {"jit_train_step", "jit_eval_step"} <= names
    for name, (written, used) in kept.items():
        assert kept_after[name][0] == written
        assert kept_after[name][1] > used


def test_the_commands_keep_what_they_compile(python, tmp_path):
    from PIL import Image

    from mobilenets.inference import trained
    from tests.inference.test_trained import small_net

    trained.save(small_net(), str(tmp_path / "weights"))
    Image.new("RGB", (32, 32)).save(tmp_path / "photo.png")
    result = python(
        *("-m", "mobilenets", "features", tmp_path),
        *("--weights", tmp_path / "weights", "--output", tmp_path / "f.npz"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    names = {name.partition("-")[0] for name in programs(tmp_path / "mobilenets/xla")}
    assert "jit_run" in names


def test_it_can_be_turned_off(python, tmp_path):
    result = python("-c", SMALL, JAX_ENABLE_COMPILATION_CACHE="false")
    assert (result.returncode, result.stderr) == (0, "")
    assert not (tmp_path / "mobilenets").exists()


@pytest.mark.parametrize(
    "command",
    [
        "train.py --config=configs/quickstart.py:smoke --workdir=run",
        "-m mobilenets profile mobilenet_v2 --memory --batch 1",
        "-m mobilenets features images --weights weights --output features.npz",
        "-m mobilenets pretrained",
    ],
)
def test_a_value_that_jax_does_not_understand_is_one_sentence(python, command):
    result = python(*command.split(), JAX_ENABLE_COMPILATION_CACHE="maybe")
    assert result.returncode == 1
    assert result.stderr.startswith("error: JAX cannot be used: invalid truth value")
    assert len(result.stderr.splitlines()) == 1


def test_the_folder_of_the_environment_wins(python, tmp_path):
    other = tmp_path / "other"
    result = python("-c", SMALL, JAX_COMPILATION_CACHE_DIR=str(other))
    assert (result.returncode, result.stderr) == (0, "")
    assert len(list(other.iterdir())) >= 8
    assert not (tmp_path / "mobilenets").exists()


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_a_folder_that_cannot_be_written_costs_no_run(python, tmp_path, variable):
    path = tmp_path / "file"
    path.touch()
    result = python("-c", SMALL, **{variable: str(path)})
    assert result.returncode == 0
    assert result.stderr.startswith("warning: compiled programs are not cached: ")
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_a_killed_process_left_is_removed(python, tmp_path):
    python("-c", SMALL)
    kept = programs(tmp_path / "mobilenets/xla")
    names = sorted(kept)
    cut_off = tmp_path / "mobilenets/xla" / names[0]
    cut_off.write_bytes(b"half")
    cut_off.with_name(names[0].removesuffix("cache") + "atime").unlink()
    result = python("-c", SMALL)
    assert (result.returncode, result.stderr) == (0, "")
    assert programs(tmp_path / "mobilenets/xla").keys() == kept.keys()
    assert cut_off.read_bytes() != b"half"


def test_its_size_is_bounded(python, tmp_path):
    bound = "import mobilenets.runtime.compilation_cache as c; c.MOST_BYTES = 10_000\n"
    sizes = []
    for code in (SMALL, bound + SMALL.replace("x + number", "x - number + 2 * number")):
        result = python("-c", code)
        assert (result.returncode, result.stderr) == (0, "")
        kept = (tmp_path / "mobilenets/xla").glob("*-cache")
        sizes.append(sum(path.stat().st_size for path in kept))
    assert sizes[0] > 10_000
    assert 0 < sizes[1] <= 10_000
