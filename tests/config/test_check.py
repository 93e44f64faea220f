"""The config is checked before anything is built; each mistake is one sentence."""

import json
import math

import pytest

from mobilenets.config import check, values
from mobilenets.config.differences import Difference, differences, in_words
from mobilenets.config.schema import (
    SGD,
    AdamW,
    ColorJitter,
    Cosine,
    Flip,
    FolderEval,
    NoDataset,
    OwnEval,
    Piecewise,
    RandomCrop,
    RMSProp,
)
from mobilenets.errors import UserError


def valid():
    config = values.defaults()
    config.model = {"name": "mobilenet_v2"}
    config.dataset.name = "imagenet2012"
    return config


def message(**changes):
    config = valid()
    config.update_from_flattened_dict(
        {key.replace("__", "."): value for key, value in changes.items()}
    )
    with pytest.raises(UserError) as error:
        check.check(config)
    return str(error.value)


def test_the_defaults_need_only_a_model():
    config = values.defaults()
    config.model = {"name": "mobilenet_v2"}
    checked = check.check(config)
    assert (checked.batch_size, checked.dataset) == (128, NoDataset())
    assert (checked.optimizer, checked.schedule) == (RMSProp(), Cosine())
    assert checked.augmentation == (RandomCrop(), Flip())


def test_an_unknown_key_is_met_with_the_closest():
    sentence = "unknown key bacth_size (did you mean batch_size?)"
    assert sentence in message(bacth_size=3)
    assert "did you mean optimizer.decay?" in message(optimizer__dekay=0.9)
    assert "did you mean batch_size?" in message(Batch_Size=3)


def test_several_mistakes_are_told_at_once():
    assert message(epochs=0.0, seed=-1) == (
        "The config is wrong: epochs is 0.0, but must be at least 0.000001; seed is "
        "-1, but must be at least 0."
    )


# fmt: off
OUT_OF_RANGE = [
    ("dtype", "float16", "must be 'float32' or 'bfloat16'"),
    ("batch_size", 0, "must be at least 1"),
    ("task.label_smoothing", 1.0, "less than 1"),
    ("ema_decay", -0.1, "must be at least 0"),
    ("optimizer.name", "adam", "must be 'rmsprop', 'sgd' or 'adamw'"),
    ("optimizer.learning_rate", 0.0, "must be at least 0.000000000001"),
    ("optimizer.learning_rate", math.inf, "must be a finite number"),
    ("evaluate_every_epochs", 1e-320, "must be at least 0.000001"),
    ("preprocessing.crop_fraction", 1e-9, "must be at least 0.1"),
    ("augmentation.random_crop.max_aspect_ratio", math.inf, "a finite number"),
    ("batch_size", 10**30, "must be at most 1000000"),
    ("schedule.name", "linear", "'exponential', 'piecewise', 'cosine' or 'poly'"),
    ("task.name", "detecting", "'segmentation', 'geolocalization' or 'supernet'"),
    ("preprocessing.crop_fraction", 1.5, "must be at most 1"),
    ("preprocessing.interpolation", "cubic", "must be 'bilinear', 'bicubic' or"),
    ("augmentation.random_crop.min_area", 0.0, "must be at least 0.000001"),
    ("dataset.name", "", "must have at least 1 character"),
    ("batch_size", "many", "must be a valid integer"),
    ("batch_size", True, "must be a valid integer"),
    ("dataset", 3, "it is a section"),
    ("optimizer", "sgd", "it is a section"),
]
# fmt: on


