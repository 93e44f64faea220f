"""What the config files share: their argument, ImageNet, recipes, the smoke run."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from mobilenets.config import schema
from mobilenets.config.values import Values, defaults
from mobilenets.errors import UserError, unknown

Value = float | bool | str
Config = Any  # a ConfigDict, which has no static types


def parse_arg(arg: str | None, **allowed: Value | type[Value]) -> Config:
    """The part of --config behind the colon, "width=0.75,resolution=192,smoke".

    Args:
      arg: the text, or None.
      **allowed: the allowed names and their values; a value has its default's type. A
        type stands for a value that is None unless given. A name that stands without a
        value is True.

    Raises:
      UserError: a name is unknown, or a value has another type.
    """
    values = ml_collections.ConfigDict(
        {k: None if isinstance(v, type) else v for k, v in allowed.items()}
    )
    for part in (arg or "").split(",") if arg else []:
        name, _, text = part.partition("=")
        if name not in allowed:
            raise unknown("argument", name, allowed, of="the config file")
        values[name] = _parse_value(name, text, allowed[name])
    return values


def _parse_value(name: str, text: str, default: Value | type[Value]) -> Value:
    kind = default if isinstance(default, type) else type(default)
    if kind is bool:
        meanings = {"": True, "true": True, "false": False}
        if text.lower() in meanings:
            return meanings[text.lower()]
    else:
        try:
            return kind(text)
        except ValueError:
            pass
    example = "" if isinstance(default, type) else f", like {default}"
    raise UserError(
        f"The argument {name} of the config file is {text!r}, but must be of type "
        f"{kind.__name__}{example}."
    )


def imagenet() -> Config:
    """The defaults on ImageNet, from TensorFlow Datasets, with its many workers."""
    config: Config = defaults()
    config.dataset.name = "imagenet2012"
    config.dataset.num_workers = 16
    return config


def tpu_imagenet() -> Config:
    """ImageNet as the TPU models of MnasNet, EfficientNet and ResNet see it.

    Crops of at least 8 % of the area, ImageNet's mean and deviation; in evaluation the
    central 0.875 of the image at every size, as in the last version of their code. (An
    earlier one left out a border of 16 pixels; timm has that of its copies.)
    """
    config = imagenet()
    config.preprocessing.interpolation = "bicubic"
    config.preprocessing.mean = schema.IMAGENET_MEAN
    config.preprocessing.std = schema.IMAGENET_STD
    config.augmentation.random_crop.min_area = 0.08
    return config


def inception_colors(config: Config) -> None:
    """The random crops and colours with which slim trains Inception and MobileNets.

    Slim's colours are drawn as changes of brightness, contrast, saturation and hue.
    """
    config.augmentation.random_crop.min_area = 0.05
    config.augmentation.color_jitter = dict(
        brightness=0.125,  # 32 / 255
        contrast=0.5,
        saturation=0.5,
        hue=0.2,
    )


def mnasnet_recipe(config: Config, batch_size: int) -> None:
    """RMSProp as MnasNet and EfficientNet are trained, at 0.016 for each 256 images.

    MnasNet, arXiv:1807.11626, Sec. 5; EfficientNet, arXiv:1905.11946, Sec. 5.2: decay
    and momentum 0.9, weight decay 1e-5, times 0.97 every 2.4 epochs. The rest (350
    epochs, 5 of warm-up, epsilon, label smoothing, average) is from the TPU models,
    which also decay biases; kernels alone are decayed here.
    """
    config.batch_size = batch_size
    config.epochs = 350.0
    config.optimizer.name = "rmsprop"
    scale_learning_rate(config, 0.016, batch_size=256)
    config.optimizer.weight_decay = 1e-5
    config.optimizer.weight_decay_on_depthwise = True
    config.optimizer.epsilon = 1e-3
    config.schedule.name = "exponential"
    config.schedule.warmup_epochs = 5.0
    config.schedule.decay_rate = 0.97
    config.schedule.decay_epochs = 2.4
    config.task.label_smoothing = 0.1
    average_weights(config, 0.9999, batch_size)


def efficientnet(model: Mapping[str, Any], smoke_run: bool) -> Config:
    """EfficientNet's recipe, for any scaling of it.

    The batch of 2048 and the policy of AutoAugment are those of the authors' code.

    Args:
      model: the network's name and multipliers.
      smoke_run: see `smoke`.
    """
    config = tpu_imagenet()
    config.model = {**model, "drop_path_rate": 0.2}
    config.augmentation.auto_augment = dict(policy="v0")
    mnasnet_recipe(config, batch_size=2048)
    if smoke_run:
        smoke(config)
    return config


def deeplab(
    config: Config, batch_size: int, steps: int, images: int, rate: float
) -> None:
    """DeepLabv3's recipe, arXiv:1706.05587, Sec. 4.1: "poly", random scales and crops.

    Momentum and weight decay are those of TensorFlow's DeepLab.

    Args:
      config: gets the values.
      batch_size: images in a step.
      steps: of the run.
      images: to train.
      rate: the learning rate at this batch size.
    """
    config.augmentation = dict(scale_crop=dict(min_scale=0.5, max_scale=2.0), flip={})
    config.batch_size = batch_size
    config.epochs = steps * batch_size / images
    config.optimizer.name = "sgd"
    config.optimizer.momentum = 0.9
    scale_learning_rate(config, rate, batch_size)
    config.optimizer.weight_decay = 4e-5
    config.schedule.name = "poly"
    config.ema_decay = 0.0
    config.evaluate_every_epochs = 5.0


def scale_learning_rate(config: Config, rate: float, batch_size: int) -> None:
    """Sets the learning rate in proportion to the batch: `rate` at `batch_size`.

    It follows --config.batch_size, unless --config.optimizer.learning_rate is given.
    The rule is that of arXiv:1706.02677, Sec. 2.1, for SGD, and the papers' here for
    RMSProp. Weight decay stays as it is: there are fewer steps in an epoch, and in each
    the weights shrink by more, since the rate multiplies the decay.
    """
    reference = config.get_ref("batch_size").to_float()
    config.optimizer.learning_rate = reference * (rate / batch_size)


def scale_adamw(
    config: Config, rate: float, weight_decay: float, batch_size: int
) -> None:
    """Sets AdamW's rate and weight decay in proportion to the root of the batch.

    They follow --config.batch_size, unless they are given themselves. For the rate it
    is the square root rule of arXiv:2205.10287. The weights then shrink in an
    epoch as before, if the decay grows likewise: steps * rate * decay is constant.

    Args:
      config: gets the values; its optimizer is adamw.
      rate: at `batch_size`.
      weight_decay: at `batch_size`.
      batch_size: for which the values are known.
    """
    root = (config.get_ref("batch_size").to_float() / batch_size) ** 0.5
    config.optimizer.learning_rate = root * rate
    config.optimizer.weight_decay = root * weight_decay


def average_weights(config: Config, decay: float, batch_size: int) -> None:
    """Sets the decay of the average of the weights: `decay` at `batch_size`.

    It follows --config.batch_size, unless --config.ema_decay is given: decay to the
    power of batch / `batch_size`, so that the average is over as many images. The rule
    of arXiv:2307.13813.
    """
    ratio = config.get_ref("batch_size").to_float() / batch_size
    config.ema_decay = ml_collections.FieldReference(decay) ** ratio


# What shrinks a model, where it has that option.
SMOKE_MODEL = {"width_multiplier": 0.25, "depth_multiplier": 0.3, "resolution": 32}


def smoke(config: Config) -> None:
    """Shrinks model, data and run to seconds: does everything work here?

    The data set becomes a slice of the embedded one, so nothing need be prepared.
    """
    for name, value in SMOKE_MODEL.items():
        if name in config.model:
            config.model[name] = value
    config.dataset = Values(
        dict(
            name="fashion_mnist_subset",
            train_split="train[:64]",
            eval_split="validation[:40]",
        )
    )
    config.batch_size = 16
    config.epochs = 2.0
    config.schedule.warmup_epochs = 0.0
    config.log_every_steps = 1


def smoke_detection(config: Config) -> None:
    """As `smoke`, with the embedded scenes, which have boxes."""
    smoke(config)
    config.model.resolution = 64
    config.dataset.name = "fashion_scenes"


def smoke_segmentation(config: Config) -> None:
    """As `smoke`, with the embedded scenes, which have masks."""
    smoke(config)
    config.model.resolution = 57
    config.dataset.name = "fashion_scenes"


def smoke_geolocalization(config: Config) -> None:
    """As `smoke`, with the painted scenes, which have places, and few large cells."""
    smoke(config)
    config.dataset.name = "painted_places"
    config.task.max_images_per_cell = 20
    config.task.min_images_per_cell = 5
