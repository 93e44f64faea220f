"""Random overrides of every config: a checked configuration, or one sentence.

What is accepted can be saved, read back and computed with: no number in it is infinite,
and none is so small or so large that what follows from it is.
"""

import math
import random
from collections.abc import Mapping

import numpy as np
import pytest

from mobilenets.config import check, describe, files, keys, overrides
from mobilenets.config.schema import RandomCrop
from mobilenets.data.operations import random_box
from mobilenets.data.preprocessing import fit
from mobilenets.errors import UserError
from mobilenets.networks import own_spec
from mobilenets.training import optimizers

CONFIGS = files.shipped("get_config")
OVERRIDES_OF_EACH = 30

# fmt: off
NUMBERS = [
    "0", "1", "2", "-1", "3.0", "1.0", "0.5", "1e-320", "1e-9", "1e-3", "100", "1e9",
    "1e30", "1e308", "1e400", "-1e400", "nan", "inf", str(10**30),
]
TEXTS = [
    *NUMBERS,
    "-0.0", "1e-30", "-inf", "9" * 5000,
    "True", "false", "None", "", " ", "many", "'", "'a'", "b'x'", "1j", "...", "a.b",
    ".", "[]", "()", "{}", "[1]", "1,2,3", "1e400,1,1", "(1e-320, 1.0, 0.0)", "[[1]]",
    "{1}", "{1: 2}", "{'': 1}", "{'a.b': 1}", "{'a': {'b': 1}}", "{'name': 3}",
    "{'name': []}",
    "{'name': 'x', 'folder': 'y'}", "{'width_multiplier': 1e400}", "{None: None}",
    "train[5:2]", "train[", "\x00", "\udcff", "sgd", "multilabel", "cosine", "resnet50",
    "((((((((((1,),),),),),),),),)", "-" * 3000, "[" * 3000,
]
VALUES = [
    math.nan, math.inf, -math.inf, None, [], {}, {1: 2}, {"": 1}, {"name": math.nan},
    {"a": [math.nan]}, b"x", object, 2**70, 10**400,
    np.float32(2), np.int64(3), np.ones(3), {1},
    "text", "\ud800", 0.5, -3, True, (1.0, math.inf, 1.0), {"night": {"split": 3}},
]
OF_MODEL = [
    "name", "spec", "width_multiplier", "depth_multiplier", "resolution", "stem_stride",
    "bn_momentum", "bn_epsilon", "dropout_rate", "drop_path_rate", "padding",
    "reduction", "rounding", "layout", "version", "name.x", "", "a b", "1", 
    "resolution.",
]
CHOSEN_NAMES = [
    "evals.night", "evals.night.folder", "evals.night.split", "evals.night.", "evals.",
    "evals..split", "evals.a b.split", "task.weights.Smiling", "task.weights.",
    "task.weights.a.b", "", ".", "batch_size.", ".batch_size", "optimizer..name",
]
# fmt: on


KEYS = [*keys.known(), *(f"model.{name}" for name in OF_MODEL * 2), *CHOSEN_NAMES]


def drawn(generator):
    """One or two overrides, as words of a command line or as values from Python."""
    names = generator.choices(KEYS, k=generator.choice((1, 1, 2)))
    if generator.random() < 0.7:
        texts = generator.choice((NUMBERS, TEXTS))
        return [f"--config.{name}={generator.choice(texts)}" for name in names]
    return {name: generator.choice(VALUES) for name in names}


def accepted(file, given):
    """The configuration; None if one sentence says why there is none."""
    try:
        built = files.read(file)
        values = given if isinstance(given, Mapping) else overrides.parse(given)
        overrides.apply(built, values)
        return check.check(built)
    except UserError as error:
        sentence = str(error)
        assert sentence.endswith((".", "?")), sentence
        assert "\n" not in sentence
        assert len(sentence) < 1500, sentence
        return None


def numbers(value):
    if isinstance(value, Mapping):
        return [n for inner in value.values() for n in numbers(inner)]
    if isinstance(value, list | tuple):
        return [n for inner in value for n in numbers(inner)]
    return [value] if isinstance(value, int | float) else []


def compute_with(config):
    """What a run computes from it before it sees an image."""
    for size in (config.batch_size, 1_281_167):
        steps = config.total_steps(size)
        period = config.evaluate_every_epochs * size / config.batch_size
        assert math.isfinite(steps / period)
        rate = optimizers.make_schedule(
            config.schedule,
            config.optimizer.learning_rate,
            size / config.batch_size,
            steps,
        )
        assert math.isfinite(rate(0))
        assert math.isfinite(rate(steps))
    for operation in config.augmentation:
        if isinstance(operation, RandomCrop):
            left, top, right, bottom = random_box(
                30, 20, np.random.default_rng(0), operation
            )
            assert 0 <= left < right <= 30
            assert 0 <= top < bottom <= 20
    assert max(fit(300, 200, 224, config.preprocessing).size) < 100_000
    if not config.init_from:
        try:
            own_spec.of_model(config.model)
        except UserError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("file", CONFIGS)
def test_a_random_override_is_checked_or_refused_in_one_sentence(file):
    generator = random.Random(file)
    assert len(CONFIGS) * OVERRIDES_OF_EACH >= 500
    for _ in range(OVERRIDES_OF_EACH):
        given = drawn(generator)
        try:
            config = accepted(file, given)
            if config is None:
                continue
            assert all(map(math.isfinite, numbers(config.model_dump())))
            if not isinstance(config.model.get("spec"), str):  # a run saves its network
                assert check.from_json(config.model_dump_json()) == config
            assert describe.rows(config)
            compute_with(config)
        except Exception as error:
            error.add_note(f"{file}, with {given!r:.300}")
            raise
