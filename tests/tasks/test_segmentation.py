"""Segmentation as a task: trained, resumed, evaluated, and started from weights."""

import contextlib
import json
import os
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from PIL import Image

import mobilenets
from mobilenets import UserError, get_spec
from mobilenets.config import check, values
from mobilenets.config.schema import Preprocessing
from mobilenets.data.sources.masked_folder import MaskedFolderSource
from mobilenets.evaluation.evaluator import Evaluator
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.pixels import mask_names
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures.deeplab import deeplabv3, lraspp, segmenter_on
from mobilenets.networks.segmenter import LRASPPSpec
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks import pixel_pictures
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests import small_detector
from tests.toy_task import as_batches

COLORS = {"background": (120, 120, 120), "red": (220, 40, 40), "blue": (40, 40, 220)}
PAD = Preprocessing(resize="pad", crop_fraction=1.0)


def small_backbone():
    return with_backbone(small_detector.small_backbone(), resolution=40)


def small_segmenter():
    """Compiled in seconds: it ends at stride 8."""
    return lraspp(small_backbone(), output_stride=8, filters=8)


def write_photographs(root, split, count, seed):
    """Grey photographs of several sizes with a red and a blue rectangle."""
    rng = np.random.default_rng(seed)
    images, masks = root / "images" / split, root / "masks" / split
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for number in range(count):
        height, width = rng.integers(30, 60, 2)
        mask = np.zeros((height, width), np.uint8)
        for value in (1, 2):
            h, w = rng.integers(8, 20, 2)
            y, x = rng.integers(0, height - h), rng.integers(0, width - w)
            mask[y : y + h, x : x + w] = value
        pixels = np.array([*COLORS.values()], np.uint8)[mask]
        mask[:2] = 255
        Image.fromarray(pixels).save(images / f"{number}.png")
        Image.fromarray(mask).save(masks / f"{number}.png")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    write_photographs(root, "train", 24, seed=0)
    write_photographs(root, "val", 11, seed=1)
    (root / "classes.txt").write_text("\n".join(COLORS))
    return root


def make_config(photographs, **changes):
    """Three steps an epoch, each evaluated."""
    config = values.defaults()
    config.task = dict(name="segmentation")
    config.model = {} if "init_from" in changes else dict(spec=small_segmenter())
    config.dataset = dict(folder=str(photographs), eval_split="val")
    if "init_from" not in changes:
        config.preprocessing.resize = "pad"
        config.preprocessing.crop_fraction = 1.0
    config.augmentation = dict(scale_crop={}, flip={})
    config.batch_size = 8
    config.epochs = 2.0
    config.optimizer.name = "adamw"
    config.schedule.name = "poly"
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
    assert {"val/raw/mIoU", "val/ema/pixel_accuracy"} <= records[-1].keys()
    assert records[-1]["val/ema/classes_left_out"] == 0
    with Image.open(run_folder / "first_batch.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    with Image.open(run_folder / "predictions.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    description = trained.describe(str(run_folder))
    assert (description.task, description.class_names) == ("segmentation", (*COLORS,))
    assert description.network == small_segmenter()


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


# Evaluation.


def total_of(task, variables, devices=1):
    mesh = jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )
    variables = jax.tree.map(jnp.asarray, variables)
    return Evaluator(task, mesh).totals("val", {"raw": variables})["raw"]


@pytest.mark.parametrize("resize", ["pad", "keep", "short_side"])
def test_every_pixel_counts_once_on_any_devices_and_in_any_batches(
    run_folder, photographs, resize
):
    net = trained.load(str(run_folder))
    preprocessing = PAD.model_copy(update={"resize": resize})
    description = net.description.model_copy(update={"preprocessing": preprocessing})
    totals = [
        total_of(
            make_task(make_config(photographs, batch_size=size), description),
            net.variables,
            devices,
        )
        for size, devices in ((8, 1), (4, 4))
    ]
    np.testing.assert_array_equal(*totals)
    masks = [
        np.asarray(Image.open(path)) for path in (photographs / "masks/val").iterdir()
    ]
    of_classes = [sum(int((mask == n).sum()) for mask in masks) for n in range(3)]
    assert totals[0].sum(axis=1).tolist() == of_classes


