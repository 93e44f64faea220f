"""Geolocalization: its cells, its evaluation, its runs, from the table to the map."""

import csv
import json
import math

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from PIL import ExifTags, Image

from configs import geolocalization_quickstart
from mobilenets import UserError
from mobilenets.config import check
from mobilenets.data.sources.base import Record
from mobilenets.evaluation.evaluator import Evaluator
from mobilenets.geography.cells import NO_CELL
from mobilenets.geography.sphere import Place
from mobilenets.inference import trained
from mobilenets.metrics.distances import rows
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.build import build
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests.inference.test_places import PLACES, TOKENS, net_of_cells
from tests.inference.test_trained import small_net
from tests.training.test_resume import assert_same_bits, interrupt, kept_steps, sigterm


class Photos:
    """Black images of 32 pixels; the first red values are the scores of the cells."""

    names = ()
    upright = False

    def __init__(self, places, scores=None):
        self.places = np.array(places, float)
        self.scores = scores

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        image = np.zeros((32, 32, 3), np.uint8)
        if self.scores:
            image[0, : len(self.scores[index]), 0] = self.scores[index]
        return Record(image, Place(*self.places[index].tolist()), f"image {index}")


def make_config(**changes):
    """Painted scenes at 32 pixels; six steps an epoch, evaluated every third."""
    config = geolocalization_quickstart.get_config()
    config.model.resolution = 32
    config.task.max_images_per_cell = 30
    config.task.min_images_per_cell = 4
    config.dataset.train_split = "train[:100]"
    config.dataset.eval_split = "validation[:41]"
    config.batch_size = 16
    config.epochs = 2.0
    config.log_every_steps = 2
    config.evaluate_every_epochs = 0.5
    config.dataset = changes.pop("dataset", config.dataset)
    config.update(changes)
    return check.check(config)


def task_of(train, val, most=2, fewest=2, **changes):
    limits = {"max_images_per_cell": most, "min_images_per_cell": fewest}
    config = make_config(task={"name": "geolocalization", **limits}, **changes)
    return make_task(config, sources={"train": train, "val": val})


# Two near 0, 0; two on the other side of the earth; one alone at the pole.
TRAINED = [(0, 1), (0, 3), (2, 179), (-2, -179), (89, 10)]
# In the first cell, in the second one over the date line, at the pole in no cell.
SEEN = [(0, 2), (0, -179.9), (89, 10), (1, 2)]
SCORES = [(9, 1), (3, 1), (2, 8), (1, 9)]


def mesh_of(devices):
    return jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )


class FirstPixels(nn.Module):
    """The logits are the first two red values."""

    @nn.compact
    def __call__(self, images, train=False):
        return images[:, 0, :2, 0], {}


def test_the_cells_are_those_of_the_images_to_train(capsys):
    task = task_of(Photos(TRAINED), Photos(SEEN))
    assert task.class_names == ("1", "7")
    assert task.places == ((0.0, 2.0), pytest.approx((0.0, 180.0)))
    assert task.train_size == 4  # the one at the pole is not trained on
    told = capsys.readouterr().out.replace("\n", " ")
    assert "4 images to train are in 2 cells." in told
    assert "left out, since their cells have fewer than 2: 1 (cells: 1)." in told
    assert task.description["places"][0] == [0.0, 2.0]
    assert task.data_facts == {"class_names": ["1", "7"], "train_size": 4}
    assert task.eval_sizes == {"val": 4}
    assert "4 images of 2 cells" in task.summary


def test_every_image_to_train_is_in_its_cell():
    task = task_of(Photos(TRAINED), Photos(SEEN), batch_size=4)
    batches = task.train_batches()
    labels = next(batches)["label"]
    batches.close()
    assert sorted(labels.tolist()) == [0, 0, 1, 1]
    assert labels.dtype == np.int32
    assert task.in_words(labels[0]) in ("0.00° N, 2.00° E", "0.00° N, 180.00° E")


@pytest.mark.parametrize(("batch_size", "devices"), [(3, 1), (8, 4)])
def test_an_evaluation_counts_all_images_also_those_of_no_cell(batch_size, devices):
    task = task_of(
        Photos(TRAINED),
        Photos(SEEN, SCORES),
        batch_size=batch_size,
        preprocessing={"crop_fraction": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3},
    )
    task.model = FirstPixels()
    evaluator = Evaluator(task, mesh_of(devices), task.report_metric)
    total = evaluator.totals("val", {"raw": {}})["raw"]
    located = rows(total)
    assert located["label"].tolist() == [0, 1, NO_CELL, 0]
    assert located["predicted"].tolist() == [0, 0, 1, 1]
    found = task.metric.compute(total)
    assert (found["count"], found["in_a_cell"]) == (4, 0.75)
    assert found["cell_accuracy"] == 0.25
    # The others are far on the other side, or at the pole.
    assert found["within_1_km"] == found["within_2500_km"] == 0.25
    assert task.by_class(total) == {
        "1": {"images": 2, "accuracy": 0.5},
        "7": {"images": 1, "accuracy": 0},
    }


