"""A candidate's score is that of its network alone, and nothing is compiled anew."""

import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenets.config.schema import Preprocessing
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables
from mobilenets.nn.normalization import normalize
from mobilenets.nn.supernet import extract
from mobilenets.search import candidates as module
from mobilenets.search.candidates import Candidates, Images
from tests.small_space import CLASSES, SPACE

GENERATOR = np.random.default_rng(0)
IMAGES = Images(
    calibration=GENERATOR.integers(0, 256, (16, 16, 16, 3), np.uint8),
    ranking=GENERATOR.integers(0, 256, (22, 16, 16, 3), np.uint8),  # no multiple of 8
    labels=GENERATOR.integers(0, CLASSES, 22).astype(np.int32),
    chunk=8,
)
ALL = [(i, j) for i in range(3) for j in range(3)]


@pytest.fixture(scope="module")
def variables():
    variables = init_variables(build(SPACE, CLASSES), jax.random.key(0))
    # A residual block begins as the identity; these do something.
    return jax.tree.map(lambda leaf: leaf + 0.1, variables)


def make(variables, **options):
    return Candidates(SPACE, variables, CLASSES, Preprocessing(), IMAGES, **options)


def score_alone(variables, genes):
    """Batch statistics of the calibration images, then an evaluation of the others."""
    # With a momentum of 0 the running statistics are those of the batch.
    spec = with_backbone(SPACE.network(genes), bn_momentum=0.0)
    network = build(spec, CLASSES)
    calibration, images = (
        normalize(jnp.asarray(x), Preprocessing())
        for x in (IMAGES.calibration, IMAGES.ranking)
    )

    @jax.jit
    def logits_of(own):
        _, updated = network.apply(
            own, calibration, train=True, mutable=["batch_stats"]
        )
        return network.apply({**own, **updated}, images)[0]

    logits = logits_of(extract(SPACE, variables, genes))
    chosen = jax.nn.log_softmax(logits)[jnp.arange(22), IMAGES.labels]
    return float((logits.argmax(-1) == IMAGES.labels).mean()), -float(chosen.mean())


@pytest.mark.parametrize("genes", [(0, 1), (2, 2)])
def test_a_score_is_that_of_the_network_alone(variables, genes):
    score = make(variables).score(genes)
    assert (score.accuracy, score.loss) == pytest.approx(
        score_alone(variables, genes), rel=1e-4
    )


def test_after_warming_up_200_networks_compile_nothing():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "compile" in event else None
    )
    first, second, third = SPACE.backbone.blocks
    blocks = (first, second, *4 * [third])
    deep = with_backbone(SPACE, name="deep", blocks=blocks)  # 3^5 networks
    variables = init_variables(build(deep, CLASSES), jax.random.key(0))
    candidates = Candidates(
        deep,
        variables,
        CLASSES,
        Preprocessing(),
        IMAGES,
        cache_bytes=0,  # so that all pieces are computed
    )
    candidates.warm_up()
    programs = module._run._cache_size(), module._score._cache_size()
    assert compiled, "the listener hears of compilations"
    compiled.clear()
    everything = list(itertools.product(range(3), repeat=5))
    for genes in random.Random(1).sample(everything, 200):
        candidates.score(genes)
    assert not compiled
    assert (module._run._cache_size(), module._score._cache_size()) == programs


def test_what_is_shared_is_computed_once_and_changes_nothing(variables):
    shared, alone = make(variables), make(variables, cache_bytes=0)
    for genes in ALL:
        assert shared.score(genes) == alone.score(genes)
    # Stem and first block once, three first choices, nine second ones and nine heads.
    assert shared.pieces_computed == 2 + 3 + 9 + 9
    assert alone.pieces_computed == alone.pieces_asked_for == 9 * 5


def test_the_cache_has_a_bound(variables):
    first = 8 * 8 * 8 * (16 + 24) * 4  # bytes of a map of the stem
    candidates = make(variables, cache_bytes=3 * first)
    for genes in ALL:
        candidates.score(genes)
        assert candidates._cached <= 3 * first
        kept = sum(module._bytes(maps) for maps in candidates._cache.values())
        assert kept == candidates._cached


def test_a_network_that_has_diverged_has_a_loss_that_says_so(variables):
    broken = jax.tree.map(lambda x: x, variables)
    broken["params"]["block1"]["choice1"]["project"]["conv"]["kernel"] *= jnp.nan
    candidates = make(broken)
    assert not np.isfinite(candidates.score((1, 0)).loss)
    assert np.isfinite(candidates.score((0, 0)).loss)
