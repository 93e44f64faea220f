"""A network with random weights in a runtime, to be measured."""

import dataclasses
import functools
from collections.abc import Callable

import jax

from mobilenets.config.schema import Preprocessing
from mobilenets.errors import unknown
from mobilenets.export import formats, signature
from mobilenets.export.exported import in_runtime
from mobilenets.export.folding import fold
from mobilenets.export.formats import FormatName
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.nn.build import Network, build
from mobilenets.nn.initialization import init_variables
from mobilenets.profiling import latency


@dataclasses.dataclass(frozen=True)
class NetInFile:
    """A network that is written to a file of this format; see `latency.Net`."""

    format: FormatName
    spec: Network
    num_classes: int

    def timed(self, batch: int) -> Callable[[], object]:
        """See `latency.Measured`.

        Raises:
          UserError: see `written`.
        """
        content, described, options = self.written(batch)
        return in_runtime(described, self.format, content, options).timed(batch)

    def written(self, batch: int) -> tuple[bytes, Description, formats.Options]:
        """The file for some images a call, and with what it is loaded.

        Raises:
          UserError: the network cannot be written to a file, or what its format needs
            is not installed.
        """
        signature.check(self.spec)
        names = tuple(f"class {i}" for i in range(self.num_classes))
        described = Description(
            network=self.spec, preprocessing=Preprocessing(), class_names=names
        )
        model = build(self.spec, self.num_classes)
        variables = init_variables(model, jax.random.key(0))
        options = formats.checked(self.format, formats.Options(batch), int8=False)
        writer = formats.writer(self.format)
        content = writer.convert(fold(TrainedNet(described, variables)), options)
        return content, described, options


RUNTIMES: dict[str, Callable[[Network, int], latency.Measured]] = {
    "jax": latency.Net,
    "litert": functools.partial(NetInFile, "litert"),
    "onnxruntime": functools.partial(NetInFile, "onnx"),
}


def runtimes(text: str) -> list[str]:
    """Some of `RUNTIMES`, from their names separated by commas.

    Raises:
      UserError: a name is none of them, or what it needs is not installed.
    """
    names = [*dict.fromkeys(text.split(","))]
    for name in names:
        if name not in RUNTIMES:
            raise unknown("runtime", name, RUNTIMES)
        for kind, chosen in formats.FORMATS.items():
            if name == chosen.runtime:
                formats.writer(kind)
    return names
