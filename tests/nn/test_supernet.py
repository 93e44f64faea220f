"""A path of the supernet is the network of its genes, in every number."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.blocks import Block
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables
from mobilenets.nn.supernet import extract
from tests.small_space import CLASSES, SPACE

GENES = [(0, 2), (2, 1)]
SUPERNET = build(SPACE, CLASSES)
IMAGES = np.random.default_rng(1).standard_normal((8, 16, 16, 3)).astype("f")
LABELS = np.arange(8) % CLASSES


def loss_of(model, variables, inputs):
    (logits, _), updated = model.apply(
        variables, inputs, train=True, mutable=["batch_stats"]
    )
    loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(8), LABELS])
    return loss, (logits, updated["batch_stats"])


def gradients(model, variables, inputs):
    def loss(params):
        return loss_of(model, {**variables, "params": params}, inputs)

    (value, (logits, stats)), grads = jax.value_and_grad(loss, has_aux=True)(
        variables["params"]
    )
    return {"loss": value, "logits": logits, "statistics": stats, "params": grads}


of_supernet = jax.jit(
    lambda variables, path: gradients(SUPERNET, variables, (IMAGES, path))
)
evaluated = jax.jit(lambda variables, path: SUPERNET.apply(variables, (IMAGES, path)))


@pytest.fixture(scope="module")
def variables():
    """With statistics and batch norm scales that no choice shares with another."""
    variables = init_variables(SUPERNET, jax.random.key(0))
    rng = np.random.default_rng(2)

    def other(leaf):
        return leaf + 0.1 * np.abs(rng.standard_normal(leaf.shape)).astype("f")

    return jax.tree.map(other, variables)


def test_before_training_a_residual_choice_is_the_identity():
    variables = init_variables(SUPERNET, jax.random.key(0))
    scales = variables["params"]["block2"]["choice1"]
    assert not scales["project"]["bn"]["scale"].any()
    # The other position has no residual.
    one = evaluated(variables, np.array([1, 0]))[0]
    np.testing.assert_array_equal(one, evaluated(variables, np.array([1, 2]))[0])
    assert (one != evaluated(variables, np.array([0, 0]))[0]).any()


def assert_close(given, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(
            a, b, rtol=1e-4, atol=1e-5 * (1 + np.abs(b).max())
        ),
        *jax.device_get((given, expected)),
    )


@pytest.mark.parametrize("genes", GENES)
def test_a_path_trains_as_the_network_alone(variables, genes):
    found = jax.device_get(of_supernet(variables, jnp.array(genes)))
    alone = extract(SPACE, variables, genes)
    network = build(SPACE.network(genes), CLASSES)
    expected = jax.jit(lambda v: gradients(network, v, IMAGES))(alone)
    part = extract(
        SPACE, {"params": found["params"], "statistics": found["statistics"]}, genes
    )
    assert_close({**found, **part}, expected)


@pytest.mark.parametrize("genes", GENES)
def test_a_path_evaluates_as_the_network_alone(variables, genes):
    logits, _ = evaluated(variables, jnp.array(genes))
    network = build(SPACE.network(genes), CLASSES)
    alone = extract(SPACE, variables, genes)
    expected, _ = jax.jit(network.apply)(alone, IMAGES)
    assert_close(logits, expected)


def test_what_is_not_on_the_path_stays_as_it_is(variables):
    genes = GENES[0]
    found = jax.device_get(of_supernet(variables, jnp.array(genes)))
    for position, gene in zip(SPACE.positions, genes, strict=True):
        for i in range(3):
            of_choice = found["params"][f"block{position}"][f"choice{i}"]
            moved = [bool(np.any(x != 0)) for x in jax.tree.leaves(of_choice)]
            assert any(moved) if i == gene else not any(moved)
            before = variables["batch_stats"][f"block{position}"][f"choice{i}"]
            after = found["statistics"][f"block{position}"][f"choice{i}"]
            same = jax.tree.map(lambda a, b: bool((a == b).all()), before, after)
            assert all(jax.tree.leaves(same)) == (i != gene)


def test_the_parameters_are_those_that_the_space_counts(variables):
    counted = sum(layer.params for layer in SPACE.layers(CLASSES))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == counted


def test_a_supernet_without_a_path_has_no_outputs(variables):
    with pytest.raises(UserError, match="without a path, a supernet has no outputs"):
        SUPERNET.apply(variables, IMAGES)


def test_positions_with_the_same_choices_are_traced_once():
    blocks = SPACE.backbone.blocks
    model = build(with_backbone(SPACE, blocks=(*blocks, blocks[-1])), CLASSES)
    variables = jax.eval_shape(lambda: init_variables(model, jax.random.key(0)))
    traced = []

    def count(call, arguments, options, context):
        is_block = isinstance(context.module, Block)
        traced.append(is_block and context.method_name == "__call__")
        return call(*arguments, **options)

    with nn.intercept_methods(count):
        jax.eval_shape(
            lambda v: gradients(model, v, (IMAGES, jnp.zeros(3, int))), variables
        )
    # The first block, and the choices of two kinds, which are computed again backwards.
    assert sum(traced) == 1 + 2 * (3 + 3)
