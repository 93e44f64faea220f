"""The formats of exported files, and what each needs."""

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from mobilenets.errors import UserError, alternatives
from mobilenets.inference.trained import TrainedNet
from mobilenets.runtime import start_up

# Of July 2022, which most readers of ONNX know today.
DEFAULT_OPSET, DEFAULT_IR_VERSION = 17, 8

FormatName = Literal["stablehlo", "litert", "onnx"]
Layout = Literal["nhwc", "nchw"]

# From the input to the outputs in the order of `signature.output_names`.
Call = Callable[[np.ndarray], Sequence[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Options:
    """Of a file; None for what the format usually has."""

    batch: int | None = None  # images of a call; else any number, or 1 for LiteRT
    layout: Layout | None = None  # of the input, and of the map that a backbone gives
    opset: int | None = None  # of ONNX, as is the version
    ir_version: int | None = None
    detections: bool = False  # of a detector, instead of its raw outputs


@dataclasses.dataclass(frozen=True)
class Scale:
    """What numbers of 8 bits mean: scale * (number - zero_point)."""

    scale: float
    zero_point: int

    def quantized(self, numbers: np.ndarray) -> np.ndarray:
        """The nearest int8."""
        rounded = np.round(numbers / self.scale) + self.zero_point
        return rounded.clip(-128, 127).astype(np.int8)

    def numbers(self, quantized: np.ndarray) -> np.ndarray:
        """What they mean, float32."""
        whole = quantized.astype(np.float32) - self.zero_point
        return whole * np.float32(self.scale)


class Writer(Protocol):
    """The module of a format."""

    def convert(self, net: TrainedNet, options: Options) -> bytes:
        """The file of a network whose batch norms are folded."""
        ...

    def quantize(self, content: bytes, inputs: Sequence[np.ndarray]) -> bytes:
        """The file with weights and maps of 8 bits.

        The range of a map is from its least to its largest value in some calls. A
        weight has one scale for each channel of the output.

        Args:
          content: of the file in float32.
          inputs: of the calls.
        """
        ...

    def scales(self, content: bytes) -> dict[str, Scale]:
        """What the inputs and outputs of 8 bits mean, by their names."""
        ...

    def open_file(self, content: bytes, outputs: Sequence[str], threads: int) -> Call:
        """Loads a file.

        Args:
          content: of the file.
          outputs: the names of those that a call gives, in this order.
          threads: on which it runs.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of file."""

    title: str
    runtime: str  # as in a table
    module: str
    extra: str  # of this package, which installs what the module needs
    layouts: tuple[Layout, ...]  # the first is the usual one
    has_int8: bool
    has_any_batch: bool
    has_loops: bool  # which non-maximum suppression needs


# fmt: off
FORMATS: dict[FormatName, Format] = {
    "stablehlo": Format(
        "StableHLO", "jax", "stablehlo_file", "", ("nhwc",),
        has_int8=False, has_any_batch=True, has_loops=True,
    ),
    "litert": Format(
        "LiteRT", "litert", "litert_file", "litert", ("nhwc",),
        has_int8=True, has_any_batch=False, has_loops=False,
    ),
    "onnx": Format(
        "ONNX", "onnxruntime", "onnx_file", "onnx", ("nchw", "nhwc"),
        has_int8=True, has_any_batch=True, has_loops=True,
    ),
}
# fmt: on


def writer(name: FormatName) -> Writer:
    """The module of a format.

    Raises:
      UserError: what it needs is not installed.
    """
    return needed(name, f"mobilenets.export.{FORMATS[name].module}")


def needed(name: FormatName, module: str) -> Any:
    """A module that a format needs.

    Raises:
      UserError: a package is not installed.
    """
    chosen = FORMATS[name]
    start_up.silence_tensorflow()  # parts of it are in LiteRT's libraries
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{chosen.title} files need a package that is not installed ({error}): pip "
            f"install 'mobilenets[{chosen.extra}]'."
        ) from None


def checked(name: FormatName, options: Options, int8: bool) -> Options:
    """The options for a format; its usual layout and batch where none are given.

    Raises:
      UserError: the format has no such option.
    """
    chosen = FORMATS[name]
    if int8 and not chosen.has_int8:
        able = [n for n, other in FORMATS.items() if other.has_int8]
        raise UserError(
            f"{chosen.title} files cannot have int8: give --format "
            f"{alternatives(able)}, or leave out --int8."
        )
    if options.detections and not chosen.has_loops:
        able = [n for n, other in FORMATS.items() if other.has_loops]
        raise UserError(
            f"{chosen.title}'s converter writes no loops, which non-maximum "
            f"suppression is: give --format {alternatives(able)}, or leave out "
            "--detections."
        )
    layout = options.layout or chosen.layouts[0]
    if layout not in chosen.layouts:
        raise UserError(
            f"{chosen.title} files have the layout {alternatives(chosen.layouts)}, not "
            f"{layout}: leave out --layout."
        )
    opset, ir_version = options.opset, options.ir_version
    if name == "onnx":
        opset, ir_version = opset or DEFAULT_OPSET, ir_version or DEFAULT_IR_VERSION
    elif opset or ir_version:
        raise UserError(
            f"{chosen.title} files have no opset and no IR version: leave out --opset "
            "and --ir-version, which are ONNX's."
        )
    batch = options.batch
    if batch is None and not chosen.has_any_batch:
        batch = 1
    return Options(batch, layout, opset, ir_version, options.detections)