def class_of_colors(task):
    """The task with a network that knows the class of each colour by itself."""
    colors = jnp.asarray([*COLORS.values()], jnp.float32)

    class Model:
        def apply(self, variables, images, train):
            pixels = images * 127.5 + 127.5
            distances = jnp.abs(pixels[..., None, :] - colors).sum(-1)
            from mobilenets.nn.segmenter import SegmentationLogits

            return SegmentationLogits(-distances, None), {}

    task.model = Model()
    return task


@pytest.mark.parametrize(
    ("resize", "least"), [("keep", 1.0), ("short_side", 0.9), ("pad", 0.9)]
)
def test_who_knows_the_colours_has_all_of_the_miou(photographs, resize, least):
    """At its own size exactly; else up to the pixels at the borders of rectangles."""
    preprocessing = dict(resize=resize, crop_fraction=1.0)
    config = make_config(photographs, preprocessing=preprocessing)
    task = class_of_colors(make_task(config))
    numbers = task.metric.compute(total_of(task, {}))
    assert least <= numbers["mIoU"] <= 1
    assert numbers["pixel_accuracy"] >= least


def test_several_scales_and_mirrors_give_the_mean_of_the_probabilities(
    run_folder, photographs
):
    net = trained.load(str(run_folder))
    options = dict(name="segmentation", eval_scales=(0.5, 1.0), eval_flip=True)
    task = make_task(make_config(photographs, task=options), net.description)
    images = np.random.default_rng(0).normal(size=(2, 40, 40, 3)).astype(np.float32)

    def probabilities(x):
        outputs, _ = jax.jit(net.model.apply)(net.variables, x)
        return jax.nn.softmax(outputs.logits)

    def resized(x, side):
        """With corners on corners, as TensorFlow's DeepLab."""
        places = np.linspace(0, x.shape[1] - 1, side)
        before = np.floor(places).astype(int)
        after, w = np.minimum(before + 1, x.shape[1] - 1), places - before
        x = x[:, before] * (1 - w)[:, None, None] + x[:, after] * w[:, None, None]
        return x[:, :, before] * (1 - w)[:, None] + x[:, :, after] * w[:, None]

    mean = probabilities(images) + probabilities(images[:, :, ::-1])[:, :, ::-1]
    half = resized(images, 21)  # 19.5 steps of a pixel, rounded to 20
    for seen, step in ((half, 1), (half[:, :, ::-1], -1)):
        outputs, _ = jax.jit(net.model.apply)(net.variables, seen)
        logits = resized(np.asarray(outputs.logits)[:, :, ::step], 40)
        mean += jax.nn.softmax(logits)
    run = jax.jit(lambda v, x: task.model.apply(v, x, train=False))
    found, _ = run(net.variables, images)
    np.testing.assert_allclose(jnp.exp(found.logits), mean, rtol=2e-4)
    # Classes of probability 0 have logits that can be interpolated, too.
    certain = jax.tree.map(lambda leaf: 1e4 * leaf, net.variables["params"]["logits"])
    params = {**net.variables["params"], "logits": certain}
    found, _ = run({**net.variables, "params": params}, images)
    assert np.isfinite(found.logits).all() and found.logits.min() < -80
    assert task.model.role("logits") == "head" and task.model.role("stem") != "head"
    fresh = task.init_variables(jax.random.key(0))
    same_shapes = jax.tree.map(
        lambda a, b: np.shape(a) == np.shape(b), fresh, net.variables
    )
    assert all(jax.tree.leaves(same_shapes))


def test_eval_writes_a_report_and_the_iou_of_each_class(run, run_folder, tmp_path):
    ended = run(
        *("eval", "--workdir", run_folder, "--per-class", "--report", tmp_path / "r"),
        *("--json", tmp_path / "n.json"),
    )
    assert ended.exit_code == 0, ended.stderr
    assert "IoU" in ended.stdout and "blue" in ended.stdout
    by_class = json.loads((tmp_path / "n.json").read_text())["by_class"]["val"]
    assert by_class.keys() == COLORS.keys()
    with Image.open(tmp_path / "r/val_confusion.png") as picture:
        assert picture.width > 300


# Training.


