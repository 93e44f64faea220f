"""Every value that a run can be given, with its type, range and default.

A config file builds an `ml_collections.ConfigDict` from `defaults()`; `check` turns it
into the frozen, typed `Configuration` that all other code reads.
"""

import dataclasses
import pathlib
from typing import Annotated, Any, Literal

import ml_collections
import pydantic
from annotated_types import Ge, Gt, Le, Lt

from mobilenets.errors import UserError, closest, unknown

Positive = Annotated[int, Ge(1)]
Fraction = Annotated[float, Ge(0), Lt(1)]
NonNegative = Annotated[float, Ge(0)]
Channels = tuple[float, float, float]  # red, green, blue

# Of ImageNet's pixels, 0 to 255. The TPU models and PyTorch's normalise by them.
IMAGENET_MEAN: Channels = (123.675, 116.28, 103.53)
IMAGENET_STD: Channels = (58.395, 57.12, 57.375)


class Section(pydantic.BaseModel):
    """A part of the configuration: typed, without unknown keys, immutable."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class Splits(Section):
    """What every kind of data set has."""

    train_split: str = "train"  # TFDS may slice: "train[:90%]"
    eval_split: str = "validation"
    # Processes that decode. 0 decodes in threads: enough for small images.
    num_workers: Annotated[int, Ge(0)] = 0


class NamedDataset(Splits):
    """A data set of TensorFlow Datasets, or one that is embedded."""

    name: str
    data_dir: str = ""  # where TFDS keeps its data sets; "": ~/tensorflow_datasets


class PreparedDataset(Splits):
    """One prepared TFDS data set."""

    directory: str  # .../NAME/VERSION


class FolderDataset(Splits):
    """Images as SPLIT/CLASS/*.jpg (or png, webp), one class an image."""

    folder: str
    # Above 0 the images are FOLDER/CLASS/*.jpg, and this part of them is "validation".
    eval_fraction: Fraction = 0.0


class TableDataset(Splits):
    """A CSV or Parquet file with a line for each image."""

    table: str
    images: str = ""  # the folder that paths are relative to; "": the table's own
    separator: Annotated[str, pydantic.Field(min_length=1)] = ";"  # in "labels"
    eval_fraction: Fraction = 0.0  # the part that is "validation", without own splits


class NoDataset(Splits):
    """The sources are given from Python."""


Dataset = NamedDataset | PreparedDataset | FolderDataset | TableDataset | NoDataset
_DATASETS: dict[str, type[Dataset]] = {
    "name": NamedDataset,
    "directory": PreparedDataset,
    "folder": FolderDataset,
    "table": TableDataset,
}


def _dataset(value: Any) -> Any:
    """The data set of the kind whose key is given."""
    if not isinstance(value, dict):
        return value
    given = [key for key in _DATASETS if value.get(key)]
    if len(given) > 1:
        raise ValueError(
            f"exactly one of {', '.join(_DATASETS)} is needed, but given are: "
            f"{', '.join(given)}"
        )
    kind = _DATASETS[given[0]] if given else NoDataset
    return kind.model_validate({k: v for k, v in value.items() if v != ""})


class EvalSet(Section):
    """A further set of images to evaluate on, beside the split of the data set."""

    split: str = "validation"
    name: str = ""
    data_dir: str = ""
    directory: str = ""
    folder: str = ""

    def dataset(self, of_run: Dataset) -> Dataset:
        """Where the images are; those of the run's own data set without a source."""
        if not (self.name or self.directory or self.folder):
            return of_run
        return _dataset(self.model_dump(exclude={"split"}))


class Preprocessing(Section):
    """What is done to an image before a network sees it, but for its resolution.

    It belongs to the weights: training, evaluation and prediction read the same value.
    In evaluation the short side is resized to resolution / crop_fraction and the centre
    is cut out ("crop"), or the whole image is resized to a square ("squash").
    """

    resize: Literal["crop", "squash"] = "crop"
    crop_fraction: Annotated[float, Gt(0), Le(1)] = 0.875
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    # Subtracted from and divided into values of 0 to 255. The defaults are slim's, and
    # so the papers' for MobileNetV1 and V2: the range becomes -1 to 1.
    mean: Channels = (127.5, 127.5, 127.5)
    std: Channels = (127.5, 127.5, 127.5)

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> "Preprocessing":
        if self.resize == "squash" and self.crop_fraction != 1:
            raise ValueError(
                f"crop_fraction is {self.crop_fraction}, but nothing is cut off where "
                "resize is 'squash': it must be 1"
            )
        return self


class RandomCrop(Section):
    """The crop of "Going deeper with convolutions", Sec. 6.

    Its share of the image's area and its ratio of width to height are drawn.
    """

    name: Literal["random_crop"] = "random_crop"
    min_area: Annotated[float, Gt(0), Le(1)] = 0.08
    max_aspect_ratio: Annotated[float, Ge(1)] = 4 / 3


class Flip(Section):
    """Left to right, every second image."""

    name: Literal["flip"] = "flip"


class ColorJitter(Section):
    """Random changes of the colours, in random order.

    Of brightness, contrast and saturation the largest change is a fraction, of the hue
    a fraction of the circle.
    """

    name: Literal["color_jitter"] = "color_jitter"
    brightness: NonNegative = 0.0
    contrast: NonNegative = 0.0
    saturation: NonNegative = 0.0
    hue: Annotated[float, Ge(0), Le(0.5)] = 0.0


Operation = Annotated[
    RandomCrop | Flip | ColorJitter, pydantic.Field(discriminator="name")
]


def _operations(value: Any) -> Any:
    """The list of operations that a config has as a dict by name."""
    if not isinstance(value, dict):
        return value
    return tuple({"name": name, **fields} for name, fields in value.items())


class RMSProp(Section):
    """TensorFlow's RMSProp, the mean of squares starting at 1."""

    decay: Fraction = 0.9
    momentum: Fraction = 0.9
    epsilon: Annotated[float, Gt(0)] = 1e-3  # added to the mean of squares, in the root


class SGD(Section):
    """Stochastic gradient descent."""

    momentum: Fraction = 0.9
    nesterov: bool = False


class AdamW(Section):
    """Adam with decoupled weight decay."""

    b1: Fraction = 0.9
    b2: Fraction = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8


class Optimizer(Section):
    """`name` says which of the three is used; the values of the others are ignored."""

    name: Literal["rmsprop", "sgd", "adamw"] = "rmsprop"
    learning_rate: Annotated[float, Gt(0)] = 0.01  # the peak, for the whole batch
    # On kernels only. An L2 term of the loss with rmsprop and sgd, as in the papers'
    # code (the gradient gets weight_decay * weight); decoupled with adamw.
    weight_decay: NonNegative = 0.0
    # MobileNetV1 found "very little or no weight decay" best on them, Sec. 3.2.
    weight_decay_on_depthwise: bool = False
    # The learning rate of all layers but the logits, as a fraction of it: in
    # fine-tuning those are trained already.
    backbone_rate: Annotated[float, Gt(0), Le(1)] = 1.0
    rmsprop: RMSProp = RMSProp()
    sgd: SGD = SGD()
    adamw: AdamW = AdamW()


class Exponential(Section):
    """The rate times `decay_rate` after every `decay_epochs`, in steps like a stair."""

    decay_rate: Annotated[float, Gt(0), Le(1)] = 0.97
    decay_epochs: Annotated[float, Gt(0)] = 2.4


class Piecewise(Section):
    """The rate times `factor` at each of the epochs."""

    boundaries: tuple[Annotated[float, Gt(0)], ...] = (30.0, 60.0, 80.0)  # epochs
    factor: Annotated[float, Gt(0), Le(1)] = 0.1


class Cosine(Section):
    """Half a cosine from the peak down to `final_fraction` of it at the last step."""

    final_fraction: Fraction = 0.0


class Schedule(Section):
    """The learning rate over time: a linear warm-up from 0, then the named decay."""

    name: Literal["exponential", "piecewise", "cosine"] = "cosine"
    warmup_epochs: NonNegative = 0.0
    exponential: Exponential = Exponential()
    piecewise: Piecewise = Piecewise()
    cosine: Cosine = Cosine()


class Configuration(Section):
    """One run: `python train.py --config FILE` trains exactly this."""

    task: Literal["classification"] = "classification"
    # A folder of weights to start from: imported ones, or the workdir of a run. The
    # network and its preprocessing are then theirs.
    init_from: str = ""
    # How many of the last stages are trained; a stage begins with each stride. 0: only
    # the logits, -1: everything. What is not trained stays exactly as it was.
    trainable_stages: Annotated[int, Ge(-1)] = -1
    # The arguments of `mobilenets.get_spec`: name, width_multiplier, resolution, ...;
    # with init_from those of `mobilenets.replace`, without a name.
    model: dict[str, Any] = {}
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation
    dataset: Annotated[Dataset, pydantic.BeforeValidator(_dataset)] = NoDataset()
    preprocessing: Preprocessing = Preprocessing()
    # Random changes of the training images, in this order.
    augmentation: Annotated[
        tuple[Operation, ...], pydantic.BeforeValidator(_operations)
    ] = (RandomCrop(), Flip())
    batch_size: Positive = 128  # images in one update, over all devices
    # Splits each batch into that many, one after the other, where memory is short.
    accumulation_steps: Positive = 1
    # Computes each block a second time for the gradient instead of keeping its maps:
    # for GPUs and TPUs whose memory is short (XLA's code for CPUs needs no less). It
    # changes no more than rounding, so that a run may go on with the other value.
    remat: bool = False
    epochs: Annotated[float, Gt(0), Le(1_000_000)] = 1.0
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    label_smoothing: Fraction = 0.0
    # Of the averaged weights; in the first steps less, see `ema_decay_at`.
    ema_decay: Fraction = 0.9999
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0
    log_every_steps: Positive = 100
    # A checkpoint is saved after every evaluation.
    evaluate_every_epochs: Annotated[float, Gt(0)] = 1.0
    # By name, beside "val": the data set's eval_split.
    evals: dict[str, EvalSet] = {}
    # What the best checkpoint is chosen by, of the averaged weights: "val/loss", or
    # another metric of another set. "": the task's own on "val", such as its top-1.
    best_metric: str = ""

    def total_steps(self, train_size: int) -> int:
        """Updates in the run.

        Args:
          train_size: images to train.
        """
        return max(1, round(self.epochs * (train_size / self.batch_size)))

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> "Configuration":
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be split into accumulation_steps "
                f"{self.accumulation_steps} equal parts"
            )
        if self.init_from:
            self._check_init_from()
        elif "name" not in self.model:
            raise ValueError(
                "the network is missing: give init_from, a folder of weights "
                "(`mobilenets pretrained` fetches some), or model.name"
            )
        elif self.trainable_stages >= 0:
            raise ValueError(
                f"trainable_stages is {self.trainable_stages}, but what is not trained "
                "must come from init_from, which is empty"
            )
        for name in self.evals:
            if not name.isidentifier() or name in ("train", "val"):
                raise ValueError(
                    f"evals.{name} is no name for an evaluation set: use letters, "
                    "digits and _, but neither train nor val"
                )
        return self

    def _check_init_from(self) -> None:
        if "name" in self.model:
            raise ValueError(
                f"model.name is {self.model['name']!r}, but the network is that of "
                "init_from: leave it out"
            )


# Where config files with these functions are, unless they are beside the one meant.
FOLDERS = {"get_config": "configs", "get_sweep": "configs/sweeps"}


def defaults() -> ml_collections.ConfigDict:
    """The default of every value, for a config file to start from."""
    values = Configuration.model_construct().model_dump()
    values["augmentation"] = {o.pop("name"): o for o in values["augmentation"]}
    return ml_collections.ConfigDict(values)


def check(config: ml_collections.ConfigDict) -> Configuration:
    """The configuration, if every key and value is allowed.

    Raises:
      UserError: a key is unknown or missing, a value has the wrong type or lies out of
        its range; one clause for each.
    """
    values = config.copy_and_resolve_references().to_dict()
    try:
        return Configuration.model_validate(values)
    except pydantic.ValidationError as error:
        raise in_words("The config", error) from None


def in_words(what: str, error: pydantic.ValidationError) -> UserError:
    """The sentence for values that are not allowed, with a clause for each."""
    clauses = "; ".join(_clause(e) for e in error.errors())
    return UserError(f"{what} is wrong: {clauses}.")


def unknown_file(path: str, function: str) -> UserError:
    """The error for a path at which there is no Python file, with those that there are.

    Args:
      path: what was given.
      function: a key of `FOLDERS`. Files with it are looked for where that path leads,
        otherwise in the folder of ours.
    """
    meant = pathlib.Path(path)
    names: list[str] = []
    for folder in (meant if meant.is_dir() else meant.parent, FOLDERS[function]):
        files = sorted(pathlib.Path(folder).glob("*.py"))
        names = [str(f) for f in files if function in f.read_text(errors="replace")]
        if names:
            break
    return unknown("config file", path, names)


def set_value(config: ml_collections.ConfigDict, key: str, value: Any) -> None:
    """Sets the value with that dotted path, as --config.KEY=VALUE does.

    Raises:
      UserError: there is no such key.
    """
    check_key(key)
    *sections, name = key.split(".")
    section: Any = config
    for part in sections:
        section = section.get(part)
        if not isinstance(section, ml_collections.ConfigDict):
            raise UserError(f"The config is wrong: {key}: {part} has no such key.")
    if isinstance(value, list):  # as JSON has what was a tuple
        value = tuple(value)
    with section.unlocked(), section.ignore_type():  # `check` has the better message
        section[name] = value


def check_key(key: str) -> None:
    """Raises UserError, with the closest name, unless `key` is the path of a value.

    The keys below `model` are the architecture's; `get_spec` checks them. Those below
    `evals` begin with a name that is free; `check` checks the others.
    """
    if key.split(".")[0] not in ("model", "evals") and key not in _known_keys():
        raise UserError(f"The config is wrong: {_unknown_key(key)}.")


def default_of(key: str) -> Any:
    """The default of the value with that dotted path, None where it has none."""
    value: Any = defaults()
    for part in key.split("."):
        value = value.get(part)
        if value is None:
            return None
    return value


@dataclasses.dataclass(frozen=True)
class Difference:
    """One value that two configurations do not share."""

    key: str  # dotted
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key} ({self.old!r} there, {self.new!r} given)"


def differences(old: Section, new: Section) -> list[Difference]:
    """Every value in which two of a kind differ."""
    a, b = flatten(old.model_dump()), flatten(new.model_dump())
    return [Difference(k, a.get(k), b.get(k)) for k in a | b if a.get(k) != b.get(k)]


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts under dotted keys."""
    result = {}
    for key, value in tree.items():
        inner = isinstance(value, dict)
        result |= flatten(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return result


def _known_keys() -> list[str]:
    """The dotted paths of all values and sections."""
    leaves = list(flatten(defaults().to_dict()))
    prefixes = {leaf.rpartition(".")[0] for leaf in leaves} - {""}
    return sorted({*leaves, *prefixes, "model", "evals"})


def _unknown_key(key: str) -> str:
    close = closest(key, _known_keys())
    return f"unknown key {key}" + (f" (did you mean {close}?)" if close else "")


def _clause(error: Any) -> str:
    """One pydantic error in words."""
    parts = map(str, error["loc"])
    # Without pydantic's own names for what a value may be.
    key = ".".join(part for part in parts if not part.startswith("function-"))
    if error["type"] == "extra_forbidden":
        return _unknown_key(key)
    if error["type"] == "missing":
        return f"{key} is missing"
    reason = error["msg"].removeprefix("Value error, ")
    if not key:
        return reason
    return f"{key} is {error['input']!r}, but {reason[0].lower()}{reason[1:]}"
