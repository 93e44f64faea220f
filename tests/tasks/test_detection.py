"""Detection as a task: trained, resumed, evaluated, used, and started from weights."""

import contextlib
import json
import operator
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from PIL import Image

import mobilenets
from mobilenets import UserError
from mobilenets.config import check, values
from mobilenets.config.schema import Preprocessing
from mobilenets.data.sources.boxed_folder import BoxedFolderSource
from mobilenets.evaluation.evaluator import Evaluator
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures import replace
from mobilenets.networks.architectures.ssd import LITE_V3, get_detector
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks import box_pictures, pictures
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests.small_detector import small_backbone, small_detector
from tests.toy_task import as_batches

COLORS = {"red": (220, 40, 40), "blue": (40, 40, 220)}


def write_photographs(root, split, count, seed):
    """Grey photographs with a red and a blue box, or with none, as COCO's JSON."""
    rng = np.random.default_rng(seed)
    (root / split).mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        pixels = np.full((48, 80, 3), 120, np.uint8)
        name = f"{number}.png"
        images.append(dict(id=number + 100, file_name=name, width=80, height=48))
        for category, color in enumerate(COLORS.values(), start=5):
            if number % 5 == 4:
                continue
            w, h = rng.integers(16, 30, 2)
            x, y = rng.integers(0, 80 - w), rng.integers(0, 48 - h)
            pixels[y : y + h, x : x + w] = color
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number + 100,
                    category_id=category,
                    bbox=[int(v) for v in (x, y, w, h)],
                    area=int(w * h),
                    iscrowd=0,
                )
            )
        Image.fromarray(pixels).save(root / split / name)
    categories = [dict(id=i, name=name) for i, name in enumerate(COLORS, start=5)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (root / split / "_annotations.coco.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    write_photographs(root, "train", 24, seed=0)
    write_photographs(root, "valid", 11, seed=1)
    return root


def make_config(photographs, **changes):
    """Three steps an epoch, each evaluated."""
    config = values.defaults()
    config.task = dict(name="detection")
    config.model = {} if "init_from" in changes else dict(spec=small_detector())
    config.dataset = dict(folder=str(photographs), eval_split="valid")
    if "init_from" not in changes:
        config.preprocessing.resize = "squash"
        config.preprocessing.crop_fraction = 1.0
    config.augmentation = dict(ssd_crop={}, flip={})
    config.batch_size = 8
    config.epochs = 2.0
    config.optimizer.name = "adamw"
    config.ema_decay = 0.5
    config.log_every_steps = 1
    config.update(changes)
    return check.check(config)


@pytest.fixture(scope="module")
def run_folder(photographs, tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("run") / "run"
    train(make_task(make_config(photographs)), str(folder))
    return folder


def test_a_run_trains_and_writes_what_it_found(run_folder):
    records = read_metrics(run_folder / "metrics.jsonl")
    losses = [r["train/loss"] for r in records if "train/loss" in r]
    assert len(losses) == 6 and losses[-1] < losses[0]
    parts = records[0]
    assert parts["train/loss"] == pytest.approx(
        parts["train/box_loss"] + parts["train/class_loss"], rel=1e-5
    )
    assert {"val/raw/AP", "val/ema/AP50", "val/ema/AR100"} <= records[-1].keys()
    with Image.open(run_folder / "predictions.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    with Image.open(run_folder / "first_batch.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    is_green = np.abs(pixels - box_pictures._GREEN).max(-1) < 30
    assert is_green.sum() > 500  # the lines of boxes
    description = trained.describe(str(run_folder))
    assert (description.task, description.class_names) == ("detection", (*COLORS,))
    assert description.network == small_detector()


def test_an_interrupted_run_ends_as_one_that_was_not(run_folder, photographs, tmp_path):
    task = make_task(make_config(photographs))
    batches = task.train_batches

    def interrupted(first_step=0):
        with contextlib.closing(batches(first_step)) as real:
            for number, batch in enumerate(real, 1):
                if number == 5:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

    task.train_batches = lambda first_step=0: as_batches(interrupted(first_step))
    with pytest.raises(SystemExit):
        train(task, str(tmp_path / "run"))
    train(make_task(make_config(photographs)), str(tmp_path / "run"))
    expected, found = (trained.load(str(f)) for f in (run_folder, tmp_path / "run"))
    jax.tree.map(np.testing.assert_array_equal, found.variables, expected.variables)


def evaluated(task, variables, devices):
    mesh = jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )
    return Evaluator(task, mesh).evaluate({"raw": variables})["val"]["raw"]


def test_the_numbers_are_those_of_any_devices_and_batches(run_folder, photographs):
    net = trained.load(str(run_folder))
    results = [
        evaluated(
            make_task(make_config(photographs, batch_size=size), net.description),
            jax.tree.map(jnp.asarray, net.variables),
            devices,
        )
        for size, devices in ((8, 1), (4, 4))
    ]
    assert 0 <= results[0]["AP"] <= 1
    # Rounding may exchange boxes of nearly equal scores; a lost image changes more.
    assert results[1] == pytest.approx(results[0], abs=1e-3, nan_ok=True)


def test_eval_writes_a_report(run, run_folder, tmp_path):
    ended = run(
        *("eval", "--workdir", run_folder, "--per-class", "--report", tmp_path / "r")
    )
    assert ended.exit_code == 0, ended.stderr
    assert "red" in ended.stdout and "AP50" in ended.stdout
    found = json.loads((tmp_path / "r/val_detections.json").read_text())
    assert {row["category_id"] for row in found} <= {5, 6}
    assert {row["image_id"] for row in found} <= set(range(100, 111))
    with Image.open(tmp_path / "r/val_precision_recall.png") as picture:
        assert picture.width > 300


def test_predict_writes_boxes_in_pixels_of_the_photograph(
    run, run_folder, photographs, tmp_path
):
    first = photographs / "valid/0.png"
    files = ["--json", tmp_path / "a.json", "--coco", tmp_path / "b.json"]
    options = ["--score", 0, "--max-detections", 3, "--picture", tmp_path / "p.png"]
    ended = run("predict", first, "--weights", run_folder, *files, *options)
    assert ended.exit_code == 0, ended.stderr
    found = json.loads((tmp_path / "a.json").read_text())
    assert 1 <= len(found) <= 3
    results = json.loads((tmp_path / "b.json").read_text())
    for row, result in zip(found, results, strict=True):
        left, top, right, bottom = row["box"]
        assert 0 <= left < right <= 80 and 0 <= top < bottom <= 48
        assert result["bbox"] == pytest.approx([left, top, right - left, bottom - top])
        assert (result["image_id"], result["category_id"]) == (
            0,
            [*COLORS].index(row["class"]) + 1,
        )
        assert row["class"] in ended.stdout
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (80, 48)
        assert picture.convert("RGB").tobytes() != Image.open(first).tobytes()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            ["--top", 3],
            "--top is for weights that predict one class per image or places",
        ),
        (["--threshold", 0.5], "--threshold is for weights that predict attributes"),
        (["--csv", "x.csv"], "one class per image or places or attributes, but these"),
    ],
)
def test_options_for_other_weights_are_refused(
    run, run_folder, photographs, tmp_path, monkeypatch, option, message
):
    monkeypatch.chdir(tmp_path)
    photo = photographs / "valid/0.png"
    ended = run("predict", photo, "--weights", run_folder, *option)
    assert ended.exit_code == 1
    assert message in ended.stderr and "these predict objects" in ended.stderr