def test_an_auxiliary_head_adds_its_weighted_loss(photographs):
    import dataclasses

    from mobilenets.networks.segmenter import AuxiliarySpec
    from mobilenets.nn.segmenter import SegmentationLogits

    auxiliary = AuxiliarySpec("block2", 8, 0.1)
    spec = dataclasses.replace(small_segmenter(), auxiliary=auxiliary)
    options = dict(name="segmentation", auxiliary_weight=0.25)
    config = make_config(photographs, model=dict(spec=spec), task=options)
    task = make_task(config)
    rng = np.random.default_rng(0)
    logits = [jnp.asarray(rng.normal(size=(2, 5, 6, 3)), jnp.float32) for _ in "ab"]
    labels = rng.integers(0, 3, (2, 5, 6)).astype(np.uint8)
    labels[0, :2] = 255
    loss, parts = task.loss((SegmentationLogits(*logits), {}), {"labels": labels})

    def by_hand(values):
        log_p = np.asarray(jax.nn.log_softmax(values))
        of_pixels = [
            -log_p[place][labels[place]]
            for place in np.ndindex(labels.shape)
            if labels[place] != 255
        ]
        return np.mean(of_pixels)

    assert parts["pixel_loss"] == pytest.approx(by_hand(logits[0]), rel=1e-5)
    expected = by_hand(logits[0]) + 0.25 * by_hand(logits[1])
    assert loss == pytest.approx(expected, rel=1e-5)
    assert parts["loss"] == loss


@pytest.mark.usefixtures("four_devices")
def test_frozen_batch_norms_keep_their_statistics_and_all_else_is_trained(
    run_folder, photographs, tmp_path
):
    options = dict(name="segmentation", frozen_batch_norm=True)
    changes = dict(init_from=str(run_folder), task=options, epochs=1.0, ema_decay=0.0)
    task = make_task(make_config(photographs, **changes))
    old = trained.load(str(run_folder)).variables
    train(task, str(tmp_path / "run"))
    new = trained.load(str(tmp_path / "run")).variables
    jax.tree.map(np.testing.assert_array_equal, new["batch_stats"], old["batch_stats"])
    changed = jax.tree.map(
        lambda a, b: bool((a != b).any()), new["params"], old["params"]
    )
    assert all(jax.tree.leaves(changed["block2"])) and all(
        jax.tree.leaves(changed["aspp0"])
    )
    with pytest.raises(UserError, match="statistics must come from init_from"):
        make_config(photographs, task=options)


# Where a training starts.


def saved_weights(network, classes, folder, preprocessing=PAD):
    model = build(network, len(classes))
    variables = init_variables(model, jax.random.key(7))
    # Other values than those that a training starts with.
    variables = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.01, variables)
    description = Description(
        network=network, preprocessing=preprocessing, class_names=classes
    )
    trained.save(TrainedNet(description, variables), str(folder))
    return variables


def started(photographs, weights, **model):
    model = dict(resolution=40) | model
    config = make_config(photographs, init_from=str(weights), model=model)
    task = make_task(config)
    fresh = task.init_variables(jax.random.key(0))
    return task, fresh, task.with_pretrained(fresh)


