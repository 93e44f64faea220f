"""`--config.KEY=VALUE`: the value is of the schema's type, and set where it belongs."""

from typing import Any

import pytest

from mobilenets.config import check, files, overrides
from mobilenets.config.schema import (
    SGD,
    AdamW,
    ColorJitter,
    Flip,
    FolderDataset,
    FolderEval,
    MultilabelTask,
    Preprocessing,
    RandomCrop,
)
from mobilenets.errors import UserError


def configured(*words, file="quickstart"):
    words = [f"--config.{word}" for word in words]
    return files.configuration(file, overrides.parse(words))


# fmt: off
VALUES = [
    ("batch_size", "64", 64), ("epochs", "6", 6.0), ("epochs", "1e-1", 0.1),
    ("remat", "true", True), ("remat", "False", False),
    ("init_from", "123", "123"), ("init_from", "'a b'", "a b"), ("init_from", "", ""),
    ("preprocessing.mean", "1,2,3", (1.0, 2.0, 3.0)),
    ("preprocessing.mean", "[1, 2, 3]", (1.0, 2.0, 3.0)),
    ("schedule.boundaries", "(1.5,)", (1.5,)),
    ("optimizer.momentum", "0", 0.0), ("optimizer.name", "adam", "adam"),
    ("model.width_multiplier", "0.5", 0.5), ("model.name", "moga_a", "moga_a"),
    ("task.weights.Smiling", "2", 2.0), ("evals.night.folder", "1", "1"),
    ("augmentation.flip", "None", None), ("evals.night", "None", None),
    ("evals.night", "{'folder': 'a'}", {"folder": "a"}),
    ("seed", "-1", -1),
]
# fmt: on


@pytest.mark.parametrize(("key", "text", "value"), VALUES)
def test_a_text_becomes_a_value_of_the_schema_s_type(key, text, value):
    found = overrides.parse([f"--config.{key}={text}"])
    assert found == {key: value}
    assert type(found[key]) is type(value)
    assert overrides.parse([f"--config.{key}", text]) == found


# fmt: off
MISTAKES = [
    (["--config.batch_size=many"], "--config.batch_size=many is wrong: the value must "
     "be of type int, like 128"),
    (["--config.batch_size=2.5"], "must be of type int"),
    (["--config.seed=True"], "must be of type int"),
    (["--config.epochs=[1"], "must be of type float"),
    (["--config.remat=yes"], "must be of type bool"),
    (["--config.preprocessing.mean=1,2"], "must be of type tuple"),
    (["--config.augmentation.flip=True"], "KEY=VALUE, or give {} to add it and None to"
     " remove it."),
    (["--config.optimizer=sgd"], "optimizer is a section: set its values, --config.opti"
     "mizer.KEY=VALUE"),
    (["--config.batch_size=None"], "must be of type int"),
    (["--config.bacth_size=3"], "unknown key bacth_size (did you mean batch_size?)"),
    (["--config.Optimizer.name=sgd"], "did you mean optimizer.name?"),
    (["--config.label_smoothing=0.1"], "did you mean task.label_smoothing?"),
    (["--config.optimizer.epsilon.x=3"], "unknown key optimizer.epsilon.x"),
    (["--config.model.stem.act=3"], "unknown key model.stem.act"),
    (["--config.evals.night.splt=3"], "did you mean evals.night.split?"),
    (["--config.optimizer.lr=3"], "did you mean optimizer.learning_rate?"),
    (["--config.lr=3"], "did you mean optimizer.learning_rate?"),
    (["--config.width=3"], "did you mean model.width_multiplier?"),
    (["--config.optimizer.batch_size=3"], "did you mean batch_size?"),
    (["--config.optimizer.betas=3"], "unknown key optimizer.betas (optimizer may have"),
    (["--config.augmentation.random_crop.name=x"], "unknown key augmentation.random"),
    (["--config.=3"], "unknown key ''"),
    (["--config.seed"], "--config.seed needs a value"),
    (["--config.seed", "--config.epochs=3"], "--config.seed needs a value"),
    (["--wrokdir=x"], "No such option: --wrokdir. Did you mean --workdir?"),
    (["stray"], "Unexpected argument 'stray'"),
]
# fmt: on


