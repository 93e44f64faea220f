"""From trained weights to a file, and how far its outputs are from theirs."""

import dataclasses
import hashlib
import math
import pathlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.detection.postprocessing import Detections
from mobilenets.errors import UserError
from mobilenets.export import formats, record, signature
from mobilenets.export.exported import ExportedNet, in_runtime
from mobilenets.export.folding import fold
from mobilenets.export.formats import FormatName, Options, Scale
from mobilenets.export.stablehlo_file import forward
from mobilenets.inference import prediction
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.spec import BackboneSpec
from mobilenets.nn.build import Network
from mobilenets.nn.normalization import normalize
from mobilenets.profiling import latency
from mobilenets.runtime import processors

MOST_CALIBRATED = 256  # photographs; of more there are as many, evenly chosen
MOST_COMPARED = 64
DRAWN_AT_RANDOM = 8
_AT_ONCE = 8  # images of which the outputs are in memory
_LATENCY_SECONDS = 1.0


def pixels_of(folder: str, net: TrainedNet, most: int) -> np.ndarray:
    """The photographs of a folder as the network sees them, [n, r, r, 3] uint8.

    Args:
      folder: see `prediction.images_in`.
      net: whose preprocessing is applied.
      most: photographs that are read. Of more they are chosen evenly, since the names
        are often in the order of classes.

    Raises:
      UserError: there is no image in the folder, or one is broken.
    """
    paths = prediction.images_in(folder)
    chosen = [paths[i * len(paths) // most] for i in range(most)]
    if len(paths) <= most:
        chosen = paths
    broken: list[UserError] = []
    photos = [*prediction.read_photos(chosen, net, broken.append)]
    if broken:
        raise broken[0]
    return np.stack([photo.pixels for photo in photos])


def export(
    net: TrainedNet,
    name: FormatName,
    options: Options,
    compared: np.ndarray | None = None,
    calibration: np.ndarray | None = None,
) -> tuple[bytes, record.Record]:
    """The file of a network, and its record.

    Args:
      net: the network.
      name: of the format.
      options: of the file.
      compared: photographs on which the outputs are compared, [n, r, r, 3] uint8; None
        for images drawn at random.
      calibration: photographs whose ranges the maps of an int8 file have; None for
        float32.

    Raises:
      UserError: the format has no such option, what it needs is not installed, or it
        cannot hold the network.
    """
    signature.check(net.description.network, options.detections)
    options = formats.checked(name, options, calibration is not None)
    writer = formats.writer(name)
    content = writer.convert(fold(net), options)
    if calibration is not None:
        float32 = in_runtime(net.description, name, content, options)
        inputs = float32.inputs(_normalized(net, calibration), most=1)
        content = writer.quantize(content, inputs)
    exported = in_runtime(net.description, name, content, options)
    pixels = _random_images(net) if compared is None else compared
    scales = writer.scales(content)
    return content, record.Record(
        format=name,
        numbers="float32" if calibration is None else "int8",
        layout=exported.layout,
        network=net.description,
        inputs=_scaled(_inputs(net.description.network, options), scales),
        outputs=_scaled(_outputs(net, options), scales),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        parity=parity(net, exported, pixels, compared is not None),
        median_seconds=_seconds(exported, options.batch or 1),
        threads=processors.usable(),
        opset=options.opset,
        detections=options.detections,
    )


def write(path: pathlib.Path, content: bytes, found: record.Record) -> None:
    """Writes a file and its record; it appears only when both are complete.

    Raises:
      UserError: they cannot be written.
    """
    text = found.model_dump_json(indent=2) + "\n"
    contents = {record.beside(path): text.encode(), path: content}
    unfinished = {file: file.with_name(f".{file.name}.unfinished") for file in contents}
    try:
        for file, written in contents.items():
            unfinished[file].write_bytes(written)
        for file, complete in unfinished.items():
            complete.rename(file)
    except OSError as error:
        for file in unfinished.values():
            file.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _normalized(net: TrainedNet, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(normalize(jnp.asarray(pixels), net.description.preprocessing))


def _random_images(net: TrainedNet) -> np.ndarray:
    """Coarse patterns and noise, of all brightnesses."""
    rng = np.random.default_rng(0)
    size = net.description.network.resolution
    cells = np.arange(size) * 8 // size
    coarse = rng.uniform(0, 255, (DRAWN_AT_RANDOM, 8, 8, 3))[:, cells][:, :, cells]
    noise = 30 * rng.standard_normal(coarse.shape)
    return (coarse + noise).clip(0, 255).astype(np.uint8)


def parity(
    net: TrainedNet, exported: ExportedNet, pixels: np.ndarray, photographs: bool
) -> record.Parity:
    """How far the outputs of a file are from those of the network in JAX.

    Args:
      net: the network.
      exported: in a file.
      pixels: of the images, [n, resolution, resolution, 3] uint8.
      photographs: whether they are.
    """
    network, detections = net.description.network, exported.gives_detections
    in_jax = net.compiled(
        lambda outputs: signature.arrays_of(network, outputs, detections)
    )
    outputs = [_Difference() for _ in signature.output_names(network, detections)]
    agreements = []
    for part, count in _parts(pixels):
        both = in_jax(part), exported.run(_normalized(net, part))
        wanted, found = ([np.asarray(x)[:count] for x in arrays] for arrays in both)
        for output, a, b in zip(outputs, wanted, found, strict=True):
            if a.dtype == np.float32:  # no classes
                output.add(a, b)
        decided = [
            _decided(net.description, arrays, detections) for arrays in (wanted, found)
        ]
        agrees = decided[0] == decided[1]
        agreements += agrees.reshape(count, -1).mean(1).tolist()
    return record.Parity(
        images=len(pixels),
        photographs=photographs,
        largest_difference=max(d.largest / d.spread for d in outputs),
        mean_difference=sum(d.total / d.spread for d in outputs)
        / sum(d.count for d in outputs),
        agreement=None
        if isinstance(network, BackboneSpec)
        else statistics.fmean(agreements),
    )


def _parts(pixels: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Yields some images and how many of them count.

    All parts have one size, so that one program is compiled: the last image is repeated
    at the end.
    """
    size = min(_AT_ONCE, len(pixels))
    for start in range(0, len(pixels), size):
        part = pixels[start : start + size]
        padding = [(0, size - len(part)), (0, 0), (0, 0), (0, 0)]
        yield np.pad(part, padding, mode="edge"), len(part)


@dataclasses.dataclass
class _Difference:
    """Of one output: sums, since the logits of many images would fill the memory."""

    largest: float = 0.0
    total: float = 0.0
    count: int = 0
    least: float = math.inf  # of the network in JAX, as is `most`
    most: float = -math.inf

    def add(self, wanted: np.ndarray, found: np.ndarray) -> None:
        """Counts the output for some images."""
        differences = np.abs(wanted - found)
        self.largest = max(self.largest, float(differences.max()))
        self.total += float(differences.sum(dtype=np.float64))
        self.count += differences.size
        self.least = min(self.least, float(wanted.min()))
        self.most = max(self.most, float(wanted.max()))

    @property
    def spread(self) -> float:
        """The largest number less the least."""
        return max(self.most - self.least, float(np.finfo(np.float32).tiny))


def _decided(
    description: Description, arrays: Sequence[np.ndarray], detections: bool
) -> np.ndarray:
    """The class of each image, anchor, detection or pixel, or an image's attributes."""
    if detections:
        return arrays[Detections._fields.index("classes")]
    if description.threshold is not None:
        return np.asarray(jax.nn.sigmoid(arrays[0])) >= description.threshold
    is_detector = isinstance(description.network, DetectorSpec)
    return arrays[1 if is_detector else 0].argmax(-1)


def _seconds(exported: ExportedNet, size: int) -> float:
    """The median of the calls for one image, or for the fixed batch."""
    call = exported.timed(size)
    return statistics.median(latency.durations(call, _LATENCY_SECONDS))


def _inputs(network: Network, options: Options) -> tuple[record.Array, ...]:
    side = network.resolution
    shape = (3, side, side) if options.layout == "nchw" else (side, side, 3)
    return (record.Array(name=signature.INPUT, shape=(_batch(options), *shape)),)


def _outputs(net: TrainedNet, options: Options) -> tuple[record.Array, ...]:
    network = net.description.network
    side = network.resolution
    images = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
    found = []
    names = signature.output_names(network, options.detections)
    call = forward(net, detections=options.detections)
    for name, array in zip(names, jax.eval_shape(call, images), strict=True):
        shape = array.shape[1:]
        if options.layout == "nchw" and len(shape) == 3:
            shape = (shape[2], *shape[:2])
        whole = (_batch(options), *shape)
        described = {"name": name, "shape": whole, "dtype": str(array.dtype)}
        found.append(record.Array.model_validate(described))
    return tuple(found)


def _scaled(
    arrays: Sequence[record.Array], scales: Mapping[str, Scale]
) -> tuple[record.Array, ...]:
    """The arrays, with what their numbers mean where these are int8."""
    return tuple(
        array.model_copy(update={"dtype": "int8", **dataclasses.asdict(scale)})
        if (scale := scales.get(array.name))
        else array
        for array in arrays
    )


def _batch(options: Options) -> int | Literal["batch"]:
    return options.batch or "batch"
