"""The config is checked before anything is built; each mistake is one sentence."""

import pytest

from mobilenets.errors import UserError


def valid():
    config = configuration.defaults()
    config.model = {"name": "mobilenet_v2"}
    config.dataset.name = "imagenet2012"
    return config


def message(change):
    config = valid()
    change(config)
    with pytest.raises(UserError) as error:
        configuration.check(config)
    return str(error.value)


def test_the_defaults_need_only_a_model_and_a_data_set():
    assert configuration.check(valid()).batch_size == 128


def test_an_unknown_key_is_met_with_the_closest():
    def change(config):
        config.bacth_size = 3

    assert "unknown key bacth_size (did you mean batch_size?)" in message(change)


def test_an_unknown_key_of_a_section_is_met_with_the_closest():
    def change(config):
        config.optimizer.rmsprop.dekay = 0.9

    assert "optimizer.rmsprop.dekay (did you mean optimizer.rmsprop.decay?)" in message(
        change
    )


def test_several_mistakes_are_told_at_once():
    def change(config):
        config.epochs = 0.0
        config.seed = -1

    assert message(change) == (
        "The config is wrong: epochs is 0.0, but input should be greater than 0; "
        "seed is -1, but input should be greater than or equal to 0."
    )


# fmt: off
OUT_OF_RANGE = [
    ("dtype", "float16", "should be 'float32' or 'bfloat16'"),
    ("batch_size", 0, "greater than or equal to 1"),
    ("label_smoothing", 1.0, "less than 1"),
    ("ema_decay", -0.1, "greater than or equal to 0"),
    ("optimizer.name", "adam", "should be 'rmsprop', 'sgd' or 'adamw'"),
    ("optimizer.learning_rate", 0.0, "greater than 0"),
    ("schedule.name", "linear", "should be 'exponential', 'piecewise' or 'cosine'"),
    ("preprocessing.crop_fraction", 1.5, "less than or equal to 1"),
    ("preprocessing.interpolation", "cubic", "should be 'bilinear' or 'bicubic'"),
    ("augmentation.min_area", 0.0, "greater than 0"),
]
# fmt: on


@pytest.mark.parametrize(("key", "value", "reason"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_told_with_what_is_allowed(key, value, reason):
    def change(config):
        config.update_from_flattened_dict({key: value})

    assert f"{key} is {value!r}, but" in message(change)
    assert reason in message(change)


def test_a_wrong_type_is_told():
    def change(config):
        with config.ignore_type():
            config.batch_size = "many"

    assert "batch_size is 'many', but input should be a valid integer" in message(
        change
    )


def test_accumulation_must_divide_the_batch():
    def change(config):
        config.batch_size, config.accumulation_steps = 10, 4

    assert "batch_size 10 cannot be split into accumulation_steps 4" in message(change)


@pytest.mark.parametrize("name", ["", "imagenet2012"])
def test_exactly_one_data_set_is_needed(name):
    def change(config):
        config.dataset.name = name
        config.dataset.folder = "photos" if name else ""

    given = "name, folder" if name else "none"
    assert f"but given are: {given}" in message(change)


def test_differences_name_the_key_and_both_values():
    other = valid()
    other.optimizer.rmsprop.decay = 0.95
    (difference,) = configuration.differences(
        configuration.check(valid()), configuration.check(other)
    )
    assert str(difference) == "optimizer.rmsprop.decay (0.9 there, 0.95 given)"