def test_the_report_has_all_images_and_a_map(tmp_path):
    task = task_of(Photos(TRAINED), Photos(SEEN, SCORES))
    task.model = FirstPixels()
    total = Evaluator(task, mesh_of(1)).totals("val", {"raw": {}})["raw"]
    table, picture = task.write_report("val", total, tmp_path)
    with table.open(newline="") as file:
        lines = [*csv.DictReader(file)]
    assert [line["image"] for line in lines] == list("0123")
    assert [line["cell"] for line in lines] == ["1", "7", "", "1"]
    assert float(lines[1]["longitude"]) == pytest.approx(-179.9, abs=1e-4)
    assert float(lines[0]["distance_km"]) < 0.01
    with Image.open(picture) as drawn:
        assert len(drawn.convert("RGB").getcolors(1 << 24)) > 20


def test_the_farthest_predictions_are_drawn(tmp_path, monkeypatch):
    task = task_of(Photos(TRAINED), Photos(SEEN, SCORES))
    drawn = {}
    monkeypatch.setattr(
        "mobilenets.tasks.place_pictures.draw_images",
        lambda titled, heading, path: drawn.update(titled=titled, heading=heading),
    )
    scores = np.array(SCORES, np.float32)

    def predict(batch):
        return scores[batch["index"]]

    task.draw_predictions(predict, tmp_path / "p.png")
    titles = [title for _, title, _ in drawn["titled"]]
    degree = math.pi * 6371.0088 / 180
    expected = [178.1 * degree, 177.76 * degree, 91 * degree, 0]
    for title, km in zip(titles, expected, strict=True):
        found = float(title.split(" km off")[0].replace(",", ""))
        assert found == pytest.approx(km, rel=2e-3, abs=1)
    assert "The 4 of 4 images" in drawn["heading"]
    assert titles[-1].endswith("true: 0.00° N, 2.00° E")


# Weights.


def small_task(config, at_batch=0):
    task = make_task(config)
    spec = with_backbone(task.spec, blocks=task.spec.backbone.blocks[:2])
    task.spec = spec
    task.model = build(spec, len(task.class_names))
    if at_batch:
        interrupt(task, at_batch, sigterm)
    return task


@pytest.mark.slow
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path):
    config, whole, resumed = make_config(), tmp_path / "whole", tmp_path / "resumed"
    train(small_task(config), str(whole))
    with pytest.raises(SystemExit):
        train(small_task(config, 5), str(resumed))
    assert 5 in kept_steps(resumed)
    train(small_task(config), str(resumed))
    nets = [trained.load(str(folder)) for folder in (whole, resumed)]
    assert_same_bits(*(net.variables for net in nets))
    assert nets[0].description == nets[1].description
    assert nets[0].description.places is not None

    def evaluations(folder):
        records = read_metrics(folder / "metrics.jsonl")
        return [r for r in records if "val/ema/within_750_km" in r]

    assert evaluations(resumed) == evaluations(whole)
    assert {r["val/raw/count"] for r in evaluations(whole)} == {41}


def test_other_places_are_other_data(tmp_path):
    """A photograph moved within its cell: the tokens are the same, not the places."""
    photos, moved = Photos(TRAINED), Photos([(0, 2), *TRAINED[1:]])
    limits = {"max_images_per_cell": 2, "min_images_per_cell": 2}
    config = make_config(
        task={"name": "geolocalization", **limits}, epochs=0.2, batch_size=4
    )
    tasks = [
        make_task(config, sources={"train": source, "val": photos})
        for source in (photos, moved)
    ]
    assert tasks[0].data_facts == tasks[1].data_facts
    assert tasks[0].description["places"] != tasks[1].description["places"]


def description_of(**changes):
    task = task_of(Photos(TRAINED), Photos(SEEN))
    return json.loads(json.dumps(task.description)) | changes


def test_an_evaluation_takes_the_cells_of_the_weights():
    description = trained.Description.model_validate_json(json.dumps(description_of()))
    config = make_config()
    task = make_task(config, description, {"val": Photos([(1, 1), (50, 50)])})
    assert task.class_names == ("1", "7")
    assert task.places == description.places
    batches = task.eval_batches("val")
    assert next(batches)["label"][:2].tolist() == [0, NO_CELL]
    batches.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"places": None}, "the task is geolocalization, but there are no places"),
        (
            {"task": "classification"},
            "the task is classification, but there are places",
        ),
        ({"places": [[0, 2]]}, "2 cells have 1 places"),
        ({"places": [[0, 2], [91, 0]]}, "91.0, 0.0 is no place on the earth"),
        ({"class_names": ["1", "cat"]}, "'cat' is no cell of S2"),
        ({"class_names": ["7", "1"]}, "'1' is no cell of S2, or does not follow"),
    ],
)
def test_damaged_cells_of_weights_are_one_sentence(changes, reason, tmp_path):
    text = json.dumps(description_of(**changes))
    (tmp_path / "network.json").write_text(text)
    with pytest.raises(UserError, match="cannot be read") as error:
        trained.describe(str(tmp_path))
    assert reason in str(error.value)


