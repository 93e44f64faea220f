"""The picture of the training curves."""

import itertools
import json

from matplotlib.figure import Figure

from mobilenets.runs import workdir
from mobilenets.training.curves import draw_training_curves


def test_the_labels_of_a_panel_do_not_reach_into_another(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    record = {"train/loss": 123456.5, "train/top1": 0.5}
    lines = [
        json.dumps({"step": i, "train/learning_rate": 1e-4 / i, **record})
        for i in (1, 2, 3)
    ]
    files = workdir.of(str(tmp_path))
    files.metrics.write_text("\n".join(lines) + "\n")
    draw_training_curves(files, files.training_curves, "top1", ["val"])
    (figure,) = figures
    figure.draw_without_rendering()
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    for left, right in itertools.pairwise(boxes):
        assert left.x1 <= right.x0
