"""What is frozen stays as it was, to the bit; the rest starts from the weights."""

import dataclasses
import functools
import json
import shutil

import jax
import numpy as np
import pytest

from configs import finetune, quickstart
from mobilenets import UserError, get_spec
from mobilenets.config import check, schema, values
from mobilenets.evaluation.run import evaluate_run
from mobilenets.inference import trained
from mobilenets.nn.backbone import frozen_modules
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from mobilenets.training.optimizers import make_optimizer
from mobilenets.training.state import create_state
from mobilenets.training.step import make_train_step
from studies import fine_tuning
from tests.inference.test_trained import backbone_net, small_net
from tests.training.test_resume import interrupt, sigterm


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of weights for other classes than those of the data."""
    folder = tmp_path_factory.mktemp("weights") / "net"
    trained.save(small_net("mobilenet_v3_small"), str(folder))
    return folder


def make_config(weights, **changes):
    """Three steps on a few images of the embedded data set, with weight decay."""
    config = quickstart.get_config("smoke")
    config.model = {}
    config.preprocessing = values.defaults().preprocessing
    config.init_from = str(weights)
    config.epochs = 0.75
    config.ema_decay = 0.5
    config.update_from_flattened_dict(changes)
    return check.check(config)


def run(config, workdir):
    """The weights before, and the average after."""
    task = make_task(config)
    fresh = jax.device_get(task.init_variables(jax.random.key(0)))
    before = task.with_pretrained(fresh)
    train(task, str(workdir))
    return before, trained.load(str(workdir))


@pytest.fixture(scope="module")
def finished(weights, tmp_path_factory):
    """The folder of a run that trains so many stages, and what `run` says of it."""

    @functools.cache
    def finished(trainable_stages):
        folder = tmp_path_factory.mktemp("finished") / "run"
        config = make_config(weights, trainable_stages=trainable_stages)
        return folder, *run(config, folder)

    return finished


def changed_modules(before, after):
    """The modules of which a parameter or a statistic is another."""
    return {
        module
        for kind in ("params", "batch_stats")
        for module, leaves in before[kind].items()
        for a, b in zip(
            *map(jax.tree.leaves, (leaves, after[kind][module])), strict=True
        )
        if not np.array_equal(a, b)
    }


def test_weights_without_a_head_begin_a_training_with_a_new_one(tmp_path):
    net = backbone_net()
    trained.save(net, str(tmp_path / "net"))
    task = make_task(make_config(tmp_path / "net"))
    shapes = jax.eval_shape(task.init_variables, jax.random.key(0))
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    start = task.with_pretrained(ones)
    assert not start["params"].pop("logits")["kernel"].any()
    jax.tree.map(np.testing.assert_array_equal, start, net.variables)


@pytest.mark.parametrize(
    ("trainable_stages", "changed"),
    [
        (0, {"logits"}),
        (1, {"block1", "head_conv", "head_dense", "logits"}),
        pytest.param(
            *(2, {"block0", "block1", "head_conv", "head_dense", "logits"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(-1, {"stem", "block0", "block1", "head_conv", "head_dense", "logits"}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_only_the_trained_stages_change(weights, finished, trainable_stages, changed):
    _, before, net = finished(trainable_stages)
    # The run's folder holds the averages: they too are what they were, to the bit.
    assert changed_modules(before, net.variables) == changed
    original = trained.load(str(weights)).variables
    assert changed_modules(original, before) <= {"logits"}


def test_a_frozen_batch_norm_takes_part_as_in_evaluation(weights):
    config = make_config(weights, trainable_stages=0)
    task = make_task(config)
    net = trained.load(str(weights))
    images = np.random.default_rng(0).standard_normal((4, 32, 32, 3)).astype("f")
    _, expected = jax.jit(net.model.apply)(net.variables, images)
    variables = task.with_pretrained(task.init_variables(jax.random.key(0)))
    (_, endpoints), _ = jax.jit(
        lambda variables: task.model.apply(
            variables,
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )
    )(variables)
    np.testing.assert_allclose(
        endpoints["pre_logits"], expected["pre_logits"], rtol=1e-5, atol=1e-6
    )


def first_step(task, config):
    """A step, without the loop, and the state and the batch that it is given."""

    def schedule(step):
        return 0.1

    optimizer = make_optimizer(config.optimizer, schedule, task.relative_rates)
    fresh = jax.device_get(task.init_variables(jax.random.key(0)))
    state = create_state(task.with_pretrained(fresh), optimizer)
    update = make_train_step(task, optimizer, schedule)
    step = functools.partial(update, rng=jax.random.key(1), teacher_variables={})
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (8, 32, 32, 3), np.uint8),
        "label": rng.integers(0, 10, 8, np.int32),
    }
    return step, state, batch


def after_first_step(task, config):
    """The state after one step, without the loop, and its metrics."""
    step, state, batch = first_step(task, config)
    return jax.jit(step)(state, batch)


def test_frozen_parameters_do_not_count_in_the_norm_of_the_gradient(weights):
    config = make_config(weights, trainable_stages=0, **{"optimizer.name": "sgd"})
    task = make_task(config)
    state, metrics = after_first_step(task, config)
    # SGD from rest: its momentum is the gradient, decay included, of what is trained.
    weight = task.with_pretrained(task.init_variables(jax.random.key(0)))["params"]
    momentum = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim]
    decay = config.optimizer.weight_decay * weight["logits"]["kernel"]
    gradients = [leaf - decay if leaf.ndim == 2 else leaf for leaf in momentum]
    norm = np.sqrt(sum(float((g**2).sum()) for g in gradients))
    assert metrics["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert norm > 0


def test_the_optimizer_has_no_state_for_what_is_frozen(weights):
    config = make_config(weights, trainable_stages=0)
    state, _ = after_first_step(make_task(config), config)
    # AdamW: two moments of the logits' kernel and bias.
    shapes = [leaf.shape for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim]
    assert sorted(shapes) == [(10,), (10,), (40, 10), (40, 10)]


def test_nothing_is_computed_backwards_through_what_is_frozen(weights):
    def products(trainable_stages):
        config = make_config(weights, trainable_stages=trainable_stages)
        step, state, batch = first_step(make_task(config), config)
        text = str(jax.make_jaxpr(step)(state, batch))
        return text.count("dot_general") + text.count("conv_general_dilated")

    assert products(0) < products(1) < products(-1)


def test_the_backbone_learns_at_its_own_rate(weights):
    def change(**changes):
        sgd = {"optimizer.name": "sgd", "optimizer.weight_decay": 1e-3}
        config = make_config(weights, **sgd, **changes)
        step, before, batch = first_step(make_task(config), config)
        after, _ = jax.device_get(jax.jit(step)(before, batch))
        return jax.tree.map(lambda a, b: b - a, before.params, after.params)

    full, tenth = change(), change(**{"optimizer.backbone_rate": 0.1})
    for module in full:
        rate = 1.0 if module == "logits" else 0.1
        for a, b in zip(
            *map(jax.tree.leaves, (full[module], tenth[module])), strict=True
        ):
            np.testing.assert_allclose(b, rate * a, atol=2e-7, rtol=1e-3)


def test_the_logits_are_new_unless_the_classes_are_the_same(tmp_path):
    task = make_task(make_config_for(tmp_path, ("cat", "dog")))
    fresh = jax.device_get(task.init_variables(jax.random.key(0)))
    assert task.with_pretrained(fresh)["params"]["logits"]["kernel"].shape == (40, 10)

    classes = task.class_names
    task = make_task(make_config_for(tmp_path, classes))
    kept = task.with_pretrained(fresh)["params"]["logits"]["kernel"]
    original = trained.load(str(tmp_path / str(len(classes)))).variables
    np.testing.assert_array_equal(kept, original["params"]["logits"]["kernel"])


def make_config_for(folder, classes):
    path = folder / str(len(classes))
    trained.save(small_net(classes=classes), str(path))
    return make_config(path)


def test_a_run_is_itself_something_to_start_from(finished):
    folder, _, net = finished(0)
    assert net.description.class_names[0] == "T-shirt/top"
    assert net.description.preprocessing.mean == (1.0, 2.0, 3.0)
    task = make_task(make_config(folder))
    fresh = jax.device_get(task.init_variables(jax.random.key(0)))
    # The same classes, so the logits are kept as well.
    assert changed_modules(net.variables, task.with_pretrained(fresh)) == set()


def test_an_interrupted_run_ends_as_one_that_was_not(weights, finished, tmp_path):
    config = make_config(weights, trainable_stages=1)
    _, _, whole = finished(1)
    task = make_task(config)
    interrupt(task, 2, sigterm)
    with pytest.raises(SystemExit):
        train(task, str(tmp_path / "parts"))
    train(make_task(config), str(tmp_path / "parts"))
    parts = trained.load(str(tmp_path / "parts"))
    assert changed_modules(whole.variables, parts.variables) == set()


def test_a_run_is_evaluated_with_its_own_weights_only(weights, finished, tmp_path):
    folder, _, _ = finished(0)
    net = trained.load(str(weights))
    other = net.description.model_copy(update={"preprocessing": schema.Preprocessing()})
    trained.save(dataclasses.replace(net, description=other), str(tmp_path / "other"))
    task = make_task(make_config(tmp_path / "other", trainable_stages=0))
    with pytest.raises(UserError, match=r"differs in preprocessing\.crop_fraction"):
        evaluate_run(task, str(folder))
    with pytest.raises(UserError, match=r"differs in init_from .*preprocessing\.mean"):
        train(task, str(folder))


def test_a_run_is_refused_where_its_weights_have_become_others(weights, tmp_path):
    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    config = make_config(folder, trainable_stages=0, epochs=0.25)
    run(config, tmp_path / "run")
    described = json.loads((folder / "network.json").read_text())
    described["network"]["backbone"]["bn_epsilon"] *= 2
    (folder / "network.json").write_text(json.dumps(described))
    task = make_task(config)
    with pytest.raises(UserError, match="The network is not that of the run: give"):
        evaluate_run(task, str(tmp_path / "run"))
    with pytest.raises(UserError, match="The network is not that of the run: give"):
        train(task, str(tmp_path / "run"))


def test_the_resolution_may_be_another(weights):
    task = make_task(make_config(weights, **{"model": {"resolution": 48}}))
    assert task.spec.resolution == 48


MISTAKES = [
    ({"model": {"name": "mobilenet_v2"}}, "model.name is given, but init_from defines"),
    (
        {"preprocessing.crop_fraction": 0.5},
        "preprocessing is given, but the weights",
    ),
    ({"init_from": ""}, "the network is missing: give init_from, a folder of"),
    (
        {"init_from": "", "model": {"name": "mobilenet_v2"}, "trainable_stages": 1},
        "trainable_stages is 1, but what is not trained must come from init_from",
    ),
    ({"trainable_stages": 3}, "trainable_stages is 3, but mobilenet_v3_small has 2"),
    ({"trainable_stages": -2}, "trainable_stages is -2, but must be at least -1"),
    ({"optimizer.backbone_rate": 0.0}, "optimizer.backbone_rate is 0.0, but must"),
    (
        {"init_from": "/nowhere"},
        r"There is no folder /nowhere \(config.init_from\): give",
    ),
    (
        {"model": {"width_multiplier": 0.5}},
        "Unknown option 'width_multiplier' of mobil",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_is_one_clear_sentence(weights, changes, message):
    with pytest.raises(UserError, match=message):
        make_task(make_config(weights, **changes))


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_as_for_users")
def test_real_weights_beat_random_ones_by_far(tmp_path):
    """The first steps of what `studies/fine_tuning.py` shows, with the logits alone."""
    fine_tuning.make_images(tmp_path / "images")
    fine_tuning.make_weights(tmp_path)
    top1 = {}
    for weights in ("pretrained", "random"):
        config = finetune.get_config()
        config.init_from = str(tmp_path / weights)
        config.dataset.folder = str(tmp_path / "images")
        config.trainable_stages = 0
        config.model.resolution = 96
        config.epochs = config.evaluate_every_epochs = 2.0
        config = check.check(config)
        train(make_task(config), str(tmp_path / f"run_{weights}"))
        *_, last = read_metrics(tmp_path / f"run_{weights}/metrics.jsonl")
        top1[weights] = last["val/raw/top1"]
    assert top1["pretrained"] > top1["random"] + 0.25, top1


def test_the_stages_of_the_papers_networks():
    assert frozen_modules(get_spec("mobilenet_v2"), 1)[-1] == "block12"  # to 160 next
    assert frozen_modules(get_spec("resnet50"), 1)[-1] == "block12"  # conv5_x is left
    assert frozen_modules(get_spec("efficientnet_b0"), 4) == ("stem", "block0")


def test_a_checkpoint_describes_its_network(weights, tmp_path):
    config = make_config(weights)
    task = make_task(config)
    description = trained.Description.model_validate_json(json.dumps(task.description))
    assert description.network == task.spec
