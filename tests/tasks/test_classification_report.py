"""What a classification tells of an evaluation beside its metrics."""

import csv

import numpy as np
import pytest
from PIL import Image

from configs import quickstart
from mobilenets import UserError
from mobilenets.config import check
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.renamed import with_names
from mobilenets.tasks.registry import make_task


def make_config(**evals):
    config = quickstart.get_config("smoke")
    config.evals = evals
    return check.check(config)


@pytest.fixture(scope="module")
def task():
    return make_task(make_config(few={"split": "train[:7]"}))


def total_of(task, name):
    """As if everything were taken for trousers, the second class."""
    batches = list(task.eval_batches(name))
    logits = np.zeros((len(batches[0]["mask"]), 10), np.float32)
    logits[:, 1] = 2.0
    total = task.report_metric.empty()
    for batch in batches:
        update = task.report_metric.update((logits, {}), batch)
        total = task.report_metric.merge(total, update)
    labels = [label for b in batches for label in b["label"][b["mask"] > 0]]
    return total, np.array(labels)


def test_further_sets_are_read_after_val(task):
    assert list(task.eval_sizes.items()) == [("val", 40), ("few", 7)]
    (batch,) = task.eval_batches("few")
    assert batch["index"].tolist() == [*range(7), *[-1] * 9]


def test_the_numbers_of_each_class(task):
    total, labels = total_of(task, "val")
    for i, (name, numbers) in enumerate(task.by_class(total).items()):
        assert name == task.class_names[i]
        assert numbers["images"] == (labels == i).sum()
        expected = np.nan if not (labels == i).any() else float(i == 1)
        np.testing.assert_equal(numbers["accuracy"], expected)


def test_the_report_is_a_table_and_two_pictures(task, tmp_path):
    total, labels = total_of(task, "few")
    written = task.write_report("few", total, tmp_path)
    assert [path.name for path in written] == [
        "few_confusion.csv",
        "few_mistakes.png",
        "few_confusion.png",
    ]
    header, *rows = csv.reader((tmp_path / "few_confusion.csv").open())
    assert header == ["true", *task.class_names]
    counts = {row[0]: [int(n) for n in row[1:]] for row in rows}
    for i, name in enumerate(task.class_names):
        assert counts[name] == [0, (labels == i).sum(), *[0] * 8]
    for path in written[1:]:
        assert np.asarray(Image.open(path)).std() > 1
    # All are equally sure, so that they come in the order of the source.
    wrong = [i for i, label in enumerate(labels) if label != 1]
    assert total["mistakes"]["index"].tolist() == wrong
    (batch,) = task.eval_batches("few")
    np.testing.assert_array_equal(
        task.eval_image("few", wrong[-1]), batch["image"][wrong[-1]]
    )


class SeveralClasses:
    """Images of any number of classes, which are numbered in another order."""

    has_several, upright = True, False

    def __init__(self, names, targets):
        self.names, self._targets = names, targets

    def __len__(self):
        return len(self._targets)

    def __getitem__(self, index):
        image = np.zeros((28, 28, 3), np.uint8)
        return Record(image, self._targets[index], str(index))


def test_images_may_have_several_classes_or_none(task):
    names = task.class_names
    source = SeveralClasses(names[::-1], [(9, 0), (), (2,)])
    few = with_names(source, names, "The set")
    labels = task.labels_to_evaluate(few)
    found = [labels(few[i].target) for i in range(3)]
    assert [np.flatnonzero(f["right"]).tolist() for f in found] == [[0, 9], [], [7]]
    assert [int(f["label"]) for f in found] == [0, 0, 7]
    assert [f["mask"] for f in found] == [1, 0, 1]
    assert labels(None)["mask"] == 0
    sources = {"train": task._train, "val": source}
    again = make_task(make_config(), sources=sources)
    (batch,) = again.eval_batches("val")
    assert batch["mask"].tolist() == [1, 0, 1] + [0] * 13


def test_a_set_with_other_classes_is_refused(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "validation" / name).mkdir(parents=True)
        image = Image.new("RGB", (8, 8))
        image.save(tmp_path / "validation" / name / "a.png")
    config = make_config(pets={"folder": str(tmp_path)})
    with pytest.raises(UserError, match="evaluation set pets has cat, dog, which"):
        make_task(config)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("val", "the run's own data set has that name"),
        ("train", "the run's own data set has that name"),
        ("a/b", "a name may have letters, digits and _"),
    ],
)
def test_names_of_sets_are_plain(name, message):
    with pytest.raises(UserError, match=f"evals.{name}: {message}"):
        make_config(**{name: {}})
