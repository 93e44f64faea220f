"""A step of the supernet: every choice once, each trained as if it were alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mobilenets
from mobilenets import UserError
from mobilenets.config import check, files
from mobilenets.inference import trained
from mobilenets.networks.architectures import get_search_space
from mobilenets.nn.build import build
from mobilenets.nn.supernet import extract
from mobilenets.runs.metric_log import read_metrics
from mobilenets.runs.workdir import Workdir
from mobilenets.runtime import sharding
from mobilenets.tasks.registry import make_task
from mobilenets.tasks.supernet import fair_paths, uniform_path
from mobilenets.training.loop import jitted_functions, train
from tests.small_space import CLASSES, SPACE

VALUES = {
    "task": {"name": "supernet"},
    "model": {"spec": "tests/small_space.py:space"},
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0},
    "schedule": {"name": "piecewise", "boundaries": (1e6,)},
    "evaluate_every_epochs": 1.0,
}


def make_config(**changes):
    config = files.read("quickstart:smoke")
    for key, value in (VALUES | changes).items():
        config[key] = value
    return check.check(config)


def test_each_choice_of_each_position_is_in_one_path():
    space = get_search_space("moga")
    paths = fair_paths(jax.random.key(3), space)
    assert paths.shape == (12, 14)
    assert (jnp.sort(paths, axis=0) == jnp.arange(12)[:, None]).all()
    assert len({tuple(column.tolist()) for column in paths.T}) == 14
    other = fair_paths(jax.random.key(4), space)
    assert (paths != other).any()


def test_a_uniform_path_has_every_choice_as_often():
    space = get_search_space("moga")
    draw = jax.jit(jax.vmap(lambda rng: uniform_path(rng, space)[0]))
    paths = draw(jax.random.split(jax.random.key(0), 6000))
    counts = jnp.stack([(paths == i).sum(0) for i in range(12)])
    # 500 expected, a deviation of 21.
    assert (abs(counts - 500) < 110).all()


def summed_gradients(task, state, batch, paths):
    """Of each path by itself, with the statistics that the one before has left."""
    total, statistics = jax.tree.map(np.zeros_like, state.params), state.batch_stats

    @jax.jit
    def one(params, statistics, path):
        def loss(params):
            (logits, _), updated = task.model.apply(
                {"params": params, "batch_stats": statistics},
                task.inputs({**batch, "path": path}),
                train=True,
                mutable=["batch_stats"],
            )
            chosen = jax.nn.log_softmax(logits)[jnp.arange(16), batch["label"]]
            return -chosen.mean(), updated["batch_stats"]

        return jax.grad(loss, has_aux=True)(params)

    for path in paths:
        new, statistics = jax.device_get(one(state.params, statistics, path))
        total = jax.tree.map(np.add, total, new)
    return total, statistics


@pytest.mark.usefixtures("four_devices")
def test_a_step_follows_the_sum_of_the_gradients_of_its_paths():
    task = make_task(make_config())
    mesh = sharding.data_mesh(16, 1)
    assert mesh.size == 4
    create, step = jitted_functions(task, mesh)
    # A residual block begins as the identity; these do something.
    start = jax.tree.map(lambda x: x + 0.1, task.init_variables(jax.random.key(0)))
    before = jax.device_get(create(start))
    batch = next(iter(task.train_batches()))
    rng = jax.random.key(5)
    after, _ = step(
        create(start),
        sharding.to_devices(mesh, batch),
        rng,
        {},
    )
    paths = task.variants(jax.random.fold_in(jax.random.fold_in(rng, 0), 2**32 - 1))
    assert len(paths["path"]) == 3
    grads, statistics = summed_gradients(task, before, batch, paths["path"])

    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)

    stepped = jax.tree.map(lambda p, g: p - 0.1 * g, before.params, grads)
    jax.tree.map(close, jax.device_get(after.params), stepped)
    jax.tree.map(close, jax.device_get(after.batch_stats), statistics)
    for gradient in jax.tree.leaves(grads):  # no choice is left out
        assert bool((gradient != 0).any())


@pytest.mark.parametrize("sampling", ["fair", "uniform"])
def test_a_training_that_diverges_ends_in_a_sentence(sampling, tmp_path):
    config = make_config(
        task={"name": "supernet", "sampling": sampling},
        optimizer={"name": "sgd", "learning_rate": 1e30, "momentum": 0.0},
    )
    with pytest.raises(
        UserError, match=r"is (nan|inf) at step .*: the training diverg"
    ):
        train(make_task(config), str(tmp_path))


def test_uniform_sampling_has_one_path_a_step():
    settings = {"name": "supernet", "sampling": "uniform"}
    task = make_task(make_config(task=settings))
    rngs = jax.random.split(jax.random.key(0), 20)
    paths = jax.vmap(lambda rng: task.variants(rng)["path"])(rngs)
    assert paths.shape == (20, 1, 2)
    assert len(np.unique(paths.reshape(20, 2), axis=0)) > 5
    outputs = jnp.eye(CLASSES)[:4], {}
    batch = {"label": jnp.arange(4)}
    uniform, fair = (t.loss(outputs, batch) for t in (task, make_task(make_config())))
    # Of three paths a step follows the mean, three times which is the sum.
    assert float(fair[0]) == pytest.approx(3 * float(uniform[0]))
    assert fair[1] == uniform[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workdir of a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("supernet") / "run"
    train(make_task(make_config()), str(folder))
    return folder


def test_an_interrupted_run_resumes_to_the_bit(run, tmp_path):
    class Stop(Exception):
        pass

    def stop(step, results):
        if step == 4:
            raise Stop

    interrupted = str(tmp_path / "run")
    with pytest.raises(Stop):
        train(make_task(make_config()), interrupted, stop)
    train(make_task(make_config()), interrupted)
    jax.tree.map(
        np.testing.assert_array_equal,
        trained.load(interrupted).variables,
        trained.load(str(run)).variables,
    )
    losses = [
        [record.get("train/loss") for record in read_metrics(Workdir(path).metrics)]
        for path in (run, tmp_path / "run")
    ]
    assert losses[0] == losses[1]


def test_extracted_weights_are_a_folder_to_start_from(run, tmp_path):
    net = trained.load(str(run))
    genes = (1, 2)
    network = SPACE.network(genes)
    description = net.description.model_copy(
        update={"task": "classification", "network": network}
    )
    folder = tmp_path / "extracted"
    variables = extract(SPACE, net.variables, genes)
    trained.save(trained.TrainedNet(description, variables), str(folder))
    config = make_config(
        task={"name": "classification"}, model={}, init_from=str(folder)
    )
    task = make_task(config)
    assert task.spec == network
    start = task.with_pretrained(task.init_variables(jax.random.key(0)))
    jax.tree.map(np.testing.assert_array_equal, start, variables)
    images = np.full((2, 16, 16, 3), 0.5, np.float32)
    logits, _ = jax.jit(build(network, CLASSES).apply)(start, images)
    path = jnp.array(genes)
    expected, _ = jax.jit(net.model.apply)(net.variables, (images, path))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_run_is_evaluated_by_its_folder(run):
    """By random paths, the same ones each time."""
    results = [mobilenets.evaluate(str(run), checkpoint="latest") for _ in range(2)]
    assert results[0] == results[1]
    logged = read_metrics(Workdir(run).metrics)[-1]
    assert results[0]["val"]["ema"]["top1"] == pytest.approx(logged["val/ema/top1"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulation_steps": 2}, "a supernet accumulates over its networks"),
        ({"model": {"name": "mobilenet_v2"}}, "Unknown search space 'mobilenet_v2'"),
        ({"model": {"spec": "tests/small_space.py:classifier"}}, "must return a Sear"),
    ],
)
def test_mistakes_are_sentences(changes, message):
    with pytest.raises(UserError, match=message):
        make_task(make_config(**changes))


def test_a_classifier_does_not_start_from_a_supernet(run):
    config = make_config(task={"name": "classification"}, model={}, init_from=str(run))
    with pytest.raises(UserError, match="The weights in init_from are a supernet"):
        make_task(config)


def test_strict_fairness_needs_as_many_choices_everywhere():
    model = {"spec": "tests/small_space.py:uneven"}
    with pytest.raises(UserError, match="but uneven has from 2 to 3: use 'uniform'"):
        make_task(make_config(model=model))
    make_task(
        make_config(model=model, task={"name": "supernet", "sampling": "uniform"})
    )
