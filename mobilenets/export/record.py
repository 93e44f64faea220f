"""The text beside an exported file: what it is, and how it was shown to be equal."""

import hashlib
import math
import pathlib
from typing import Annotated, Literal

import pydantic

from mobilenets.config import json_files
from mobilenets.errors import UserError
from mobilenets.export.formats import FormatName, Layout
from mobilenets.inference.description import Description, from_values


class _Values(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Array(_Values):
    """An input or an output; where a dimension is "batch" it may be any number.

    What int8 numbers mean is scale * (number - zero_point).
    """

    name: str
    shape: tuple[int | Literal["batch"], ...]
    dtype: Literal["float32", "int8", "int32"] = "float32"
    scale: float | None = None
    zero_point: int | None = None


class Parity(_Values):
    """How far the file's outputs are from those of the network in JAX.

    Differences are fractions of the spread, which is the largest output less the least.
    """

    images: int
    photographs: bool  # or drawn at random
    largest_difference: float
    mean_difference: float
    # The part of the images with the same most likely class; of the attributes of an
    # image, the anchors or detections of a detector and the pixels of a segmenter, the
    # part that agrees. None for a backbone.
    agreement: float | None


_Metric = Annotated[
    float, pydantic.BeforeValidator(lambda x: math.nan if x is None else x)
]


class Evaluation(_Values):
    """Metrics of the weights in JAX, and of the file."""

    split: str  # of the data set, which is the set "val"
    # By evaluation set, then by runtime and numbers, such as "LiteRT, int8". A metric
    # of nothing is nan, in the text null.
    results: dict[str, dict[str, dict[str, _Metric]]]


class Record(_Values):
    """All that is needed to use an exported file.

    The input is an image of `network.preprocessing`, its mean and deviation applied.
    """

    format_version: Literal[1] = 1
    format: FormatName
    numbers: Literal["float32", "int8"]  # of weights and maps
    layout: Layout  # of the input, and of the map of a backbone
    network: Description
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    bytes: int
    sha256: str
    opset: int | None = None  # of ONNX
    detections: bool = False  # of a detector, instead of its raw outputs
    parity: Parity
    evaluation: Evaluation | None = None  # with --evaluate
    # Of a call here, for one image or the fixed batch, after which follow the threads.
    median_seconds: Annotated[float, pydantic.Field(gt=0)]
    threads: int

    @property
    def batch(self) -> int | None:
        """Images of a call; None for any number."""
        first = self.inputs[0].shape[0]
        return None if first == "batch" else int(first)


def beside(path: pathlib.Path) -> pathlib.Path:
    """The record of an exported file."""
    return path.with_name(f"{path.name}.json")


def read(path: pathlib.Path, content: bytes) -> Record:
    """The record beside an exported file.

    Args:
      path: of the file.
      content: of the file.

    Raises:
      UserError: there is none, it is damaged, or it is that of another file.
    """
    text = beside(path)
    if not text.is_file():
        raise UserError(
            f"{path} has no {text.name} beside it: give a file that `mobilenets "
            "export` wrote, and keep both together."
        )
    values = json_files.load(text)
    try:
        record = Record.model_validate(
            values | {"network": from_values(values["network"])}
        )
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{text} is damaged ({place}: {first['msg']}): export the file again."
        ) from None
    except (ValueError, TypeError, KeyError, ArithmeticError, UserError):
        raise UserError(f"{text} is damaged: export the file again.") from None
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise UserError(
            f"{text} belongs to another file than {path.name}: export it again."
        )
    return record
