"""The networks as a library: each thing as a user would write it, and what goes wrong.

The images are noise, dark of one class and light of the other: a step or two learn it.
"""

import json
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mobilenets
from mobilenets import UserError, api
from mobilenets.data.sources.base import Record, Source
from mobilenets.metrics.means import Means
from mobilenets.networks.spec import inverted_residual
from mobilenets.tasks.classification import Classification

TINY = """
import mobilenets
from mobilenets.networks.spec import inverted_residual

def tiny(width=16):
    blocks = (
        inverted_residual(8, 16, 8, kernel_size=3, stride=2, act="relu6"),
        inverted_residual(8, 16, width, kernel_size=3, stride=2, act="relu6"),
    )
    backbone = mobilenets.BackboneSpec(
        name="tiny",
        resolution=16,
        stem_channels=8,
        act="relu6",
        blocks=blocks,
        bn_momentum=0.9,
        bn_epsilon=1e-3,
        initialization="slim",
    )
    return mobilenets.ClassifierSpec(backbone, dropout_rate=0.0)

def wider():
    return tiny(width=24)

def no_network():
    return "tiny"
"""
CONFIG = """
from mobilenets.config import recipes

def get_config():
    config = recipes.imagenet()
    config.model.spec = "networks.py:tiny"
    recipes.smoke(config)
    config.epochs = 1.0
    return config
"""
# By hand: the stem, 8 x 8 pixels, then the three layers of each block, and the logits.
TINY_MADDS = (
    64 * 27 * 8
    + (64 * 8 * 16 + 16 * 9 * 16 + 16 * 16 * 8)
    + (16 * 8 * 16 + 4 * 9 * 16 + 4 * 16 * 16)
    + 16 * 10
)
# Of what is trained from Python.
SHORT = {
    "batch_size": 8,
    "epochs": 2.0,
    "ema_decay": 0.5,
    "log_every_steps": 1,
    "optimizer.learning_rate": 0.01,
}


def tiny_spec():
    blocks = (
        inverted_residual(8, 16, 8, kernel_size=3, stride=2, act="relu6"),
        inverted_residual(8, 16, 16, kernel_size=3, stride=2, act="relu6"),
    )
    backbone = mobilenets.BackboneSpec(
        name="tiny",
        resolution=16,
        stem_channels=8,
        act="relu6",
        blocks=blocks,
        bn_momentum=0.9,
        bn_epsilon=1e-3,
        initialization="slim",
    )
    return mobilenets.ClassifierSpec(backbone, dropout_rate=0.0)


