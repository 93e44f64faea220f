"""What the config files share: their argument, ImageNet, and the smoke run."""

import ml_collections

from mobilenets import configuration
from mobilenets.errors import UserError, unknown


def parse_arg(arg: str | None, **defaults: float | bool) -> ml_collections.ConfigDict:
    """The part of --config behind the colon, "width=0.75,resolution=192,smoke".

    Args:
      arg: the text, or None.
      **defaults: the allowed names and their values; a value has its default's type. A
        name that stands without a value is True.

    Raises:
      UserError: a name is unknown, or a value has another type.
    """
    values = ml_collections.ConfigDict(defaults)
    for part in (arg or "").split(",") if arg else []:
        name, _, text = part.partition("=")
        if name not in defaults:
            raise unknown("argument of the config file", name, defaults)
        values[name] = _parse_value(name, text, defaults[name])
    return values


def _parse_value(name: str, text: str, default: float | bool) -> float | bool:
    if isinstance(default, bool):
        allowed = {"": True, "true": True, "false": False}
        if text.lower() in allowed:
            return allowed[text.lower()]
    else:
        try:
            return type(default)(text)
        except ValueError:
            pass
    raise UserError(
        f"The argument {name} of the config file is {text!r}, but must be of type "
        f"{type(default).__name__}, like {default}."
    )


def imagenet() -> ml_collections.ConfigDict:
    """The defaults on ImageNet, from TensorFlow Datasets, with its many workers."""
    config = configuration.defaults()
    config.dataset.name = "imagenet2012"
    config.dataset.num_workers = 16
    return config


def scale_learning_rate(
    config: ml_collections.ConfigDict, rate: float, batch_size: int
) -> None:
    """Sets the learning rate in proportion to the batch: `rate` at `batch_size`.

    It follows --config.batch_size, unless --config.optimizer.learning_rate is given.
    """
    with config.optimizer.ignore_type():  # a reference takes the place of a float
        reference = config.get_ref("batch_size").to_float()
        config.optimizer.learning_rate = reference * (rate / batch_size)


def smoke(config: ml_collections.ConfigDict) -> None:
    """Shrinks model, data and run to seconds: does everything work here?

    The data set becomes a slice of the embedded one, so nothing need be prepared.
    """
    config.model.width_multiplier = 0.25
    config.model.resolution = 32
    config.dataset.name = "fashion_mnist_subset"
    config.dataset.train_split = "train[:64]"
    config.dataset.eval_split = "validation[:40]"
    config.dataset.num_workers = 0
    config.batch_size = 16
    config.epochs = 2.0
    config.log_every_steps = 1