def same(a, b):
    return all(
        np.array_equal(x, y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("head", ["lraspp", "deeplabv3"])
def test_a_backbone_gets_a_new_head(photographs, tmp_path, head):
    old = saved_weights(small_backbone(), (), tmp_path / "w", Preprocessing())
    options = dict(head=head, output_stride=8, filters=8)
    task, fresh, variables = started(photographs, tmp_path / "w", **options)
    assert isinstance(task.spec.head, LRASPPSpec) == (head == "lraspp")
    assert task.config.preprocessing == PAD  # nothing is cut off
    for kind in ("params", "batch_stats"):
        assert variables[kind].keys() == fresh[kind].keys()
        for module, found in variables[kind].items():
            assert same(found, old[kind].get(module, fresh[kind][module])), module


@pytest.mark.parametrize(
    ("classes", "new"),
    [((*COLORS,), set()), (("sky", "sea"), {"logits", "low_level_logits"})],
)
def test_a_segmenter_keeps_what_does_not_depend_on_other_classes(
    photographs, tmp_path, classes, new
):
    old = saved_weights(small_segmenter(), classes, tmp_path / "w")
    task, fresh, variables = started(photographs, tmp_path / "w")
    assert task.spec == small_segmenter()
    for kind in ("params", "batch_stats"):
        for module, found in variables[kind].items():
            source = fresh if module in new else old
            assert same(found, source[kind][module]), module


def test_a_second_phase_sees_finer_maps_by_the_same_filters():
    coarse = deeplabv3(get_spec("mobilenet_v2"), 16)
    assert segmenter_on(coarse, output_stride=8) == deeplabv3(
        get_spec("mobilenet_v2"), 8
    )
    coarse = lraspp(get_spec("mobilenet_v3_small"), 16)
    assert segmenter_on(coarse, output_stride=8) == lraspp(
        get_spec("mobilenet_v3_small"), 8
    )


def test_photographs_can_be_seen_in_another_size_than_the_weights_were_trained_at(
    photographs, tmp_path
):
    saved_weights(small_segmenter(), (*COLORS,), tmp_path / "w")
    for resize in ("keep", "squash"):
        config = make_config(
            photographs,
            init_from=str(tmp_path / "w"),
            preprocessing=dict(resize=resize, crop_fraction=1.0),
        )
        assert make_task(config).config.preprocessing.resize == resize
    config = make_config(
        photographs,
        init_from=str(tmp_path / "w"),
        preprocessing=dict(resize="pad", crop_fraction=1.0, mean=(1.0, 2.0, 3.0)),
    )
    with pytest.raises(UserError, match="but the weights in init_from define it"):
        make_task(config)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dict(head="unet"), r"Unknown model.head 'unet'"),
        (dict(output_stride=12), r"output_stride must be 8 or 16 or 32"),
        (dict(filters=0), r"model.filters must be a whole number from 1"),
        (dict(width_multiplier=0.5), r"'width_multiplier'"),
    ],
)
def test_wrong_options_of_the_head_are_refused(photographs, tmp_path, model, message):
    saved_weights(small_backbone(), (), tmp_path / "w")
    with pytest.raises(UserError, match=message):
        started(photographs, tmp_path / "w", **{"output_stride": 8} | model)


def test_an_image_must_be_seen_whole(photographs):
    with pytest.raises(UserError, match="'crop', but segmentation labels all pixels"):
        make_config(photographs, preprocessing=dict(resize="crop"))


def test_a_source_without_masks_is_refused(photographs):
    images = np.zeros((4, 8, 8, 3), np.uint8)
    source = mobilenets.ArraySource(images, np.arange(4) % 2, names=("a", "b"))
    masked = MaskedFolderSource(str(photographs), "val")
    with pytest.raises(UserError, match=r"gives one class for each.* needs a mask"):
        make_task(make_config(photographs), sources={"train": masked, "val": source})


# Use.


