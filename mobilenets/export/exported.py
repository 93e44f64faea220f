"""A network in an exported file, used as trained weights are."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import numpy as np

from mobilenets.errors import UserError
from mobilenets.export import formats, record, signature
from mobilenets.inference.description import Description
from mobilenets.inference.trained import Result
from mobilenets.nn.build import Network
from mobilenets.nn.normalization import normalize
from mobilenets.profiling import latency
from mobilenets.runtime import processors


@dataclasses.dataclass(frozen=True)
class ExportedNet:
    """A network that another runtime computes.

    Args:
      description: of the network.
      format: of the file.
      call: the runtime's.
      batch: images of a call; None for any number.
      layout: of the input, and of the map of a backbone.
      gives_detections: of a detector, instead of its raw outputs.
    """

    description: Description
    format: formats.FormatName
    call: formats.Call
    batch: int | None
    layout: formats.Layout
    gives_detections: bool = False

    takes_any_size: ClassVar[bool] = False

    def run(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """The arrays of the file, see `signature.output_names`.

        Args:
          images: [N, resolution, resolution, 3] float32, normalised.

        Returns:
          Those of all images; a map is [N, H, W, C].

        Raises:
          UserError: the images have another size.
        """
        side = self.spec.resolution
        if images.shape[1:3] != (side, side):
            height, width = images.shape[1:3]
            raise UserError(
                f"The exported file takes images of {side} x {side} pixels, but these "
                f"have {height} x {width}: give the weights from which it was exported."
            )
        parts = [self.call(given) for given in self.inputs(images, len(images))]
        found = [
            np.concatenate(part)[: len(images)] for part in zip(*parts, strict=True)
        ]
        if self.layout == "nhwc":
            return tuple(found)
        return tuple(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x for x in found)

    def inputs(self, images: np.ndarray, most: int) -> list[np.ndarray]:
        """The input of each call for some images.

        Args:
          images: see `run`.
          most: images of a call where the file takes any number. Where it takes a fixed
            one, the last call is filled up with the last image.
        """
        size = self.batch or most
        padding = [(0, -len(images) % size), (0, 0), (0, 0), (0, 0)]
        given = self._in_layout(np.pad(images, padding, mode="edge"))
        return [given[i : i + size] for i in range(0, len(given), size)]

    def apply(self, images: np.ndarray) -> Any:
        """The outputs of the network's module, as far as the file has them.

        Where it `gives_detections`, these are in the place of the raw ones.
        """
        arrays = self.run(images)
        return signature.outputs_of(self.spec, arrays, self.gives_detections)

    @property
    def spec(self) -> Network:
        """See `latency.Measured`."""
        return self.description.network

    def timed(self, batch: int) -> Callable[[], object]:
        """See `latency.Measured`.

        Raises:
          UserError: the file takes another number of images.
        """
        if batch != (self.batch or batch):
            raise UserError(
                f"The file takes {self.batch} images a call: give --batch "
                f"{self.batch}, or export it with --batch {batch}."
            )
        side = self.spec.resolution
        rng = np.random.default_rng(0)
        images = rng.standard_normal((batch, side, side, 3)).astype(np.float32)
        given = self._in_layout(images)

        def call() -> object:
            return self.call(given)

        latency.warm_up(call)
        return call

    def _in_layout(self, images: np.ndarray) -> np.ndarray:
        if self.layout == "nhwc":
            return images
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def compiled(self, result: Callable[[Any], Any]) -> Result:
        """See `Net`."""
        preprocessing = self.description.preprocessing
        normalized = jax.jit(lambda pixels: normalize(pixels, preprocessing))
        compiled = jax.jit(result)
        return lambda pixels: compiled(self.apply(np.asarray(normalized(pixels))))


def load(file: str) -> ExportedNet:
    """The network of a file that `mobilenets export` wrote.

    Raises:
      UserError: it is no such file, it is damaged, or its runtime is not installed.
    """
    path = pathlib.Path(file).expanduser()
    content, found = read(path)
    signature.check(found.network.network, found.detections)
    options = formats.Options(found.batch, found.layout, detections=found.detections)
    try:
        return in_runtime(found.network, found.format, content, options)
    except UserError:
        raise
    except Exception as error:  # each runtime has errors of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        title = formats.FORMATS[found.format].title
        raise UserError(f"{path} is no {title} file that runs here: {reason}") from None


def describe(file: str) -> Description:
    """What a file holds, without loading it into its runtime.

    Raises:
      UserError: see `load`.
    """
    return read(pathlib.Path(file).expanduser())[1].network


def read(path: pathlib.Path) -> tuple[bytes, record.Record]:
    """A file and its record.

    Raises:
      UserError: see `record.read`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    return content, record.read(path, content)


def in_runtime(
    description: Description,
    name: formats.FormatName,
    content: bytes,
    options: formats.Options,
) -> ExportedNet:
    """The network of a file, loaded into its runtime.

    Args:
      description: of the network.
      name: of the format.
      content: of the file.
      options: with which the file was written, see `formats.checked`.

    Raises:
      UserError: the runtime is not installed.
    """
    outputs = signature.output_names(description.network, options.detections)
    call = formats.writer(name).open_file(content, outputs, processors.usable())
    layout = options.layout or "nhwc"
    return ExportedNet(
        description, name, call, options.batch, layout, options.detections
    )