def arrays(count, seed):
    """Noise, [count, 16, 16, 3] uint8, and the class of each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = (
        rng.integers(0, 128, (count, 16, 16, 3)) + 128 * labels[:, None, None, None]
    )
    return images.astype(np.uint8), labels


def array_sources(names=("dark", "light")):
    return {
        "train": mobilenets.ArraySource(*arrays(32, seed=0), names=names),
        "val": mobilenets.ArraySource(*arrays(20, seed=1), names=names),
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a user works: an own network and a config of it."""
    (tmp_path / "networks.py").write_text(TINY)
    (tmp_path / "own.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words):
    """What a command prints, as JSON."""
    from mobilenets.cli.main import app

    capsys.readouterr()
    app(words, standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def logged(workdir):
    return [json.loads(line) for line in open(f"{workdir}/metrics.jsonl")]


# A backbone in an own module, with an own loop.


class Brightness(nn.Module):
    """Tells the brightness of an image from maps of two strides."""

    architecture: Any

    @nn.compact
    def __call__(self, images, train=False):
        backbone = mobilenets.create_backbone(self.architecture, name="trunk")
        endpoints = backbone(images, train)
        maps = [endpoints["stride4"], endpoints["stride8"]]
        vectors = [x.mean(axis=(1, 2)) for x in maps]
        return nn.Dense(1, name="brightness")(jnp.concatenate(vectors, -1))[:, 0]


def test_a_backbone_in_an_own_module_is_trained_by_an_own_loop():
    model = Brightness(tiny_spec())
    images, labels = arrays(8, seed=0)
    images, labels = jnp.asarray(images) / 127.5 - 1, jnp.asarray(labels, jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    params, batch_stats = variables["params"], variables["batch_stats"]
    optimizer = optax.adam(3e-3)
    state = optimizer.init(params)

    @jax.jit
    def step(params, batch_stats, state):
        def loss_of(params):
            outputs, updated = model.apply(
                {"params": params, "batch_stats": batch_stats},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(1)},
            )
            return jnp.mean((outputs - labels) ** 2), updated["batch_stats"]

        (loss, new_stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), new_stats, state, loss

    losses = []
    for _ in range(6):
        params, batch_stats, state, loss = step(params, batch_stats, state)
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_a_backbone_has_its_parameters_below_its_name():
    def shapes(module):
        images = jnp.zeros((1, 64, 64, 3))
        return jax.tree.map(
            jnp.shape, jax.eval_shape(module.init, jax.random.key(0), images)
        )

    inside = shapes(Brightness("mobilenet_v3_large"))
    alone = shapes(mobilenets.create_backbone("mobilenet_v3_large"))
    assert set(inside["params"]) == {"trunk", "brightness"}
    assert inside["params"]["trunk"] == alone["params"]
    assert inside["batch_stats"] == {"trunk": alone["batch_stats"]}


# An own network.


def test_an_own_network_is_trained_by_a_config_and_used_without_its_file(
    folder, capsys
):
    config = mobilenets.load_config("own.py")
    results = mobilenets.train(config, "run")
    assert results["val"]["ema"]["count"] == 40
    (folder / "networks.py").unlink()
    (folder / "own.py").unlink()
    assert mobilenets.evaluate("run")["val"]["ema"] == pytest.approx(
        results["val"]["ema"]
    )
    net = mobilenets.load("run")
    assert net.description.network == tiny_spec()
    saved = json.loads((folder / "run" / "config.json").read_text())["model"]
    assert mobilenets.load_config("quickstart", {"model": saved}).model == saved
    mobilenets.save(net, "weights")
    again = mobilenets.load("weights")
    assert again.description == net.description
    jax.tree.map(np.testing.assert_array_equal, again.variables, net.variables)


def test_an_own_network_is_counted_and_measured_by_the_commands(folder, capsys):
    profile = run(
        capsys, "profile", "networks.py:tiny", "--num-classes", "10", "--json"
    )
    assert profile["madds"] == TINY_MADDS
    [row] = run(capsys, "benchmark", "networks.py:tiny", "--resolution", "32", "--json")
    assert row["name"] == "networks.py:tiny" and row["median_seconds"] > 0
    spec = mobilenets.replace(tiny_spec(), resolution=32)
    assert row["madds"] == mobilenets.complexity.madds(spec, 1000)


def test_a_sweep_varies_own_networks(folder):
    from mobilenets.sweeps import results
    from mobilenets.sweeps.definition import Choices, Sweep

    own = Choices(values=("networks.py:tiny", "networks.py:wider", "mobilenet_v2"))
    sweep = Sweep(config="quickstart:smoke", parameters={"model.spec": own})
    counted = [results.plan(sweep, point).madds for point in sweep.points[:2]]
    # The last 1x1 convolution and the logits are wider by half.
    assert counted == [TINY_MADDS, TINY_MADDS + 4 * 16 * 8 + 8 * 10]
    with pytest.raises(UserError, match="mobilenet_v2', but must be FILE"):
        results.plan(sweep, sweep.points[2])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The workdir and the results of a run on arrays."""
    workdir = str(tmp_path_factory.mktemp("runs") / "arrays")
    config = mobilenets.load_config("quickstart", SHORT | {"model.spec": tiny_spec()})
    return workdir, mobilenets.train(config, workdir, sources=array_sources())


def test_a_spec_and_arrays_of_a_notebook_are_trained(trained):
    workdir, results = trained
    [metrics] = [r for r in logged(workdir) if r["step"] == 8 and "val/ema/loss" in r]
    assert results["val"]["ema"]["loss"] == metrics["val/ema/loss"]
    assert results["val"]["raw"]["count"] == 20
    saved = json.loads(pathlib.Path(workdir, "config.json").read_text())
    assert "name" not in saved["dataset"]  # they were not used
    assert saved["model"]["spec"]["backbone"]["resolution"] == 16


def test_a_finished_run_tells_its_results_again(trained):
    workdir, results = trained
    config = mobilenets.load_config("quickstart", SHORT | {"model.spec": tiny_spec()})
    assert mobilenets.train(config, workdir, sources=array_sources()) == results


def test_a_run_is_evaluated_on_other_images(trained):
    workdir, results = trained
    sources = {"val": array_sources()["val"], "night": array_sources()["train"]}
    found = mobilenets.evaluate(workdir, sources=sources, checkpoint="latest")
    assert found["val"]["ema"] == pytest.approx(results["val"]["ema"])
    assert found["night"]["ema"]["count"] == 32
    raw = mobilenets.evaluate(workdir, {"batch_size": 4}, sources, weights="raw")
    assert set(raw["val"]) == {"raw"} and raw["val"]["raw"]["count"] == 20


# An own task, source and metric.


class Brier(Classification):
    """Classification by the squared error of the probabilities."""

    def loss(self, outputs, batch):
        logits, _ = outputs
        error = jax.nn.softmax(logits) - jax.nn.one_hot(batch["label"], 2)
        loss = (error**2).sum(-1).mean()
        return loss, {"loss": loss, "brier": loss}


class Noise:
    """Images that are made when they are asked for."""

    names = ("dark", "light")
    upright = False

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        images, labels = arrays(2, seed=index)
        label = index % 2
        return Record(images[label], int(labels[label]), f"noise {index}")


def light(outputs, batch):
    logits, _ = outputs
    return {
        "said_light": logits.argmax(-1) == 1,
        "loss": -jax.nn.log_softmax(logits)[:, 1],
    }


class SaysLight(Classification):
    headline = "loss"
    metric = Means(light, ("said_light", "loss"), frozenset({"loss"}))


def test_an_own_task_and_an_own_source_are_trained(tmp_path):
    workdir = str(tmp_path / "run")
    config = mobilenets.load_config("quickstart", SHORT | {"model.spec": tiny_spec()})
    sources = {"train": Noise(32), "val": Noise(12), "more": Noise(6)}
    results = mobilenets.train(config, workdir, task=Brier, sources=sources)
    steps = [r for r in logged(workdir) if "train/loss" in r]
    assert len(steps) == 8
    assert all(0 < r["train/brier"] == r["train/loss"] < 2 for r in steps)
    assert steps[-1]["train/brier"] < steps[0]["train/brier"]
    assert {name: r["ema"]["count"] for name, r in results.items()} == {
        "val": 12,
        "more": 6,
    }


def test_an_own_metric_is_found_in_a_run(trained):
    workdir, _ = trained
    val = array_sources()["val"]
    found = mobilenets.evaluate(
        workdir, {"batch_size": 8}, sources={"val": val}, task=SaysLight
    )
    net = mobilenets.load(workdir)
    images, _ = arrays(20, seed=1)
    logits, _ = jax.jit(net.model.apply)(net.variables, images / np.float32(127.5) - 1)
    said_light = (logits.argmax(-1) == 1).mean()
    loss = -jax.nn.log_softmax(logits)[:, 1].mean()
    assert found["val"]["ema"] == pytest.approx(
        {"said_light": float(said_light), "loss": float(loss), "count": 20}, rel=1e-4
    )


# What goes wrong.


class NoSource:
    names = ("dark", "light")

    def __len__(self):
        return 1


class OddSource(Noise):
    def __init__(self, **values):
        super().__init__(4)
        vars(self).update(values)


VAL = array_sources()["val"]
# fmt: off
WRONG_SOURCES = [
    ({"train": VAL}, "need 'train' and 'val', but hold 'train': add 'val'"),
    ({}, "need 'train' and 'val', but hold nothing: add 'train'"),
    ({"train": VAL, "val": NoSource()}, "is a NoSource and has no upright, __geti"),
    ({"train": VAL, "val": arrays(4, 0)}, "'val' is a tuple and has no names, upr"),
    ({"train": VAL, "val": array_sources(("dark", "bright"))["val"]},
     "The evaluation set val has bright, which the network was not trained on"),
    ({"train": Noise(0), "val": VAL}, "The source 'train' is empty"),
    ({"train": OddSource(names="dark"), "val": VAL}, "texts, .*, but are 'dark'"),
    ({"train": OddSource(names=(0, 1)), "val": VAL}, r"texts, .*, but are \(0, 1\)"),
    ({"train": OddSource(upright="no"), "val": VAL}, "True or False, .* but is 'no'"),
]
# fmt: on


def test_what_is_asked_of_a_source_is_what_its_protocol_says():
    of_python = ("__len__", "__getitem__")
    members = {n for n in vars(Source) if n in of_python or not n.startswith("_")}
    assert {*api._OF_A_SOURCE} == members


@pytest.mark.parametrize(("sources", "sentence"), WRONG_SOURCES)
def test_wrong_sources_are_one_sentence(sources, sentence, tmp_path):
    config = mobilenets.load_config("quickstart", SHORT | {"model.spec": tiny_spec()})
    with pytest.raises(UserError, match=sentence):
        mobilenets.train(config, str(tmp_path / "run"), sources=sources)
    assert not (tmp_path / "run").exists()


def wrong(value: Any) -> Any:
    """A value that a type checker would find."""
    return value


def test_an_evaluation_with_wrong_values_is_one_sentence(trained, tmp_path):
    workdir, _ = trained
    with pytest.raises(UserError, match="The data set is missing"):
        mobilenets.evaluate(workdir)
    with pytest.raises(UserError, match="need 'val', but hold 'train'"):
        mobilenets.evaluate(workdir, sources={"train": VAL})
    with pytest.raises(UserError, match="Unknown weights 'emma': did you mean 'ema'"):
        mobilenets.evaluate(workdir, sources={"val": VAL}, weights=wrong("emma"))
    with pytest.raises(UserError, match="Unknown checkpoint 'last'"):
        mobilenets.evaluate(workdir, sources={"val": VAL}, checkpoint=wrong("last"))
    with pytest.raises(UserError, match="holds no run"):
        mobilenets.evaluate(str(tmp_path))
    others = array_sources(("dark", "bright"))
    with pytest.raises(UserError, match="has bright, which the network was not"):
        mobilenets.evaluate(workdir, sources=others)
    with pytest.raises(UserError, match=r"which differs in model\.resolution"):
        mobilenets.evaluate(workdir, {"model.resolution": 32}, {"val": VAL})


def test_a_run_with_a_changed_network_does_not_go_on(trained):
    workdir, _ = trained
    wider = mobilenets.replace(tiny_spec(), stem_stride=1)
    config = mobilenets.load_config("quickstart", SHORT | {"model.spec": wider})
    with pytest.raises(UserError, match=r"differs in model\.spec\.backbone\.stem_str"):
        mobilenets.train(config, workdir, sources=array_sources())


def test_a_function_that_gives_no_spec_is_one_sentence(folder, tmp_path):
    config = mobilenets.load_config(
        "quickstart:smoke", {"model.spec": "networks.py:no_network"}
    )
    with pytest.raises(
        UserError, match="must return a ClassifierSpec, but returned 'tiny'"
    ):
        mobilenets.train(config, str(tmp_path / "run"))
    with pytest.raises(
        UserError, match=r"model\.spec is 3, but should be a string, or"
    ):
        mobilenets.load_config("quickstart", {"model.spec": 3})


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'mobilenets' has no attribute 'trian'"):
        mobilenets.trian  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_a_source_of_attributes_is_refused_where_classes_are_needed():
    images = np.zeros((4, 32, 32, 3), np.uint8)
    data = mobilenets.ArraySource(images, np.eye(4, dtype=np.float32), names="abcd")
    config = mobilenets.load_config("quickstart:smoke")
    with pytest.raises(UserError, match=r"gives attributes for each .* one class"):
        mobilenets.train(config, "unused", sources={"train": data, "val": data})
