"""Pictures never cost a run, and text in them is text."""

import pathlib
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest

from mobilenets.inference import prediction
from mobilenets.tasks import pictures
from mobilenets.training import loop
from mobilenets.training.loop import train

NAMES = ["$$", "cash_$5", r"$\frac{$", "a_b^c", "$x"]
IMAGE = np.zeros((8, 8, 3), np.uint8)


def test_names_with_dollars_are_drawn(tmp_path):
    p = np.eye(5, dtype=np.float32)
    drawn = [(IMAGE, i, p[(i + 1) % 5]) for i in range(5)]
    pictures.draw_predictions(drawn, 9, NAMES, tmp_path / "a.png")
    with_labels = [(IMAGE, np.zeros(5), p[i]) for i in range(5)]
    pictures.draw_attributes(with_labels, 9, NAMES, 0.5, tmp_path / "b.png")
    rows = {name: {"average_precision": 0.5} for name in NAMES}
    pictures.draw_attribute_table(rows, tmp_path / "c.png")
    pictures.draw_confusion(np.eye(5, dtype=np.int64), NAMES, tmp_path / "d.png")
    mistakes = np.array(
        [(0, 1, 0.9), (2, 3, 0.8)],
        [("label", int), ("predicted", int), ("confidence", float)],
    )
    pictures.draw_mistakes([IMAGE] * 2, mistakes, NAMES, tmp_path / "e.png")
    pictures.draw_first_batch([(IMAGE, name) for name in NAMES], tmp_path / "f.png")
    assert len(list(tmp_path.iterdir())) == 6


def test_photographs_with_dollars_in_their_names_are_drawn(tmp_path):
    class Photo:
        path, pixels = pathlib.Path("cash_$5$_$.jpg"), IMAGE

    class Prediction:
        photo, classes, threshold = Photo, [("$$", 0.5), (r"$\a", 0.25)], None

    prediction.draw_predictions([Prediction], tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size


class Killed(BaseException):
    """As a signal that cannot be caught."""


@pytest.fixture
def slow_saves(monkeypatch):
    """The last save takes longer than to draw the curves."""
    finalize = ocp.PyTreeCheckpointHandler.finalize

    def waits(self, directory):
        if "/6." in str(directory):
            time.sleep(0.5)
        finalize(self, directory)

    monkeypatch.setattr(ocp.PyTreeCheckpointHandler, "finalize", waits)
    monkeypatch.setattr(loop, "draw_training_curves", lambda _, path, *__: path.touch())


@pytest.mark.usefixtures("slow_saves")
@pytest.mark.parametrize("error", [ValueError("no such font"), Killed()])
def test_a_run_is_finished_before_it_draws(make_task, tmp_path, capsys, error):
    task = make_task()
    checkpoint = tmp_path / "checkpoints/6/_CHECKPOINT_METADATA"

    def fails(predict, path):
        assert checkpoint.exists()
        path.write_text("half a picture")
        raise error

    task.draw_predictions = fails
    if isinstance(error, Killed):
        with pytest.raises(Killed):
            train(task, str(tmp_path))
    else:
        assert train(task, str(tmp_path))["val"]["raw"]["value"] == 6.0
        warning = "warning: the pictures cannot be drawn: ValueError: no such font."
        assert warning in capsys.readouterr().out
    assert not (tmp_path / "predictions.png").exists()
    train(make_task(), str(tmp_path))  # draws what is missing
    assert "Nothing to do" in capsys.readouterr().out
    # The toy task draws what it predicts for a batch: its parameter.
    assert "6." in (tmp_path / "predictions.png").read_text()
    before = (tmp_path / "predictions.png").stat().st_mtime_ns
    train(make_task(), str(tmp_path))
    assert (tmp_path / "predictions.png").stat().st_mtime_ns == before


def test_the_first_batch_is_drawn_once_before_anything_is_computed(make_task, tmp_path):
    task = make_task()
    train(task, str(tmp_path))
    picture = tmp_path / "first_batch.png"
    assert picture.read_text() == "(8,)"  # as the toy task draws it
    drawn = picture.stat().st_mtime_ns
    assert drawn < (tmp_path / "metrics.jsonl").stat().st_ctime_ns
    picture.unlink()
    train(make_task(), str(tmp_path))
    assert not picture.exists()


def test_a_first_batch_that_cannot_be_drawn_costs_a_warning(
    make_task, tmp_path, capsys
):
    task = make_task()

    def fails(batch, path):
        path.write_text("half a picture")
        raise ValueError("no such font")

    task.draw_first_batch = fails
    assert train(task, str(tmp_path))["val"]["raw"]["value"] == 6.0
    warning = "warning: the first batch cannot be drawn: ValueError: no such font. "
    assert f"{warning}The run continues." in capsys.readouterr().out
    assert not (tmp_path / "first_batch.png").exists()