@pytest.fixture
def teacher(tmp_path):
    trained.save(net_of_cells(), str(tmp_path / "teacher"))
    return str(tmp_path / "teacher")


def task_with(teacher, train, label_weight):
    distillation = {"label_weight": label_weight}
    changes = {"teacher": teacher, "distillation": distillation}
    return task_of(train, Photos(SEEN), batch_size=6, **changes)


@pytest.mark.parametrize("label_weight", [0.0, 0.5])
def test_a_student_has_the_cells_of_its_teacher(teacher, capsys, label_weight):
    nan = float("nan")
    train = Photos([*SEEN, (50, -60), (nan, nan)])
    task = task_with(teacher, train, label_weight)
    assert (task.class_names, task.places) == (TOKENS, PLACES)
    batches = task.train_batches()
    labels = next(batches)["label"].tolist()
    batches.close()
    told = "3 of the 6 images to train are in a cell of the teacher."
    assert (told in capsys.readouterr().out.replace("\n", " ")) == bool(label_weight)
    # In the third cell one, in the first two; none at the north pole and in Canada.
    assert sorted(labels) == ([-1, -1, -1, 0, 0, 2] if label_weight else [-1] * 6)
    assert task.in_words(2) == "17.00° S, 179.50° E"
    assert task.in_words(-1) == "no label"


def test_labels_that_count_are_of_some_images(teacher):
    with pytest.raises(
        UserError, match="None of the 1 images to train is in a cell of"
    ):
        task_with(teacher, Photos([(50, -60)]), 0.5)
    assert task_with(teacher, Photos([(50, -60)]), 0.0).train_size == 1


def test_a_teacher_without_cells_is_refused(tmp_path):
    trained.save(small_net(classes=("ant", "bee")), str(tmp_path / "teacher"))
    with pytest.raises(
        UserError, match=r"The teacher in .* needs a teacher for geolocalization"
    ):
        task_with(str(tmp_path / "teacher"), Photos(SEEN), 0.0)


def test_a_teacher_needs_no_places_to_train(teacher, tmp_path):
    """Neither in a table nor in a folder of photographs; those to evaluate have one."""
    for split in ("train", "validation"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for name in "ab":
            save_photo(tmp_path / "photos" / split / f"{name}.jpg", split)
    table = tmp_path / "places.csv"
    rows = ["path,split,latitude,longitude", "photos/train/a.jpg,train,,"]
    rows += ["photos/validation/a.jpg,validation,1,2"]
    table.write_text("\n".join(rows) + "\n")
    for dataset, sizes in (
        ({"table": str(table)}, (1, 1)),
        ({"folder": str(tmp_path / "photos")}, (2, 2)),
    ):
        task = make_task(make_config(teacher=teacher, dataset=dataset))
        assert (task.train_size, task.eval_sizes["val"]) == sizes
        with pytest.raises(
            UserError, match=r"latitude is empty|no photograph with a pl"
        ):
            make_task(make_config(dataset=dataset))


def save_photo(file, split):
    """One to evaluate has a place."""
    exif = Image.Exif()
    if split == "validation":
        exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (1, 0, 0), 3: "E", 4: (2, 0, 0)}
    Image.new("RGB", (8, 8)).save(file, exif=exif)


# Mistakes.


@pytest.mark.parametrize(
    ("most", "fewest", "sentence"),
    [
        (2, 3, "min_images_per_cell 3 is above max_images_per_cell 2"),
        (9, 4, "No cell has task.min_images_per_cell, 4, of the 5 images to train"),
        (3, 3, "only one cell with at least task.min_images_per_cell, 3"),
    ],
)
def test_a_partition_of_nothing_is_refused(most, fewest, sentence):
    places = [*TRAINED[:-1], (1, 1)] if fewest == 3 else TRAINED
    with pytest.raises(UserError) as error:
        task_of(Photos(places), Photos(SEEN), most, fewest)
    assert sentence in str(error.value)


class WithoutPlaces(Photos):
    places = None

    def __init__(self):
        pass

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return Record(np.zeros((32, 32, 3), np.uint8), Place(1, 2), "")


