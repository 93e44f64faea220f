"""A broken image costs no training: it is found before, named, or passed over."""

import collections

import numpy as np
import pytest
from PIL import Image

import mobilenets
from mobilenets.data import pipeline
from mobilenets.data.sources.base import Record
from mobilenets.errors import BrokenImage
from mobilenets.runs.checkpoint import Checkpoints
from mobilenets.runs.metric_log import read_metrics
from mobilenets.runs.workdir import of_run
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests import toy_task


class BrokenAt(toy_task.ToyTask):
    """The batch of one step has a broken image."""

    def __init__(self, step):
        super().__init__(toy_task.make_config(evaluate_every_epochs=100.0))
        self.step = step

    def train_batches(self, first_step=0):
        whole = super().train_batches(first_step)

        def batches():
            for _ in range(first_step + 1, self.step):
                yield next(whole)
            raise BrokenImage("Cannot decode the image bad.jpg: it is cut off.")

        return toy_task.as_batches(batches())


def latest(folder):
    checkpoints = Checkpoints(of_run(str(folder)), read_only=True)
    try:
        return checkpoints.latest_step
    finally:
        checkpoints.close()


def test_a_broken_image_costs_no_training(tmp_path):
    task = BrokenAt(step=5)
    with pytest.raises(BrokenImage, match=r"bad\.jpg"):
        train(task, str(tmp_path))
    assert latest(tmp_path) == 4
    with pytest.raises(BrokenImage, match=r"bad\.jpg"):  # the same step
        train(task, str(tmp_path))
    assert latest(tmp_path) == 4
    task.train_batches = super(BrokenAt, task).train_batches  # it is replaced
    results = train(task, str(tmp_path))
    assert results["val"]["raw"]["value"] == 6.0  # a step of 1 in each of six epochs


def test_an_evaluation_that_was_not_made_is_made_first(tmp_path, capsys):
    """Also the last one, after which nothing is left to train."""

    def run(folder, *broken):
        task = toy_task.ToyTask(toy_task.make_config(evaluate_every_epochs=3.0))
        whole, done = task.eval_batches, []

        def eval_batches(name):
            done.append(name)
            if len(done) in broken:
                raise BrokenImage("Cannot decode the image bad.jpg: it is cut off.")
            return whole(name)

        task.eval_batches = eval_batches
        return train(task, str(folder))

    def evaluations(folder):
        records = read_metrics(folder / "metrics.jsonl")
        return [r for r in records if "val/ema/value" in r]

    expected = run(tmp_path / "whole")
    folder = tmp_path / "broken"
    for number, saved in ((1, 3), (2, 6), (1, 6)):
        with pytest.raises(BrokenImage, match=r"bad\.jpg"):
            run(folder, number)
        assert latest(folder) == saved
    assert run(folder) == expected
    assert evaluations(folder) == evaluations(tmp_path / "whole")
    assert {r["step"] for r in evaluations(folder)} == {3, 6}
    assert (folder / "predictions.png").exists()
    assert run(folder) == expected
    assert "Nothing to do" in capsys.readouterr().out


class Numbered:
    """Twelve records, of which some are broken."""

    names, upright = tuple(map(str, range(12))), False

    def __init__(self, *broken):
        self.broken = broken

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return Record(b"" if index in self.broken else b"1", index, f"{index}.jpg")


def load(record, rng=None):
    if not record.image:
        raise BrokenImage(f"Cannot decode the image {record.origin}: it is empty.")
    return {"label": np.int64(record.target)}


def labels_of(source, steps, most, first_step=0, workers=0):
    batches = pipeline.train_batches(source, load, 4, 7, workers, first_step, most)
    try:
        return np.stack([next(batches)["label"] for _ in range(steps)])
    finally:
        batches.close()


def test_the_record_and_the_seed_choose_what_stands_in(capsys):
    whole = labels_of(Numbered(), 9, 0)
    found = labels_of(Numbered(3, 8), 9, 2)
    is_bad = np.isin(whole, (3, 8))
    np.testing.assert_array_equal(found[~is_bad], whole[~is_bad])
    assert not np.isin(found, (3, 8)).any()
    for number in (3, 8):  # in each of three epochs, whatever the step
        assert len({*found[whole == number].tolist()}) == 1
    np.testing.assert_array_equal(labels_of(Numbered(3, 8), 5, 2, 4), found[4:])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4  # two by each of the two pipelines
    assert told[0].startswith("Cannot decode the image ")
    assert told[0].endswith("Passed over 1 of at most 2.")


