"""The picture of the first batch: what the network sees, and its labels."""

import contextlib
import re

import numpy as np
from PIL import Image

from mobilenets.config import files
from mobilenets.tasks import pictures
from mobilenets.tasks.registry import make_task

CHANGES = {
    "batch_size": 8,
    "augmentation.rand_augment.layers": 1,
    "augmentation.mixup.alpha": 8.0,
}
SHOW = ("show-batch", "--config", "quickstart:smoke")


def test_the_first_batch_of_the_training_is_drawn_with_its_labels(
    run, tmp_path, monkeypatch
):
    drawn = []
    draw = pictures.draw_images

    def remembered(titled, *others):
        drawn.extend(titled)
        draw(titled, *others)

    monkeypatch.setattr(pictures, "draw_images", remembered)
    words = [f"--config.{key}={value}" for key, value in CHANGES.items()]
    result = run(*SHOW, *words, "--output", tmp_path / "batch.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"Wrote {tmp_path / 'batch.png'}.\n"
    assert np.asarray(Image.open(tmp_path / "batch.png")).std() > 10

    task = make_task(files.configuration("quickstart:smoke", CHANGES))
    with contextlib.closing(task.train_batches()) as batches:
        batch = next(batches)
    np.testing.assert_array_equal([image for image, *_ in drawn], batch["image"])
    names = task.class_names
    for (_, title, _), own, partner in zip(
        drawn, batch["label"], batch["partner_label"], strict=True
    ):
        assert names[own] in title and names[partner] in title
        # The larger share first; of one class alone no share.
        shares = [int(part) for part in re.findall(r" (\d+)%", title)]
        assert sum(shares) == (100 if own != partner else 0)
        assert shares == sorted(shares, reverse=True)


def test_mistakes_are_sentences(run, tmp_path):
    result = run(*SHOW, "--output", tmp_path / "batch.bmp")
    assert (result.exit_code, "must end in .png" in result.stderr) == (1, True)
    result = run(
        *("show-batch", "--config", "ssdlite_quickstart"),
        *("--config.augmentation.cutmix={}", "--output", tmp_path / "batch.png"),
    )
    assert result.exit_code == 1
    assert "augmentation has cutmix, which is for classes or attr" in result.stderr
    assert not (tmp_path / "batch.png").exists()