def test_a_source_from_python_needs_places():
    with pytest.raises(
        UserError, match=r"'train' needs an array called places, \[1, 2\]"
    ):
        task_of(WithoutPlaces(), Photos(SEEN))
    with pytest.raises(UserError, match="'val' must be latitudes from -90 to 90"):
        task_of(Photos(TRAINED), Photos([(0, 0), (float("nan"), 0)]))


def test_weights_of_another_task_have_no_cells():
    values = description_of(task="classification", places=None)
    description = trained.Description.model_validate_json(json.dumps(values))
    with pytest.raises(UserError, match="trained for classification and have no cells"):
        make_task(make_config(), description, {"val": Photos(SEEN)})


# A table, from the file to the map.


# Red is Paris, green Sydney, blue the islands of Fiji on both sides of the date line.
TOWNS = {(220, 20, 20): (48.86, 2.35), (20, 220, 20): (-33.86, 151.2)}
FIJI = (20, 20, 220)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("table"), np.random.default_rng(0)
    with (folder / "places.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", "latitude", "longitude"])
        for i in range(90):
            color = [*TOWNS, FIJI][i % 3]
            west = (-17.0, -179.9 if i % 2 else 179.9)
            latitude, longitude = TOWNS.get(color, west)
            latitude += rng.uniform(-0.01, 0.01)
            Image.new("RGB", (32, 32), color).save(folder / f"{i}.png")
            split = "train" if i < 72 else "validation"
            writer.writerow([f"{i}.png", split, latitude, longitude])
        Image.new("RGB", (32, 32), FIJI).save(folder / "pole.png")
        writer.writerow(["pole.png", "train", -90, 0])
    return folder / "places.csv"


TINY = """
import mobilenets
from mobilenets.networks.spec import inverted_residual

def tiny():
    backbone = mobilenets.BackboneSpec(
        name="tiny",
        resolution=16,
        stem_channels=8,
        act="relu6",
        blocks=(inverted_residual(8, 16, 16, kernel_size=3, stride=2, act="relu6"),),
        bn_momentum=0.9,
        bn_epsilon=1e-3,
        initialization="slim",
    )
    return mobilenets.ClassifierSpec(backbone, dropout_rate=0.0)
"""


@pytest.mark.slow
def test_a_table_of_places_from_training_to_the_map(run, table, tmp_path):
    workdir = tmp_path / "run"
    (tmp_path / "tiny.py").write_text(TINY)
    done = run(
        *("train", "--config", "geolocalization_quickstart:smoke"),
        *("--workdir", workdir),
        *(f"--config.dataset.table={table}", "--config.epochs=12"),
        *("--config.dataset.train_split=train", "--config.ema_decay=0.5"),
        "--config.dataset.eval_split=validation",
        "--config.evaluate_every_epochs=12",
        "--config.optimizer.learning_rate=0.01",
        "--config.task.max_images_per_cell=30",
        f"--config.model.spec={tmp_path / 'tiny.py'}:tiny",
    )
    assert done.exit_code == 0, done.stderr
    told = done.stdout.replace("\n", " ")
    assert "left out, since their cells have fewer than 5: 1 (cells: 1)." in told
    last = read_metrics(workdir / "metrics.jsonl")[-1]
    assert last["val/ema/count"] == 18
    assert last["val/raw/within_25_km"] > 0.9, last
    for name in ("predictions.png", "first_batch.png"):
        assert (workdir / name).exists()

    evaluated = run(
        *("eval", "--workdir", workdir, "--weights", "raw"),
        *("--report", tmp_path / "report"),
    )
    assert evaluated.exit_code == 0, evaluated.stderr
    assert f"{last['val/raw/within_750_km']:.2%}" in evaluated.stdout
    assert (tmp_path / "report/val_places.png").exists()

    photo = table.parent / "2.png"
    found = run(
        *("predict", photo, "--weights", workdir, "--top", "2"),
        *("--picture", tmp_path / "map.png", "--json", tmp_path / "found.json"),
        *("--csv", tmp_path / "found.csv"),
    )
    assert found.exit_code == 0, found.stderr
    (one,) = json.loads((tmp_path / "found.json").read_text())
    assert one["latitude"] == pytest.approx(-17, abs=0.1)
    assert abs(one["longitude"]) == pytest.approx(180, abs=0.2)
    assert [*one["cells"][0]] == ["cell", "latitude", "longitude", "probability"]
    assert len(one["cells"]) == 2
    assert f"{one['latitude']:.4f}" in found.stdout
    with Image.open(tmp_path / "map.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(1 << 24)) > 20
    net = trained.load(str(workdir))
    pixels = np.broadcast_to(np.uint8(FIJI), (1, 16, 16, 3))
    np.testing.assert_allclose(
        net.locate(pixels), [[one["latitude"], one["longitude"]]]
    )
