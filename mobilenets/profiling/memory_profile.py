"""The memory of a training step as XLA plans it, before a run is started."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.check import check
from mobilenets.config.values import defaults
from mobilenets.data.boxes import NO_BOXES, boxes_of
from mobilenets.data.sources.arrays import ArraySource
from mobilenets.data.sources.base import Record, Source
from mobilenets.errors import UserError
from mobilenets.inference import trained
from mobilenets.networks.architectures.ssd import DETECTORS, get_detector
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.layers import Layer
from mobilenets.runtime import sharding
from mobilenets.tasks.classification import Classification
from mobilenets.tasks.detection import MOST_BOXES, Detection
from mobilenets.training.loop import jitted_functions

BYTES = {"float32": 4, "bfloat16": 2}  # of a number
# For each parameter: itself, its average, its gradient, two of the optimizer.
NUMBERS_OF_A_PARAMETER = 5


def estimated(layers: Sequence[Layer], params: int, batch: int, dtype: str) -> int:
    """Bytes that a training step on one device keeps, without compiling it.

    The output of each convolution for the images that pass at once, and five float32
    numbers for each parameter.

    Args:
      layers: of the network.
      params: that are trained.
      batch: images that pass at once.
      dtype: of the computation.
    """
    maps = batch * sum(layer.activations for layer in layers)
    return BYTES[dtype] * maps + BYTES["float32"] * NUMBERS_OF_A_PARAMETER * params


@dataclasses.dataclass(frozen=True)
class StepMemory:
    """Bytes on each of the devices, of XLA's `memory_analysis`, and what they are of.

    XLA reports no code for a CPU; it is 0 there.
    """

    batch: int  # images, over all devices
    dtype: str  # of the computation
    remat: bool
    optimizer: str
    platform: str
    devices: int
    argument_bytes: int  # the state, this device's part of the batch, a random key
    output_bytes: int  # the new state and the metrics
    alias_bytes: int  # of the outputs: written in place of arguments
    temporary_bytes: int  # maps kept for the gradient, gradients, space to work in
    generated_code_bytes: int
    total_bytes: int  # of all, the aliased once


def of_training_step(
    model: dict[str, Any],
    num_classes: int,
    batch: int,
    dtype: str,
    remat: bool,
    init_from: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> StepMemory:
    """Compiles the step that `train.py` runs, and runs nothing.

    All that is not an argument has its default, so that the state has RMSProp's two
    numbers a parameter and the moving averages.

    Args:
      model: `Configuration.model`: the network's name and options.
      num_classes: width of the logits.
      batch: images in one update, over all devices.
      dtype: of the computation.
      remat: see `Configuration.remat`.
      init_from: see `Configuration.init_from`.
      tell: is given a line for what takes long.

    Raises:
      UserError: a value is not allowed, the devices cannot share the batch, or they do
        not tell their memory.
    """
    values = defaults()
    values.update(
        model=model,
        init_from=init_from,
        batch_size=batch,
        dtype=dtype,
        remat=remat,
    )
    names = [f"class {number}" for number in range(num_classes)]
    scores = _scores_of_detector(model, init_from)
    if scores:
        values.task = dict(name="detection", loss=_LOSSES[scores])
        if not init_from:
            values.preprocessing = dict(resize="squash", crop_fraction=1.0)
    config = check(values)
    mesh = sharding.data_mesh(batch, option="--batch")
    source = _OneBox(names) if scores else _one_image(names)
    make = Detection if scores else Classification
    task = make(config, sources={"train": source, "val": source})
    rng = jax.random.key(0)
    tell("compiling the training step")
    create, update = jitted_functions(task, mesh)
    state = jax.eval_shape(create, jax.eval_shape(task.init_variables, rng))
    shapes = box_batch_shapes if scores else batch_shapes
    images = shapes(batch, task.spec.resolution)
    lowered = update.lower(state, images, rng, task.teacher_variables)
    plan = lowered.compile().memory_analysis()
    if plan is None:
        raise UserError(f"XLA reports no memory analysis for {jax.default_backend()}.")
    parts = {
        "argument_bytes": plan.argument_size_in_bytes,
        "output_bytes": plan.output_size_in_bytes,
        "temporary_bytes": plan.temp_size_in_bytes,
        "generated_code_bytes": plan.generated_code_size_in_bytes,
    }
    aliased = plan.alias_size_in_bytes
    return StepMemory(
        batch=batch,
        dtype=dtype,
        remat=remat,
        optimizer=config.optimizer.name,
        platform=jax.default_backend(),
        devices=mesh.size,
        **parts,
        alias_bytes=aliased,
        total_bytes=sum(parts.values()) - aliased,
    )


# With which a detector of these scores can be trained.
_LOSSES = {"sigmoid": "focal", "softmax": "mined_softmax"}


def _scores_of_detector(model: dict[str, Any], init_from: str) -> str:
    """How a detector makes its scores, "" for a classifier."""
    if init_from:
        network = trained.describe(init_from).network
    elif model.get("name") in DETECTORS:
        network = get_detector(**model)
    else:
        return ""
    is_detector = isinstance(network, DetectorSpec)
    return network.postprocessing.scores if is_detector else ""


def _one_image(names: Sequence[str]) -> Source:
    return ArraySource(np.zeros((1, 1, 1), np.uint8), np.zeros(1, np.int32), names)


@dataclasses.dataclass(frozen=True)
class _OneBox:
    """A black image with a box, for the shapes of what is trained on."""

    names: Sequence[str]
    upright: bool = True
    image_ids: Sequence[int] = (0,)
    box_counts: np.ndarray = dataclasses.field(
        default_factory=lambda: np.full(1, MOST_BOXES)
    )

    @property
    def category_ids(self) -> dict[str, int]:
        """Numbers of the classes."""
        return {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Record:
        return Record(np.zeros((1, 1), np.uint8), boxes_of([[0, 0, 1, 1]], [0]), "")


def batch_shapes(batch: int, resolution: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of what `Classification.train_batches` yields in all."""
    shape = (batch, resolution, resolution, 3)
    return {
        "image": jax.ShapeDtypeStruct(shape, jnp.uint8),
        "label": jax.ShapeDtypeStruct(shape[:1], jnp.int32),
    }


def box_batch_shapes(batch: int, resolution: int) -> dict[str, jax.ShapeDtypeStruct]:
    """As `batch_shapes`, of `Detection.train_batches`, with the most boxes."""
    image = batch_shapes(batch, resolution)["image"]
    boxes = NO_BOXES.padded(MOST_BOXES)
    return {"image": image} | {
        key: jax.ShapeDtypeStruct((batch, *array.shape), array.dtype)
        for key, array in boxes.items()
    }
