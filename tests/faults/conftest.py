"""A run that ended early, of which each test damages a copy.

The toy task's parameter grows by 1 in every step, up to 6. The best of its checkpoints
is that of step 4, the latest that of step 5.
"""

import json
import pathlib
import shutil

import pytest

from mobilenets.training.loop import train
from tests import toy_task


@pytest.fixture(scope="session")
def make_task():
    """Of the run that is damaged, unless other sections of its config are given."""

    def make_task(**changes):
        config = toy_task.make_config(best_metric="val/distance", **changes)
        return toy_task.ToyTask(config)

    return make_task


@pytest.fixture(scope="session")
def stopped(make_task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped") / "run"

    def after_evaluation(step, results):
        if step == 5:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(make_task(), str(folder), after_evaluation)
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"4", "5"}
    return folder


@pytest.fixture
def workdir(stopped, tmp_path):
    return pathlib.Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.fixture
def values():
    """The parameter after every evaluated step, from the records."""

    def values(folder):
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        records = map(json.loads, lines)
        return {r["step"]: r["val/raw/value"] for r in records if "val/raw/value" in r}

    return values