@pytest.mark.parametrize(("words", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(words, sentence):
    with pytest.raises(UserError) as error:
        overrides.parse(words, ["--workdir"])
    assert sentence in str(error.value)


@pytest.mark.parametrize("text", ["inf", "-Infinity", "nan"])
def test_a_number_that_is_not_finite_is_refused_as_what_it_is(text):
    with pytest.raises(UserError, match=r"epochs is (-?inf|nan), but must be a finite"):
        configured(f"epochs={text}")


def test_another_optimizer_drops_what_only_the_former_has():
    words = ("optimizer.name=adamw",)
    optimizer = configured(*words, file="mobilenet_v2").optimizer
    # Not RMSProp's epsilon of 1, which is another number.
    assert optimizer == AdamW(learning_rate=0.36, weight_decay=4e-5)
    words = ("optimizer.nesterov=True", "optimizer.name=sgd")
    assert configured(*words, file="mobilenet_v2").optimizer == SGD(
        learning_rate=0.36, weight_decay=4e-5, nesterov=True
    )
    same = configured("optimizer.name=rmsprop", file="mobilenet_v2").optimizer
    assert same == configured(file="mobilenet_v2").optimizer


def test_another_source_drops_what_only_the_former_has():
    dataset = configured("dataset.folder=photos", file="mobilenet_v2").dataset
    assert dataset == FolderDataset(folder="photos", num_workers=16)
    smoke = configured("dataset.folder=photos", file="quickstart:smoke").dataset
    assert smoke == FolderDataset(folder="photos")  # not "train[:64]"
    config = files.read("quickstart")
    overrides.apply(config, {"dataset.folder": "a", "dataset.eval_fraction": 0.2})
    overrides.apply(config, {"dataset.table": "a.csv"})
    dataset = check.check(config).dataset
    assert (dataset.table, dataset.eval_fraction) == ("a.csv", 0.2)
    with pytest.raises(UserError, match=r"dataset\.folder and dataset\.name are both"):
        configured("dataset.folder=photos", "dataset.name=imagenet2012")


def test_operations_are_added_changed_and_removed():
    crop = RandomCrop(min_area=0.75, max_aspect_ratio=1.15)
    added = configured("augmentation.color_jitter.hue=0.1").augmentation
    assert added == (crop, Flip(), ColorJitter(hue=0.1))
    assert configured("augmentation.flip=None").augmentation == (crop,)
    assert configured("augmentation.flip={}").augmentation == (crop, Flip())
    assert configured("augmentation.random_crop={}").augmentation[0] == crop
    removed = configured("augmentation.flip=None", "augmentation.random_crop=None")
    assert removed.augmentation == ()


def test_entries_of_dicts_are_added_and_removed():
    words = ("evals.night.folder=photos", "evals.night.split=test")
    assert configured(*words).evals == {
        "night": FolderEval(folder="photos", split="test")
    }
    words = ("task.name=multilabel", "task.weights.Smiling=2")
    assert configured(*words).task == MultilabelTask(weights={"Smiling": 2.0})
    assert "width_multiplier" not in configured("model.width_multiplier=None").model


def test_what_follows_from_a_value_follows_from_the_override():
    assert configured("batch_size=64").optimizer.learning_rate == pytest.approx(6e-3)
    words = ("batch_size=64", "optimizer.learning_rate=0.1")
    assert configured(*words).optimizer.learning_rate == 0.1


def test_another_network_replaces_one_given_in_the_other_way():
    config: Any = files.read("quickstart")
    overrides.apply(config, {"model.spec": "own.py:tiny", "model.resolution": 48})
    assert config.model.to_dict() == {"spec": "own.py:tiny", "resolution": 48}
    overrides.apply(config, {"model.spec": "own.py:wide"})  # in the same way
    assert config.model.to_dict() == {"spec": "own.py:wide", "resolution": 48}
    overrides.apply(config, {"model": {"name": "moga_a"}})
    assert config.model.to_dict() == {"name": "moga_a"}


@pytest.mark.parametrize("file", ["quickstart", "mobilenet_v2", "efficientnet_b0"])
def test_weights_to_start_from_replace_the_network_of_the_file(file):
    config = configured("init_from=weights", file=file)
    assert (config.init_from, config.model) == ("weights", {})
    assert config.preprocessing == Preprocessing()
    kept = configured(file=file)
    assert (config.augmentation, config.optimizer) == (
        kept.augmentation,
        kept.optimizer,
    )
    words = ("model.resolution=96", "init_from=weights")
    assert configured(*words, file=file).model == {"resolution": 96}


def test_options_for_weights_stay_with_others():
    config = configured("init_from=weights", file="finetune")
    assert config.model == {"bn_momentum": 0.9}  # of the file, for any weights
    built: Any = files.read("finetune")
    overrides.apply(built, {"init_from": "a", "preprocessing.crop_fraction": 0.5})
    overrides.apply(built, {"init_from": "b"})
    assert built.preprocessing.crop_fraction == 0.5
    unchanged = configured("init_from=", file="quickstart")
    assert unchanged == configured(file="quickstart")


def test_weights_and_another_network_are_too_much():
    for word in ("model.name=moga_a", "model.spec=own.py:tiny"):
        with pytest.raises(
            UserError, match="is given, but init_from defines the network"
        ):
            configured(word, "init_from=weights")