@pytest.mark.parametrize(("key", "value", "reason"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_told_with_what_is_allowed(key, value, reason):
    found = message(**{key: value})
    assert f"{key} is {value!r}, but" in found
    assert reason in found


def test_a_name_in_another_case_is_met_with_the_right_one():
    assert "(did you mean sgd?)" in message(optimizer__name="SGD")


# fmt: off
OF_ANOTHER_KIND = [
    ({"optimizer.b1": 0.9}, "optimizer.b1 belongs to optimizer.name adamw, but "
     "optimizer.name is rmsprop, which takes learning_rate,"),
    ({"optimizer.name": "adamw", "optimizer.momentum": 0.9}, "optimizer.momentum "
     "belongs to optimizer.name rmsprop or sgd, but optimizer.name is adamw"),
    ({"schedule.factor": 0.1}, "schedule.factor belongs to schedule.name piecewise"),
    ({"task.threshold": 0.1}, "task.threshold belongs to task.name multilabel, but"),
    ({"dataset.separator": ","}, "dataset.separator belongs to dataset.table, but "
     "dataset.name is given, which takes name, data_dir,"),
    ({"dataset.eval_fraction": 0.1}, "belongs to dataset.folder or dataset.table"),
    ({"evals": {"night": {"data_dir": "x"}}}, "evals.night.data_dir belongs to "
     "evals.night.name, but that is not given"),
    ({"augmentation.flip.hue": 0.1}, "unknown key augmentation.flip.hue"),
]
# fmt: on


@pytest.mark.parametrize(("changes", "sentence"), OF_ANOTHER_KIND)
def test_a_value_of_another_kind_is_told_with_whose_it_is(changes, sentence):
    assert sentence in message(**changes)


# fmt: off
TOGETHER = [
    ({"batch_size": 10, "accumulation_steps": 4},
     "batch_size 10 cannot be split into accumulation_steps 4"),
    ({"dataset.folder": "photos"}, "dataset: name and folder are given, but the im"),
    ({"model": {}}, "the network is missing: give init_from"),
    ({"model": {"spec": "a:b", "name": "x"}}, "model.name and model.spec are both gi"),
    ({"model": {"name": "a", "b c": 1}}, "model: 'b c' is no name of an option"),
    ({"model": {"name": "a", "x": [1]}}, "x is [1], but should be a number or a stri"),
    ({"model": {"name": "a", "x": math.nan}}, "x is nan, but should be a finite numb"),
    ({"tracker": "a\ud800"}, "characters that are not valid in UTF-8"),
    ({"model": {"name": 3}}, "model.name is 3, but should be a string"),
    ({"evals": {"val": {}}}, "evals.val: the run's own data set has that name"),
    ({"evals": {"by-night": {}}}, "evals.by-night: a name may have letters"),
    ({"preprocessing.resize": "squash"}, "crop_fraction is 0.875: give 1.0 for it"),
    ({"trainable_stages": 1}, "must come from init_from, which is empty"),
    ({"augmentation": ({"name": "flip"}, {"name": "flip"})}, "has flip twice"),
    (
        {"augmentation": {"random_crop": {}, "expand": {}}},
        "has expand after a crop: put it before",
    ),
    ({"augmentation": {"ssd_crop": {}}}, "has ssd_crop, which needs boxes"),
    (
        {"task": {"name": "detection"}, "augmentation": {"mixup": {}}},
        "has mixup, which is for classes or attributes of whole images, but task.name",
    ),
    (
        {
            "task": {"name": "segmentation"},
            "preprocessing": {"resize": "pad", "crop_fraction": 1.0},
            "augmentation": {"auto_augment": {}},
        },
        "has auto_augment, which is for classes or attributes of whole images, but",
    ),
    (
        {"augmentation": {"auto_augment": {}, "rand_augment": {}}},
        "remove one, such as augmentation.auto_augment=None",
    ),
    (
        {"augmentation": {"rand_augment": {"scale": "timm", "magnitude": 15.0}}},
        "magnitude is 15.0, but timm's scale ends at 10",
    ),
    (
        {"augmentation": {"mixup": {}, "cutmix": {"probability": 0.5}}},
        "are 1.0 and 0.5, but a pair of images is mixed in one way",
    ),
    ({"batch_size": 5, "augmentation": {"cutmix": {}}}, "batch_size is 5: give an ev"),
    (
        {"batch_size": 8, "augmentation": {"repeated_augmentation": {}}},
        "batch_size is 8, but must be a multiple of "
        "augmentation.repeated_augmentation.copies, which is 3",
    ),
    ({"progressive": {"stages": 3}}, "nothing changes from stage to stage: give"),
    (
        {"augmentation": {"random_erasing": {"min_area": 0.5}}},
        "min_area 0.5 is above max_area 0.4",
    ),
    (
        {"augmentation": {"scale_crop": {}, "random_crop": {}}},
        "has random_crop after scale_crop, which it would undo: leave out one",
    ),
    (
        {"augmentation": {"scale_crop": {"min_scale": 3.0}}},
        "min_scale 3.0 is above max_scale 2.0",
    ),
    (
        {"preprocessing": {"resize": "keep", "crop_fraction": 1.0}},
        "resize is 'keep', which only segmentation can use",
    ),
    ({"task": {"name": "segmentation"}}, "'crop', but segmentation labels all pixels"),
    ({"augmentation.flip": 3}, "augmentation: flip is 3, but it is a section with"),
    ({"augmentation.flipp": {}}, "augmentation.flipp (did you mean augmentation.flip?"),
]
# fmt: on


@pytest.mark.parametrize(("changes", "sentence"), TOGETHER)
def test_values_that_do_not_go_together_are_told(changes, sentence):
    assert sentence in message(**changes)


def test_a_reference_that_cannot_be_computed_is_no_traceback():
    config = valid()
    config.optimizer.learning_rate = config.get_ref("batch_size").to_float() * 1e-3
    config.batch_size = "many"
    with pytest.raises(UserError, match="batch_size is 'many', but must be a valid"):
        check.check(config)
    other = values.defaults()
    other.init_from = "1"
    other.epochs = other.get_ref("init_from").to_float()
    assert check.check(other).epochs == 1.0
    other.init_from = "weights"
    with pytest.raises(UserError, match=r"epochs cannot be computed: .*'weights'"):
        check.check(other)


def test_evaluation_sets_are_of_any_kind():
    config = valid()
    config.evals = {"own": {"split": "train"}, "night": {"folder": "photos"}}
    assert check.check(config).evals == {
        "own": OwnEval(split="train"),
        "night": FolderEval(folder="photos", split="validation"),
    }


def test_operations_keep_their_order():
    config = valid()
    config.augmentation = {"flip": {}, "color_jitter": {"hue": 0.1}, "random_crop": {}}
    expected = (Flip(), ColorJitter(hue=0.1), RandomCrop())
    assert check.check(config).augmentation == expected


def test_a_configuration_survives_json_and_the_way_back_to_a_config():
    config = valid()
    config.augmentation.color_jitter = {"hue": 0.1}
    config.schedule = {"name": "piecewise", "boundaries": (1.0, 2.0)}
    config.evals = {"night": {"table": "a.csv"}}
    checked = check.check(config)
    assert checked.schedule == Piecewise(boundaries=(1.0, 2.0))
    assert check.from_json(checked.model_dump_json()) == checked
    assert check.check(values.of(checked)) == checked
    with pytest.raises(ValueError, match="task"):
        check.from_json(json.dumps({"task": {"name": "dance"}}))


def differing(change):
    other = valid()
    change(other)
    return list(map(str, differences(check.check(valid()), check.check(other))))


def test_many_or_long_differences_are_cut_but_a_path_is_whole():
    path = f"/data/{'a' * 150}"
    found = [Difference("dataset.data_dir", path, "x" * 10**6)]
    text = in_words(found * 6)
    assert f"dataset.data_dir ('{path}' there, 'xxx" in text
    assert text.endswith(" and 1 more value")
    assert len(text) < 5 * 500
    assert in_words(found * 7).endswith(" and 2 more values")
    assert "more" not in in_words(found * 5)


def test_differences_name_the_key_and_both_values():
    def decay(config):
        config.optimizer.decay = 0.95

    assert differing(decay) == ["optimizer.decay (0.9 there, 0.95 given)"]

    def area(config):
        config.augmentation.random_crop.min_area = 0.5

    expected = ["augmentation.random_crop.min_area (0.08 there, 0.5 given)"]
    assert differing(area) == expected


def test_the_order_of_operations_is_a_difference():
    def turn(config):
        config.augmentation = {"flip": {}, "random_crop": {}}

    (difference,) = differing(turn)
    assert difference.startswith("augmentation (('random_crop', 'flip') there")


def test_optimizers_differ_by_their_own_values():
    def sgd(config):
        config.optimizer = {"name": "sgd"}

    keys = {text.partition(" ")[0] for text in differing(sgd)}
    assert keys == {f"optimizer.{k}" for k in ("name", "nesterov", "decay", "epsilon")}
    assert SGD().name == "sgd" and AdamW().name == "adamw"