def test_detect_finds_in_arrays_what_predict_finds_in_files(run_folder):
    net = trained.load(str(run_folder))
    images = np.zeros((2, 64, 64, 3), np.uint8)
    found = net.detect(images)
    rows = net.description.network.postprocessing.detections
    assert found.boxes.shape == (2, rows, 4)
    assert np.all((found.boxes >= 0) & (found.boxes <= 1))
    np.testing.assert_array_equal(*found.scores)  # two equal images
    with pytest.raises(
        UserError, match=r"shape \[N, 64, 64, 3\], but have \[64, 64, 3"
    ):
        net.detect(images[0])


# Where a training starts.


def saved_weights(network, classes, folder):
    model = build(network, len(classes))
    variables = init_variables(model, jax.random.key(7))
    # Other values than those that a training starts with.
    variables = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.01, variables)
    description = Description(
        network=network,
        preprocessing=Preprocessing(resize="squash", crop_fraction=1.0),
        class_names=classes,
    )
    trained.save(TrainedNet(description, variables), str(folder))
    return variables


def started(photographs, weights):
    model = dict(resolution=64)
    config = make_config(photographs, init_from=str(weights), model=model)
    task = make_task(config)
    fresh = task.init_variables(jax.random.key(0))
    return task, fresh, task.with_pretrained(fresh)


