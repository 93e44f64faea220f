"""A trained network as a folder: its weights, and all that is needed to use them.

Such a folder is what imported weights become; the workdir of a run holds the same.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pydantic

from mobilenets.config import json_files
from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.postprocessing import Detections, detect
from mobilenets.errors import UserError
from mobilenets.inference.description import Description, from_values
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.nn.build import Module, build
from mobilenets.nn.initialization import init_variables
from mobilenets.nn.normalization import normalize
from mobilenets.runs import hashes, soundness
from mobilenets.runs.checkpoint import Checkpoints, abstract_like
from mobilenets.runs.workdir import Workdir

_HASHES = "hashes.json"  # of the arrays by their paths, to find damage

Result = Callable[[np.ndarray], tuple[jax.Array, ...]]


class Net(Protocol):
    """What predicts: a network with its weights, or in a file of another runtime."""

    # Whether images may have another height and width than the resolution.
    takes_any_size: ClassVar[bool]

    @property
    def gives_detections(self) -> bool:
        """Whether its outputs hold `Detections` in the place of `RawDetections`."""
        ...

    @property
    def description(self) -> Description:
        """Of the network."""
        ...

    def compiled(self, result: Callable[[Any], Any]) -> Result:
        """What is made of the network's outputs for pixels.

        Args:
          result: from the outputs for a batch to a tuple of arrays; it is compiled.

        Returns:
          A function of [N, resolution, resolution, 3] uint8, compiled for each N; where
          it `takes_any_size`, of [N, H, W, 3], compiled for each shape.
        """
        ...


@dataclasses.dataclass(frozen=True)
class TrainedNet:
    """A network with its weights."""

    description: Description
    variables: dict[str, Any]  # {"params", "batch_stats"} for `model.apply`

    takes_any_size: ClassVar[bool] = True

    @property
    def gives_detections(self) -> bool:
        """See `Net`."""
        return False

    @property
    def model(self) -> Module:
        """The Linen module of the variables."""
        return build(self.description.network, len(self.description.class_names))

    def compiled(self, result: Callable[[Any], Any]) -> Result:
        """See `Net`."""
        preprocessing = self.description.preprocessing

        @jax.jit
        def run(variables: Any, pixels: jax.Array) -> Any:
            images = normalize(pixels, preprocessing)
            return result(self.model.apply(variables, images))

        return functools.partial(run, jax.device_put(self.variables))

    def detect(self, images: np.ndarray | jax.Array) -> Detections:
        """What a detector finds in images; compiled for each number of them.

        Args:
          images: [N, resolution, resolution, 3], values of 0 to 255.

        Returns:
          Boxes as fractions of the images: top, left, bottom and right.

        Raises:
          UserError: the network is no detector, or the images have another shape.
        """
        network = self.description.network
        if not isinstance(network, DetectorSpec):
            raise UserError(
                f"The weights are those of {network.name}, which is no detector."
            )
        _check_shape(images, network.resolution)
        return _detect(self.variables, images, self.description)

    def segment(self, images: np.ndarray | jax.Array) -> jax.Array:
        """The classes that a segmenter gives to pixels; compiled for each shape.

        Args:
          images: [N, H, W, 3] uint8; H and W may be any, and differ.

        Returns:
          [N, H, W] uint8, numbers of `description.class_names`.

        Raises:
          UserError: the network is no segmenter, or the images have another shape.
        """
        network = self.description.network
        if not isinstance(network, SegmenterSpec):
            raise UserError(
                f"The weights are those of {network.name}, which is no segmenter."
            )
        shape = np.shape(images)
        if len(shape) != 4 or shape[-1] != 3 or 0 in shape:
            raise UserError(
                "The images must have the shape [N, height, width, 3], but have "
                f"{list(shape)}."
            )
        return _segment(self.variables, images, self.description)

    def locate(self, images: np.ndarray | jax.Array) -> np.ndarray:
        """The places where images were taken, those of their most likely cells.

        Args:
          images: [N, resolution, resolution, 3], values of 0 to 255; compiled for each
            N.

        Returns:
          [N, 2] float64: latitude and longitude in degrees.

        Raises:
          UserError: the network is no geolocalization, or the images have another
            shape.
        """
        places, network = self.description.places, self.description.network
        if places is None:
            raise UserError(
                f"The weights are those of {network.name} for {self.description.task}, "
                "which has no places."
            )
        _check_shape(images, network.resolution)
        return np.array(places)[
            np.asarray(_likeliest(self.variables, images, self.description))
        ]


def _check_shape(images: np.ndarray | jax.Array, resolution: int) -> None:
    """Raises UserError unless images have the height and width of a network's."""
    wanted = (resolution, resolution, 3)
    if np.ndim(images) != 4 or np.shape(images)[1:] != wanted:
        raise UserError(
            f"The images must have the shape [N, {', '.join(map(str, wanted))}], but "
            f"have {list(np.shape(images))}."
        )


@functools.partial(jax.jit, static_argnames="description")
def _detect(
    variables: dict[str, Any], images: jax.Array, description: Description
) -> Detections:
    spec = cast(DetectorSpec, description.network)
    model = build(spec, len(description.class_names))
    raw, _ = model.apply(variables, normalize(images, description.preprocessing))
    anchors = jnp.asarray(anchor_boxes(spec))
    return detect(raw.box_codes, raw.class_logits, anchors, spec)