class PassesOver(toy_task.ToyTask):
    """Trains on twelve records, of which one is broken."""

    def train_batches(self, first_step=0):
        def load_input(record, rng):
            load(record)
            return {"x": np.float32(1)}

        most = self.config.dataset.max_bad_images
        return pipeline.train_batches(
            Numbered(3), load_input, 8, 7, 0, first_step, most
        )


def test_what_is_passed_over_is_counted_in_the_log(tmp_path):
    dataset = {"name": "fashion_mnist_subset", "max_bad_images": 5}
    config = toy_task.make_config(dataset=dataset, log_every_steps=1)
    train(PassesOver(config), str(tmp_path))
    records = read_metrics(tmp_path / "metrics.jsonl")
    counts = [r["train/bad_images"] for r in records if "train/loss" in r]
    # A record of twelve is met in the first or the second batch of eight.
    assert counts in ([1] * 6, [0] + [1] * 5)


def test_workers_pass_over_the_same_images():
    expected = labels_of(Numbered(3, 8), 4, 2)
    np.testing.assert_array_equal(labels_of(Numbered(3, 8), 4, 2, workers=1), expected)


@pytest.mark.parametrize("most", [0, 1])
def test_one_broken_image_too_many_is_named_with_what_to_do(most):
    told = f"max_bad_images, now {most}, to pass over broken images; `mobilenets check`"
    with pytest.raises(BrokenImage, match=rf"the image [38]\.jpg: .*{told}"):
        labels_of(Numbered(3, 8), 9, most)


def test_a_source_of_broken_images_alone_is_no_endless_search():
    with pytest.raises(BrokenImage):
        labels_of(Numbered(*range(12)), 1, 12)


def test_an_evaluation_leaves_broken_images_out():
    padding = {"label": np.int64(-1)}
    batches = [*pipeline.eval_batches(Numbered(3, 8), load, padding, 5, 0, 2)]
    rows = [
        (int(label), mask)
        for batch in batches
        for label, mask in zip(batch["label"], batch["mask"], strict=True)
    ]
    assert {*batches[0]} == {"label", "mask", "index"}
    counted = [label for label, mask in rows if mask]
    assert counted == [0, 1, 2, 4, 5, 6, 7, 9, 10, 11]
    assert collections.Counter(label for label, mask in rows if not mask) == {-1: 5}
    with pytest.raises(BrokenImage, match="now 1, to pass over"):
        [*pipeline.eval_batches(Numbered(3, 8), load, padding, 5, 0, 1)]


@pytest.fixture
def photos(tmp_path):
    """Four photographs of each class in two splits, two of them broken."""
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (9, 9)).save(tmp_path / split / name / f"{i}.png")
    (tmp_path / "train/cat/2.png").write_bytes(b"no image")
    (tmp_path / "validation/dog/1.png").write_bytes(b"")
    return tmp_path


def test_the_check_lists_every_broken_image(run, photos):
    check = (
        *("check", "--config", "quickstart"),
        f"--config.dataset.folder={photos}",
    )
    result = run(*check)
    assert result.exit_code == 1
    assert "Of 16 images, 2 are broken: remove or replace them, or" in result.stdout
    first, second = result.stderr.splitlines()
    assert first.startswith(f"error: Cannot decode the image {photos}/train/cat/2.png")
    assert f"{photos}/validation/dog/1.png: the file is empty" in second
    for path in ("train/cat/2.png", "validation/dog/1.png"):
        Image.new("RGB", (9, 9)).save(photos / path)
    result = run(*check)
    assert result.exit_code == 0
    assert result.stdout == "All 16 images can be read.\n"


def test_a_run_passes_over_what_its_config_allows(photos, capsys):
    values = {"dataset.folder": str(photos), "dataset.max_bad_images": 1}
    values |= {"batch_size": 4, "model.resolution": 32}
    task = make_task(mobilenets.load_config("quickstart", values))
    for _ in range(2):
        assert sum(batch["mask"].sum() for batch in task.eval_batches("val")) == 7
    assert capsys.readouterr().out.count("Passed over 1 of at most 1.") == 1
    batches = task.train_batches()
    shapes = {next(batches)["image"].shape for _ in range(4)}
    batches.close()
    assert shapes == {(4, 32, 32, 3)}