def same(a, b):
    return all(
        np.array_equal(x, y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_a_backbone_gets_a_new_detector(photographs, tmp_path):
    old = saved_weights(small_backbone(), (), tmp_path / "w")
    task, fresh, variables = started(photographs, tmp_path / "w")
    assert task.spec.predictor == LITE_V3  # as the loss is focal
    for kind in ("params", "batch_stats"):
        assert variables[kind].keys() == fresh[kind].keys()
        for module, found in variables[kind].items():
            assert same(found, old[kind].get(module, fresh[kind][module])), module


@pytest.mark.parametrize(
    ("classes", "new"),
    [(("red", "blue"), set()), (("cat", "dog", "cow"), {"class_predictor"})],
)
def test_a_detector_keeps_what_does_not_depend_on_other_classes(
    photographs, tmp_path, classes, new
):
    old = saved_weights(small_detector(), classes, tmp_path / "w")
    task, fresh, variables = started(photographs, tmp_path / "w")
    assert task.spec == small_detector()
    for kind in ("params", "batch_stats"):
        for module, found in variables[kind].items():
            is_new = module.rstrip("0123456789") in new
            assert same(found, (fresh if is_new else old)[kind][module]), module


def test_a_momentum_is_that_of_the_head_too():
    spec = replace(get_detector("ssdlite_mobilenet_v2"), bn_momentum=0.9)
    assert spec.bn_momentum == spec.backbone.bn_momentum == 0.9


def test_a_loss_that_does_not_fit_the_scores_is_refused(photographs):
    config = make_config(
        photographs, task={"name": "detection", "loss": "mined_softmax"}
    )
    with pytest.raises(
        UserError,
        match=r"'mined_softmax', but ssdlite_.* by a sigmoid: give focal or mined_sigm",
    ):
        make_task(config)


def test_a_source_without_boxes_is_refused(photographs):
    images = np.zeros((4, 8, 8, 3), np.uint8)
    source = mobilenets.ArraySource(images, np.arange(4) % 2, names=("a", "b"))
    boxed = BoxedFolderSource(str(photographs), "valid")
    with pytest.raises(UserError, match=r"gives one class for each.* needs boxes"):
        make_task(make_config(photographs), sources={"train": boxed, "val": source})


# The comparison that is drawn, by hand.


def test_each_true_box_is_found_once_by_the_best_detection():
    example = {
        "image": np.zeros((10, 10, 3), np.uint8),
        # In pixels of a photograph of 20 x 40, of which the network sees all.
        "pixel_boxes": np.array(
            [[0, 0, 10, 20], [10, 20, 20, 40], [0, 0, 20, 40], [9, 9, 9, 9]], np.float32
        ),
        "classes": np.array([0, 1, 0, 0]),
        "crowd": np.array([False, False, True, False]),
        "valid": np.array([True, True, True, False]),
        "to_image": np.array([[20, 40], [0, 0]], np.float32),
    }
    detected = np.array(
        [
            [0, 0, 0.5, 0.4, 0.6, 0],  # over .5 of the first, but a better one is there
            [0, 0, 0.5, 0.5, 0.9, 0],
            [0.5, 0.5, 1, 1, 0.8, 0],  # of the wrong class
            [0.5, 0.5, 1, 1, 0.2, 1],  # too low a score
        ],
        np.float32,
    )
    found = box_pictures.compared(example, detected)
    np.testing.assert_allclose(found.boxes, [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
    assert found.found.tolist() == [-1, 0, -1]
    assert (found.missed, found.mistakes) == ([1], 3)


def test_images_that_are_not_rounded_are_evaluated_and_drawn(photographs, tmp_path):
    config = make_config(photographs)
    how = {"interpolation": "bilinear_no_antialias"}
    preprocessing = config.preprocessing.model_copy(update=how)
    config = config.model_copy(update={"preprocessing": preprocessing})
    task = make_task(config)
    batches = list(task.eval_batches("val"))  # 11 images in batches of 8
    assert len(batches) == 2
    assert {batch["image"].dtype for batch in batches} == {np.dtype("float32")}
    assert next(task.train_batches())["image"].dtype == np.uint8
    images = batches[0]["image"]
    assert (
        images != np.rint(images)
    ).any() and 0 <= images.min() <= images.max() <= 255
    nothing = np.zeros((8, 1, 6), np.float32)
    worst, count = pictures.worst(
        (batch for batch in batches),
        lambda batch: nothing,
        box_pictures.compared,
        operator.attrgetter("mistakes"),
        4,
    )
    assert count == 11
    box_pictures.draw_comparison(worst, count, task.class_names, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The grey of the photographs, as it would not be if it were taken for 0 to 1.
    assert (np.abs(pixels - 120).max(-1) < 3).sum() > 1000