@functools.partial(jax.jit, static_argnames="description")
def _segment(
    variables: dict[str, Any], images: jax.Array, description: Description
) -> jax.Array:
    model = build(description.network, len(description.class_names))
    raw, _ = model.apply(variables, normalize(images, description.preprocessing))
    return raw.logits.argmax(-1).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnames="description")
def _likeliest(
    variables: dict[str, Any], images: jax.Array, description: Description
) -> jax.Array:
    model = build(description.network, len(description.class_names))
    logits, _ = model.apply(variables, normalize(images, description.preprocessing))
    return logits.argmax(-1)


def save(net: TrainedNet, directory: str) -> None:
    """Writes a new folder; it appears only when it is complete.

    Raises:
      UserError: there is something already, or it cannot be written.
    """
    path = pathlib.Path(directory).expanduser().absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{directory} exists already: give a new folder.")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(unfinished / "variables", net.variables, force=True)
        text = net.description.model_dump_json(indent=2)
        (unfinished / "network.json").write_text(text + "\n")
        found = hashes.of_arrays(net.variables)
        (unfinished / _HASHES).write_text(json.dumps(found, indent=1) + "\n")
        if path.exists():
            path.rmdir()
        unfinished.rename(path)
    except Exception as error:  # of the disk, of Orbax and its threads
        why = soundness.reason(error)
        raise UserError(f"Cannot write to {directory}: {why}.") from None


def describe(directory: str, key: str = "") -> Description:
    """What a folder holds, without reading the weights.

    Args:
      directory: see `load`.
      key: of the config that names the folder, for the message.

    Raises:
      UserError: as `load`.
    """
    path = _existing(directory, key)
    if (path / "network.json").exists():
        file = path / "network.json"
        return _read_description(lambda: json_files.load(file), directory)
    with _checkpoints_of_run(path, directory) as (checkpoints, step):
        description = checkpoints.description(step)
        return _read_description(lambda: description, directory)


def load(directory: str) -> TrainedNet:
    """The network of a folder that `save` wrote, or of a run.

    Of a run it is the averaged weights of the best checkpoint, or of the latest where
    none was evaluated yet.

    Args:
      directory: the folder, or the run's workdir.

    Raises:
      UserError: there is no such folder, it holds neither, or it is damaged.
    """
    path = _existing(directory)
    description = describe(directory)
    shapes = _shapes(description)
    if (path / "network.json").exists():
        try:
            with ocp.StandardCheckpointer() as checkpointer:
                variables = checkpointer.restore(path / "variables", shapes)
            wrong = _different(path, variables)
        except Exception as error:  # damage has any form
            raise _damaged(directory, error) from None
        if wrong:
            raise _damaged(directory, wrong)
    else:
        with _checkpoints_of_run(path, directory) as (checkpoints, step):
            variables = checkpoints.restore_variables(step, shapes, ema=True)
    return TrainedNet(description, jax.tree.map(np.asarray, variables))


def _different(path: pathlib.Path, variables: Any) -> str:
    """Which arrays are not what was saved; of older versions there are no hashes."""
    if not (path / _HASHES).exists():
        return ""
    saved = json_files.load(path / _HASHES)
    return soundness.different({"arrays": saved}, variables, whole=True)


def _existing(directory: str, key: str = "") -> pathlib.Path:
    path = pathlib.Path(directory).expanduser().absolute()
    if not path.is_dir():
        named_by = f" ({key})" if key else ""
        raise UserError(
            f"There is no folder {directory}{named_by}: give one that `mobilenets "
            "pretrained` or `mobilenets import-weights` wrote, or the workdir of a run."
        )
    return path


@contextlib.contextmanager
def _checkpoints_of_run(path: pathlib.Path, directory: str):
    """The open checkpoints of a run, and the step of the one to use."""
    workdir = Workdir(path)
    if not workdir.checkpoints.is_dir():
        raise UserError(
            f"{directory} holds no weights: it has neither the network.json of imported"
            " weights nor the checkpoints of a run."
        )
    with contextlib.closing(Checkpoints(workdir, read_only=True)) as checkpoints:
        step = checkpoints.best_step or checkpoints.latest_step
        if step is None:
            why = soundness.has_no_checkpoint(workdir)
            raise UserError(f"The run in {directory} {why}.")
        yield checkpoints, step


def _read_description(read: Callable[[], Any], directory: str) -> Description:
    """A description from its JSON object, which must be that of a network."""
    try:
        return from_values(read())
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _damaged(directory, f"{place}: {first['msg']}") from None
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        ArithmeticError,
        UserError,
    ) as error:
        raise _damaged(directory, error) from None


def _shapes(description: Description) -> Any:
    model = build(description.network, len(description.class_names))
    shapes = jax.eval_shape(lambda: init_variables(model, jax.random.key(0)))
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return abstract_like(shapes, here)


def _damaged(directory: str, error: Exception | str) -> UserError:
    why = error if isinstance(error, str) else soundness.reason(error)
    return UserError(f"The weights in {directory} cannot be read: {why}.")