def test_predict_writes_masks_in_the_size_of_the_photographs(
    run, run_folder, photographs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = photographs / "images/val"
    ended = run(
        *("predict", folder, "--weights", run_folder, "--masks", tmp_path / "m"),
        *("--json", tmp_path / "a.json"),
    )
    assert ended.exit_code == 0, ended.stderr
    rows = json.loads((tmp_path / "a.json").read_text())
    assert len(rows) == 11
    for row in rows:
        with Image.open(row["path"]) as photo, Image.open(row["mask"]) as mask:
            assert mask.mode == "P" and mask.size == photo.size
            classes = np.asarray(mask)
        for number, name in enumerate(COLORS):
            share = row["classes"].get(name, 0)
            assert (classes == number).mean() == pytest.approx(share)
    assert "background" in ended.stdout and "predictions.png" in ended.stdout
    # As they are, the masks are those of a data set.
    again = run("predict", folder, "--weights", run_folder, "--masks", tmp_path / "m")
    assert again.exit_code == 1 and "exists already: give another" in again.stderr


def test_each_photograph_has_its_own_mask():
    paths = [pathlib.Path(path) for path in ("a/x.jpg", "../a/x.jpg", "a/x.png")]
    masks = [*mask_names(paths).values()]
    assert len({*masks}) == 3  # whose mask would else be overwritten
    assert [mask.name for mask in masks] == ["x.jpg.png", "x.jpg.png", "x.png.png"]
    assert not any(mask.is_absolute() or ".." in mask.parts for mask in masks)


def test_one_photograph_is_drawn_in_its_size_with_a_legend(
    run, run_folder, photographs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    photo = photographs / "images/val/0.png"
    ended = run("predict", photo, "--weights", run_folder)
    assert ended.exit_code == 0, ended.stderr
    with Image.open("predictions.png") as drawn, Image.open(photo) as original:
        assert drawn.width == original.width and drawn.height > original.height
    with Image.open("predicted_masks/0.png") as mask, Image.open(photo) as original:
        assert mask.size == original.size


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--top", 3], "these predict a class for each pixel"),
        (["--score", 0.5], "--score is for weights that predict objects"),
        (["--tile", 200], "--tile is 200, but must be a multiple of 128, such as 128"),
        (["--tile", 256], r"see photographs as large as they are"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    run, run_folder, photographs, tmp_path, monkeypatch, option, message
):
    monkeypatch.chdir(tmp_path)
    photo = photographs / "images/val/0.png"
    ended = run("predict", photo, "--weights", run_folder, *option)
    assert ended.exit_code == 1 and message in ended.stderr


def test_segment_says_of_arrays_what_predict_says_of_files(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    description = Description(
        task="segmentation",
        network=small_segmenter(),
        preprocessing=PAD.model_copy(update={"resize": "keep"}),
        class_names=(*COLORS,),
    )
    variables = init_variables(build(small_segmenter(), 3), jax.random.key(0))
    # The means that gate the head would be those of a part: without them a pixel sees
    # less than 32 pixels around, a quarter of a part. Other logits, so that all classes
    # are somewhere.
    rng = np.random.default_rng(0)
    params = dict(variables["params"])
    params["image_pooling"] = jax.tree.map(np.zeros_like, params["image_pooling"])
    for name in ("logits", "low_level_logits"):
        kernel = rng.normal(size=params[name]["kernel"].shape).astype(np.float32)
        bias = np.zeros(3, np.float32)
        params[name] = {"kernel": kernel - kernel.mean(0), "bias": bias}
    net = TrainedNet(description, {**variables, "params": params})
    trained.save(net, str(tmp_path / "w"))
    image = np.kron(rng.integers(0, 256, (19, 23, 3)), np.ones((8, 8, 1)))
    image = image.astype(np.uint8)[:150, :181]
    Image.fromarray(image).save("a.png")
    masks = []
    for options in ([], ["--tile", 128]):
        ended = run("predict", "a.png", "--weights", tmp_path / "w", *options)
        assert ended.exit_code == 0, ended.stderr
        masks.append(np.asarray(Image.open("predicted_masks/a.png")))
    found = net.segment(image[None])
    assert found.shape == (1, 150, 181)
    assert np.bincount(np.ravel(found)).min() > 1000
    np.testing.assert_array_equal(masks[0], found[0])
    # Up to rounding, where two classes are nearly equal.
    assert (masks[1] == masks[0]).mean() > 0.998


def test_a_classifier_has_no_pixels_to_label():
    from tests.inference.test_trained import small_net

    with pytest.raises(UserError, match="which is no segmenter"):
        small_net().segment(np.zeros((1, 32, 32, 3), np.uint8))


# The comparison that is drawn, by hand.


def test_the_worst_images_are_those_with_most_wrong_pixels():
    """A photograph of 4 x 6 that the network sees at half its size, padded."""
    labels = np.full((5, 7), 255, np.uint8)
    labels[:4, :6] = np.repeat(np.repeat([[0, 1, 2], [1, 255, 1]], 2, 0), 2, 1)
    example = {
        "image": np.zeros((3, 3, 3), np.uint8),
        "labels": labels,
        "to_image": np.array([[6, 6], [0, 0]], np.float32),
    }
    predicted = np.array([[0, 1, 1], [1, 0, 1], [0, 0, 0]], np.uint8)
    found = pixel_pictures.compared(example, predicted)
    assert found.true.tolist() == [[0, 1, 2], [1, 255, 1], [255, 255, 255]]
    assert found.wrong == pytest.approx(1 / 5)
