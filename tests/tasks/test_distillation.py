"""A teacher: its losses by hand, what it sees, and that it alone is never trained."""

import dataclasses
import functools
import math
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from PIL import Image

from configs import multilabel_quickstart, quickstart, supernet_quickstart
from mobilenets import ArraySource, UserError, create_model, evaluate
from mobilenets.config import check, values
from mobilenets.inference import trained
from mobilenets.networks.spec import with_backbone
from mobilenets.runs import soundness, workdir
from mobilenets.runs.metric_log import read_metrics
from mobilenets.runtime import sharding
from mobilenets.runtime.console import console
from mobilenets.tasks.distillation import mixed, sigmoid_losses, softmax_losses
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import jitted_functions, train
from tests.inference.test_trained import backbone_net, detector_net, small_net
from tests.training.test_resume import assert_same_bits, crash, interrupt, sigterm

NAN = np.nan
NAMES = ("ant", "bee", "cat")
SMALL = {"name": "mobilenet_v3_small", "resolution": 16, "stem_stride": 1}


def saved_teacher(folder, names=NAMES, seed=0, resolution=32, task="classification"):
    """A folder of weights that tell the names apart, somehow."""
    net = small_net(classes=names, seed=seed)
    network = with_backbone(net.description.network, resolution=resolution)
    described = net.description.model_copy(update={"task": task, "network": network})
    trained.save(dataclasses.replace(net, description=described), str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return saved_teacher(tmp_path_factory.mktemp("weights") / "teacher")


@pytest.fixture(scope="module")
def teacher_of_attributes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "attributes"
    return saved_teacher(folder, task="multilabel")


def config_of(module, teacher, **changes):
    """Four steps of eight images of 16 pixels, evaluated after each second."""
    config = module.get_config()
    config.model.resolution = 16
    config.dataset = {}
    config.augmentation.random_crop.min_area = 0.5
    config.batch_size = 8
    config.epochs, config.evaluate_every_epochs = 2.0, 1.0
    config.log_every_steps = 1
    config.teacher = teacher
    for key, value in changes.items():  # whole sections, or values
        config[key] = value
    return check.check(config)


make_config = functools.partial(config_of, quickstart)
make_config_of_attributes = functools.partial(config_of, multilabel_quickstart)


def images_of(size, side=20, seed=0):
    """Pictures of smooth colours, so that a change of size keeps them."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (size, 3, 3, 3), np.uint8)
    return np.stack(
        [Image.fromarray(c).resize((side, side), Image.BILINEAR) for c in corners]
    )


def sources_of(targets=None, names=NAMES, seed=0):
    targets = np.arange(16) % len(names) if targets is None else np.asarray(targets)
    source = ArraySource(images_of(len(targets), seed=seed), targets, names)
    return {"train": source, "val": source}


def make_small_task(config, sources=None):
    """With a network cut short, which compiles in seconds."""
    task = make_task(config, sources=sources or sources_of())
    blocks = task.spec.backbone.blocks[:1]
    spec = with_backbone(task.spec, blocks=blocks, head_conv_channels=24)
    spec = dataclasses.replace(spec, head_dense_channels=40)
    task.model = create_model(spec, len(task.class_names))
    return task


# The losses.


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_loss_of_classes_worked_by_hand(temperature):
    # Softened, the teacher gives 1/2, 1/4, 1/4 and the student 1/4, 1/4, 1/2.
    teacher = temperature * jnp.log(jnp.array([[2.0, 1.0, 1.0], [2.0, 1.0, 1.0]]))
    student = temperature * jnp.log(jnp.array([[1.0, 1.0, 2.0], [4.0, 2.0, 2.0]]))
    losses = softmax_losses(student, teacher, temperature)
    by_hand = (math.log(2) / 2 - math.log(2) / 4) * temperature**2
    np.testing.assert_allclose(losses, [by_hand, 0.0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_loss_of_attributes_worked_by_hand(temperature):
    # Softened, the teacher is sure by 3/4 and 1/5, the student by one half.
    teacher = temperature * jnp.log(jnp.array([[3.0, 0.25]]))
    losses = sigmoid_losses(jnp.zeros((1, 2)), teacher, temperature)
    first = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    second = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
    expected = np.array([[first, second]]) * temperature**2
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert float(sigmoid_losses(teacher, teacher, temperature).max()) == 0


def test_at_a_high_temperature_logits_are_matched():
    """Hinton et al., Eq. 4: then the gradient is (z - v) / N of centred logits."""
    student, teacher = jnp.array([1.0, -2.0, 1.0]), jnp.array([0.5, 0.5, -1.0])

    def loss(logits):
        return softmax_losses(logits[None], teacher[None], 100.0)[0]

    gradient = jax.grad(loss)(student)
    np.testing.assert_allclose(gradient, (student - teacher) / 3, rtol=0.03)


def test_without_a_label_the_teacher_counts_alone():
    losses = mixed(
        jnp.array([4.0, 4.0]), jnp.array([8.0, 8.0]), jnp.array([True, False]), 0.25
    )
    assert losses.tolist() == [0.25 * 4 + 0.75 * 8, 8.0]


def test_the_loss_of_a_classification_has_both_parts(teacher):
    distillation = {"temperature": 2.0, "label_weight": 0.25}
    task = {"name": "classification", "weights": {"cat": 3.0}}
    made = make_task(
        make_config(teacher, distillation=distillation, task=task),
        sources=sources_of(),
    )
    batch = {
        "label": jnp.array([2, -1]),
        "teacher": 2 * jnp.log(jnp.array([[2.0, 1.0, 1.0]] * 2)),
    }
    # The student's probabilities are 1/6, 1/6, 2/3; softened 1/4, 1/4, 1/2.
    logits = 2 * jnp.log(jnp.array([[1.0, 1.0, 2.0]] * 2))
    loss, metrics = made.loss((logits, {}), batch)
    of_label, of_teacher = 3 * math.log(3 / 2), 4 * math.log(2) / 4
    expected = (0.25 * of_label + 0.75 * of_teacher + of_teacher) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert metrics == {"loss": loss, "agreement": 0.0}


def test_the_loss_of_attributes_has_both_parts(teacher_of_attributes):
    distillation = {"temperature": 2.0, "label_weight": 0.25}
    task = {"name": "multilabel", "weights": {"bee": 3.0}}
    config = make_config_of_attributes(
        teacher_of_attributes, distillation=distillation, task=task
    )
    made = make_task(config, sources=sources_of([[1, 0, NAN]] * 8))
    batch = {
        "label": jnp.array([[1.0, NAN, NAN]]),
        "teacher": 2 * jnp.log(jnp.array([[3.0, 1.0, 0.25]])),
    }
    loss, _ = made.loss((jnp.zeros((1, 3)), {}), batch)
    first = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    third = 4 * (0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5))
    expected = (0.25 * math.log(2) + 0.75 * first + 3 * 0 + third) / (1 + 3 + 1)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_supernet_is_taught_in_all_its_networks(teacher):
    config = config_of(supernet_quickstart, teacher)
    task = make_task(config, sources=sources_of())
    teacher_logits = 2 * jnp.log(jnp.array([[2.0, 1.0, 1.0]]))
    batch = {"label": jnp.array([-1]), "teacher": teacher_logits}
    loss, _ = task.loss((2 * jnp.log(jnp.array([[1.0, 1.0, 2.0]])), {}), batch)
    assert float(loss) == pytest.approx(task.spec.counts[0] * math.log(2), rel=1e-5)


# What the teacher sees.


def test_the_teacher_sees_the_same_crop_at_its_own_resolution(teacher):
    task = make_task(make_config(teacher), sources=sources_of())
    with_teacher = next(task.train_batches())
    without = make_task(make_config(""), sources=sources_of())
    np.testing.assert_array_equal(
        with_teacher["image"], next(without.train_batches())["image"]
    )
    assert with_teacher["teacher_image"].shape == (8, 32, 32, 3)
    halved = with_teacher["teacher_image"].reshape(8, 16, 2, 16, 2, 3).mean((2, 4))
    difference = np.abs(halved - with_teacher["image"])
    assert difference.mean() < 2  # of 255; of other crops, or mirrored, 30 and more
    mirrored = np.abs(halved[:, :, ::-1] - with_teacher["image"])
    assert mirrored.mean() > 20


def test_a_teacher_that_would_see_the_same_pixels_gets_no_others(tmp_path):
    folder = saved_teacher(tmp_path / "teacher", resolution=16)
    config = make_config(folder, preprocessing={"mean": (1.0, 2.0, 3.0)})
    task = make_task(config, sources=sources_of())
    assert {*next(task.train_batches())} == {"image", "label"}


def test_its_outputs_are_those_of_its_own_preprocessing(teacher):
    task = make_task(make_config(teacher), sources=sources_of())
    batch = next(task.train_batches())
    taught = task.taught(batch, task.teacher_variables)
    assert {*taught} == {"image", "label", "teacher"}
    net = trained.load(teacher)
    (expected,) = net.compiled(lambda outputs: (outputs[0],))(batch["teacher_image"])
    np.testing.assert_allclose(taught["teacher"], expected, rtol=1e-4, atol=1e-5)


def test_it_is_announced_with_the_memory_it_takes(teacher):
    task = make_task(make_config(teacher), sources=sources_of())
    size = sum(x.nbytes for x in jax.tree.leaves(trained.load(teacher).variables))
    assert ", taught by mobilenet_v3_small at 32 pixels (" in task.summary
    assert task.summary.endswith(f"), {size / 1e6:.1f} MB of weights on each device")
    kept = make_task(config_to_keep(teacher, "kept"), sources=sources_of())
    assert kept.summary.endswith(" M MAdds), outputs kept in kept")


# The classes and the labels.


def test_the_classes_are_the_teacher_s_in_its_order(tmp_path):
    folder = saved_teacher(tmp_path / "teacher", names=("cat", "bee", "ant"))
    distillation = {"label_weight": 0.5}
    task = make_task(make_config(folder, distillation=distillation), None, sources_of())
    assert task.class_names == ("cat", "bee", "ant")
    source = task._train
    assert [source[i].target for i in range(4)] == [2, 1, 0, 2]
    assert task.data_facts["class_names"] == ["cat", "bee", "ant"]


def test_a_teacher_with_other_classes_is_refused_where_labels_count(tmp_path):
    folder = saved_teacher(tmp_path / "teacher", names=("ant", "bee", "dog", "eel"))
    sources = sources_of()
    with pytest.raises(UserError) as refused:
        make_task(
            make_config(folder, distillation={"label_weight": 0.5}), sources=sources
        )
    assert str(refused.value).startswith(
        "The teacher has other classes than the images to train: it does not know cat "
        "and also has dog, eel. Give another teacher, other images, or"
    )
    # Without them the images to train may be of anything, those to evaluate not.
    with pytest.raises(UserError, match="evaluation set val has cat, which the teac"):
        make_task(make_config(folder), sources=sources)
    known = sources_of(np.arange(8) % 2, ("ant", "bee"))
    task = make_task(make_config(folder), sources=sources | {"val": known["val"]})
    assert task.class_names == ("ant", "bee", "dog", "eel")
    assert (next(task.train_batches())["label"] == -1).all()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (detector_net, "is a detector: give a classifier"),
        (backbone_net, "is a backbone: give a classifier"),
        (
            lambda: small_net(classes=NAMES),
            "was trained with task.name=classification, but this run needs a teacher "
            "for multilabel",
        ),
    ],
)
def test_a_teacher_of_another_task_is_refused(tmp_path, net, message):
    trained.save(net(), str(tmp_path / "teacher"))
    config = make_config_of_attributes(str(tmp_path / "teacher"))
    with pytest.raises(UserError, match=message):
        make_task(config, sources=sources_of([[1, 0, 1]] * 8))


def test_missing_and_damaged_weights_are_one_sentence(tmp_path, teacher):
    with pytest.raises(
        UserError, match=r"no folder .*nowhere \(config\.teacher\): give"
    ):
        make_task(make_config(str(tmp_path / "nowhere")), sources=sources_of())
    shutil.copytree(teacher, tmp_path / "damaged")
    shutil.rmtree(tmp_path / "damaged" / "variables")
    with pytest.raises(UserError, match=r"weights in .*damaged cannot be read"):
        make_task(make_config(str(tmp_path / "damaged")), sources=sources_of())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distillation": {"temperature": 3.0}}, "distillation is given, but teacher"),
        (
            {"teacher": "weights", "task": {"name": "segmentation"}},
            "teacher is given, but task.name is 'segmentation': only classification",
        ),
        (
            {"teacher": "weights", "task": {"name": "detection"}},
            "teacher is given, but task.name is 'detection': only classification",
        ),
        (
            {"teacher": "weights", "augmentation": {"mixup": {}}},
            "teacher is given, but augmentation has mixup: the teacher's images are n",
        ),
        (
            {"teacher": "weights", "distillation": {"outputs": "kept"}},
            "but random_crop and flip change the image in each epoch: leave",
        ),
        (
            {
                "teacher": "weights",
                "task": {"name": "classification", "balanced": True},
            },
            "task.balanced weighs labels, but with a teacher none are read at",
        ),
        (
            {"teacher": "weights", "distillation": {"label_weight": 1.0}},
            "distillation.label_weight is 1.0, but must be less than 1",
        ),
    ],
)
def test_what_does_not_belong_together_is_one_sentence(changes, message):
    config = values.defaults()
    config.model = {"name": "mobilenet_v2"}
    if "segmentation" in str(changes):
        config.preprocessing.update(resize="squash", crop_fraction=1.0)
    for key, value in changes.items():
        config[key].update(value) if key == "distillation" else config.update(
            {key: value}
        )
    with pytest.raises(UserError, match=message):
        check.check(config)


def write_images(folder, names, seed=0):
    folder.mkdir(parents=True)
    for name, pixels in zip(names, images_of(len(names), seed=seed), strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")


@pytest.fixture
def photographs(tmp_path):
    """Labelled to evaluate; to train two of ant and of bee, and three without label."""
    root = tmp_path / "photographs"
    for name in NAMES:
        write_images(root / "validation" / name, ["v1", "v2"])
    for name in NAMES[:2]:
        write_images(root / "train" / name, ["a", "b"])
    for number, pixels in enumerate(images_of(3)):
        Image.fromarray(pixels).save(root / f"train/{number}.png")
    return root


def targets(task):
    return [task._train[i].target for i in range(task.train_size)]


def test_photographs_beside_the_classes_are_taught_without_a_label(
    teacher, photographs, capsys
):
    config = make_config(
        teacher,
        dataset={"folder": str(photographs)},
        distillation={"label_weight": 0.5},
    )
    assert targets(make_task(config)) == [0, 0, 1, 1, -1, -1, -1]
    assert "ignored" not in capsys.readouterr().out


def test_at_label_weight_0_a_folder_of_photographs_is_enough(teacher, photographs):
    config = make_config(teacher, dataset={"folder": str(photographs)})
    assert targets(make_task(config)) == [-1] * 7
    for name in NAMES[:2]:
        shutil.rmtree(photographs / "train" / name)
    task = make_task(config)
    assert (targets(task), task.class_names) == ([-1] * 3, NAMES)
    weighted = config.model_dump() | {"distillation": {"label_weight": 0.5}}
    with pytest.raises(UserError, match=r"train has no labels, but distillation.label"):
        make_task(type(config).model_validate(weighted))


def test_a_divided_folder_trains_on_photographs_without_a_label(teacher, photographs):
    config = make_config(
        teacher,
        dataset={"folder": str(photographs / "divided"), "eval_fraction": 0.5},
        distillation={"label_weight": 0.5},
    )
    for name in NAMES:
        write_images(photographs / "divided" / name, "abcdefgh")
    Image.fromarray(images_of(1)[0]).save(photographs / "divided" / "x.png")
    task = make_task(config)
    assert targets(task).count(-1) == 1
    assert task.train_size + task.eval_sizes["val"] == 25


def test_a_table_may_leave_labels_empty(teacher, photographs):
    rows = [f"train/{i}.png,train," for i in range(3)]
    rows += [f"train/{name}/a.png,train,{name}" for name in NAMES[:2]]
    rows += [f"validation/{name}/v1.png,validation,{name}" for name in NAMES]
    table = photographs / "labels.csv"
    table.write_text("\n".join(["path,split,label", *rows]) + "\n")
    dataset = {"table": str(table)}
    config = make_config(teacher, dataset=dataset, distillation={"label_weight": 0.5})
    assert targets(make_task(config)) == [-1, -1, -1, 0, 1]
    assert targets(make_task(make_config(teacher, dataset=dataset))) == [-1] * 5
    with pytest.raises(UserError, match=r"labels.csv line 2: label is empty"):
        make_task(make_config("", dataset=dataset))


def test_attributes_may_all_be_unknown(teacher_of_attributes, photographs):
    rows = [f"train/{i}.png,train,,," for i in range(3)]
    rows += [f"validation/{name}/v1.png,validation,1,0,1" for name in NAMES]
    table = photographs / "attributes.csv"
    table.write_text("\n".join(["path,split,ant,bee,cat", *rows]) + "\n")
    dataset = {"table": str(table)}
    task = make_task(make_config_of_attributes(teacher_of_attributes, dataset=dataset))
    assert np.isnan(targets(task)).all()
    with pytest.raises(UserError, match="has no known value for ant, bee, cat"):
        make_task(make_config_of_attributes("", dataset=dataset))


# The step, and whole runs.


def mesh_of(devices):
    return jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )


def stepped(task, batch, devices=1):
    """The state before and after one step, and the teacher's variables after it."""
    mesh = mesh_of(devices)
    create, update = jitted_functions(task, mesh)
    state = create(task.init_variables(jax.random.key(0)))
    before = jax.device_get(state)
    held = jax.device_put(task.teacher_variables, sharding.replicated(mesh))
    state, metrics = update(
        state, sharding.to_devices(mesh, batch), jax.random.key(1), held
    )
    return before, *jax.device_get((state, metrics, held))


def without_randomness(teacher, **changes):
    return make_config(
        teacher,
        model={**SMALL, "dropout_rate": 0.0},
        optimizer={"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        **changes,
    )


def test_the_teacher_is_no_part_of_what_is_trained(teacher):
    task = make_small_task(without_randomness(teacher))
    batch = next(task.train_batches())
    before, after, metrics, held = stepped(task, batch)
    plain = make_small_task(without_randomness(""))
    create, _ = jitted_functions(plain, mesh_of(1))
    alone = jax.eval_shape(create, plain.init_variables(jax.random.key(0)))
    assert jax.tree.structure(after) == jax.tree.structure(alone)
    sizes = [x.shape for x in jax.tree.leaves(alone)]
    assert [np.shape(x) for x in jax.tree.leaves(after)] == sizes
    assert_same_bits(held, trained.load(teacher).variables)
    # It follows the gradient of the loss on outputs that are mere numbers.
    logits = np.asarray(task.taught(batch, task.teacher_variables)["teacher"])

    def loss(params):
        variables = {"params": params, "batch_stats": before.batch_stats}
        (found, _), _ = task.model.apply(
            variables, task.inputs(batch), train=True, mutable=["batch_stats"]
        )
        return softmax_losses(found, logits, 2.0).mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(before.params)
    assert metrics["loss"] == pytest.approx(float(value), rel=1e-4)
    momentum = [x for x in jax.tree.leaves(after.opt_state) if np.ndim(x)]
    for found, expected in zip(momentum, jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize(
    "accumulation_steps", [1, pytest.param(2, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("four_devices")
def test_one_step_is_the_same_on_four_devices(teacher, accumulation_steps):
    config = without_randomness(teacher, accumulation_steps=accumulation_steps)
    task = make_small_task(config)
    batch = next(task.train_batches())
    _, one, metrics, _ = stepped(task, batch, 1)
    _, four, metrics_of_four, _ = stepped(task, batch, 4)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert metrics["loss"] == pytest.approx(metrics_of_four["loss"], rel=1e-4)


def last_run(directory):
    """What the latest checkpoint says, the hashes of its arrays among it."""
    files = workdir.of_run(str(directory))
    return soundness.read_run(files.checkpoints / str(files.steps[0]))


@pytest.fixture(scope="module")
def finished(teacher, tmp_path_factory):
    """A run that nothing interrupted."""
    directory = tmp_path_factory.mktemp("finished")
    train(make_small_task(make_config(teacher)), str(directory))
    return directory


@pytest.mark.slow
def test_a_resumed_run_ends_as_one_that_was_never_interrupted(
    teacher, finished, tmp_path
):
    for action, expected in ((sigterm, SystemExit), (crash, MemoryError)):
        directory, config = tmp_path / action.__name__, make_config(teacher)
        task = make_small_task(config)
        interrupt(task, 3, action)
        with pytest.raises(expected):
            train(task, str(directory))
        train(make_small_task(config), str(directory))
        assert last_run(directory)["step"] == 4
        assert last_run(directory)["arrays"] == last_run(finished)["arrays"]
    assert not any("teacher" in name for name in last_run(finished)["arrays"])


@pytest.mark.slow
def test_the_teacher_is_known_by_its_weights(teacher, finished, tmp_path):
    identity = make_task(make_config(teacher), sources=sources_of()).teacher.identity
    assert last_run(finished)["data_facts"]["teacher"] == identity
    other = saved_teacher(tmp_path / "other", seed=1)
    with pytest.raises(UserError, match="another config, which differs in teacher"):
        train(make_small_task(make_config(other)), str(finished))
    # The same folder with other weights, as that of a run that was trained on.
    copy = tmp_path / "teacher"
    shutil.copytree(teacher, copy)
    directory = tmp_path / "run"
    task = make_small_task(make_config(str(copy)))
    interrupt(task, 3, crash)
    with pytest.raises(MemoryError):
        train(task, str(directory))
    shutil.rmtree(copy)
    shutil.copytree(other, copy)
    with pytest.raises(UserError, match="teacher is not the one of the run: its weigh"):
        train(make_small_task(make_config(str(copy))), str(directory))


@pytest.mark.slow
def test_a_run_logs_how_far_it_agrees(finished):
    first = read_metrics(finished / "metrics.jsonl")[0]
    assert 0 <= first["train/agreement"] <= 1 and first["train/loss"] > 0
    assert "train/top1" not in first


@pytest.mark.slow
def test_a_student_needs_no_teacher_to_be_evaluated(tmp_path):
    folder = saved_teacher(tmp_path / "teacher")
    directory = tmp_path / "run"
    small = {"name": "mobilenet_v1", "width_multiplier": 0.125}
    small |= {"depth_multiplier": 0.2, "resolution": 16, "stem_stride": 1}
    config = make_config(folder, epochs=0.5, model=small)
    train(make_task(config, sources=sources_of()), str(directory))
    shutil.rmtree(folder)
    found = evaluate(str(directory), sources={"val": sources_of()["val"]})
    assert found["val"]["ema"]["count"] == 16


# Outputs that are kept.


def config_to_keep(teacher, folder, **changes):
    distillation = {"outputs": str(folder)}
    return without_randomness(
        teacher, augmentation={}, distillation=distillation, **changes
    )


@pytest.mark.slow
def test_kept_outputs_are_those_of_each_step(teacher, tmp_path):
    kept = make_small_task(config_to_keep(teacher, tmp_path / "kept"))
    computed = make_small_task(without_randomness(teacher, augmentation={}))
    assert kept.teacher_variables == {}
    batch, expected = (next(task.train_batches(1)) for task in (kept, computed))
    np.testing.assert_array_equal(batch["image"], expected["image"])
    expected = computed.taught(expected, computed.teacher_variables)
    np.testing.assert_allclose(
        batch["teacher"], expected["teacher"], rtol=1e-4, atol=1e-5
    )
    _, after, _, _ = stepped(kept, dict(batch))
    _, other, _, _ = stepped(computed, next(computed.train_batches(1)))
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_outputs_are_computed_once_and_only_for_their_images(teacher, tmp_path):
    folder = tmp_path / "kept"
    config = config_to_keep(teacher, folder)
    with console.capture() as printed:
        make_task(config, sources=sources_of()).train_batches().close()
    assert "Computing the teacher's outputs, kept in" in printed.get()
    (file,) = folder.iterdir()
    assert np.load(file).shape == (16, 3)
    with console.capture() as printed:
        make_task(config, sources=sources_of()).train_batches().close()
    assert printed.get() == ""
    with pytest.raises(UserError, match="has the teacher's outputs for other images"):
        make_task(config, sources=sources_of(seed=1)).train_batches()
    other = saved_teacher(tmp_path / "other", seed=1)
    task = make_task(config_to_keep(other, folder), sources=sources_of())
    task.train_batches().close()
    assert len([*folder.iterdir()]) == 2
    file.write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"\.npy is damaged: delete it"):
        make_task(config, sources=sources_of()).train_batches()


def test_outputs_are_of_the_images_in_their_order(teacher, photographs, tmp_path):
    """A folder is read in another order where its labels count."""
    for label_weight in (0.0, 0.5):
        config = make_config(
            teacher,
            augmentation={},
            dataset={"folder": str(photographs)},
            distillation={"outputs": str(tmp_path), "label_weight": label_weight},
        )
        make_task(config).train_batches().close()
    first, second = (np.load(file) for file in tmp_path.glob("*.npy"))
    assert np.abs(first - second).max() > 0.2 * first.std()
    by_column = (np.sort(outputs, axis=0) for outputs in (first, second))
    np.testing.assert_allclose(*by_column, rtol=1e-4, atol=1e-5)


def test_outputs_that_cannot_be_kept_are_one_sentence(teacher, tmp_path):
    (tmp_path / "file").write_text("")
    task = make_task(config_to_keep(teacher, tmp_path / "file"), sources=sources_of())
    with pytest.raises(UserError, match=r"Cannot use distillation.outputs .*/file: "):
        task.train_batches()


def test_on_a_full_disk_outputs_are_one_sentence(teacher, tmp_path):
    task = make_task(config_to_keep(teacher, tmp_path), sources=sources_of())
    task.train_batches().close()
    (file,) = tmp_path.iterdir()
    file.unlink()
    # /dev/full fails as a full disk does.
    file.with_suffix(f".unfinished.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(
        UserError, match=r"Cannot use distillation.outputs .*: No space"
    ):
        task.train_batches()
    assert [*tmp_path.iterdir()] == []
