"""A trained network that teaches another one: its outputs for images, and the losses.

Hinton et al., "Distilling the knowledge in a neural network", arXiv:1503.02531.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from mobilenets.config.schema import Configuration, Preprocessing
from mobilenets.data.sources.base import Labels, Source, some
from mobilenets.data.sources.renamed import with_names, without_labels
from mobilenets.errors import UserError
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.metrics.base import Batch
from mobilenets.networks import complexity
from mobilenets.networks.spec import ClassifierSpec
from mobilenets.nn.build import Module, build
from mobilenets.nn.normalization import normalize
from mobilenets.runs import hashes
from mobilenets.runtime.tables import millions

OUTPUTS = "teacher"  # the teacher's logits in a batch, [N, classes] float32
IMAGE = "teacher_image"  # what it sees in a batch, where that is not "image"


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A trained classifier, in evaluation mode.

    Args:
      net: the network with its weights.
      dtype: of its computation, that of the network which is taught.
    """

    net: TrainedNet
    dtype: DTypeLike

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the teacher, and of the network that is taught."""
        return self.net.description.class_names

    @property
    def resolution(self) -> int:
        """Of the images that it sees."""
        return self.net.description.network.resolution

    @functools.cached_property
    def identity(self) -> str:
        """A SHA-256 of its weights and of its description."""
        return hashes.of_json(
            {
                "arrays": hashes.of_arrays(self.net.variables),
                "description": self.net.description.model_dump(mode="json"),
            }
        )

    @property
    def summary(self) -> str:
        """What it is, and how large."""
        spec, outputs = self.net.description.network, len(self.class_names)
        return (
            f"{spec.name} at {spec.resolution} pixels ("
            f"{millions(complexity.params(spec, outputs))} M parameters, "
            f"{millions(complexity.madds(spec, outputs))} M MAdds)"
        )

    @property
    def memory(self) -> str:
        """What its weights take where it computes in each step."""
        megabytes = sum(x.nbytes for x in jax.tree.leaves(self.net.variables)) / 1e6
        return f"{megabytes:.1f} MB of weights on each device"

    def preprocessing(self, of_student: Preprocessing) -> Preprocessing:
        """Its own mean, deviation and interpolation, with the student's crop.

        Args:
          of_student: of the network that is taught.
        """
        own = self.net.description.preprocessing
        crop = {k: getattr(of_student, k) for k in ("resize", "crop_fraction")}
        return own.model_copy(update=crop)

    def outputs(self, variables: Any, images: jax.Array) -> jax.Array:
        """Its logits, [N, classes] float32.

        Args:
          variables: those of `net`, on the devices.
          images: [N, resolution, resolution, 3] uint8.
        """
        inputs = normalize(images, self.net.description.preprocessing)
        logits, _ = self._model.apply(variables, inputs, train=False)
        return logits

    def taught(self, batch: Batch, variables: Any) -> Batch:
        """The batch with `OUTPUTS`, unless it has them already, and without `IMAGE`."""
        if OUTPUTS in batch:
            return batch
        rest = {name: values for name, values in batch.items() if name != IMAGE}
        images = batch.get(IMAGE, batch["image"])
        return {**rest, OUTPUTS: self.outputs(variables, images)}

    @functools.cached_property
    def _model(self) -> Module:
        description = self.net.description
        return build(description.network, len(self.class_names), dtype=self.dtype)


def load_teacher(config: Configuration) -> Teacher | None:
    """The teacher of a run, None without one.

    Raises:
      UserError: there are no such weights, or they are of another task or no
        classifier.
    """
    if not config.teacher:
        return None
    _check(trained.describe(config.teacher, "config.teacher"), config)
    return Teacher(trained.load(config.teacher), jnp.dtype(config.dtype))


def _check(description: Description, config: Configuration) -> None:
    """Raises UserError unless the network can teach the task."""
    place, network = f"The teacher in {config.teacher}", description.network
    if not isinstance(network, ClassifierSpec):
        raise UserError(f"{place} is a {network.kind}: give a classifier.")
    is_supernet = config.task.name == "supernet"  # a network of it is a classifier
    wanted = "classification" if is_supernet else config.task.name
    if description.task != wanted:
        raise UserError(
            f"{place} was trained with task.name={description.task}, but this run "
            f"needs a teacher for {wanted}: give another teacher or task.name."
        )


def for_student(
    source: Source, teacher: Teacher, labels: Labels, label_weight: float
) -> Source:
    """The images to train, with the teacher's classes in its order.

    Args:
      source: of the images.
      teacher: of the run.
      labels: what is known of an image.
      label_weight: 0 leaves the labels out.

    Raises:
      UserError: the labels are needed and the teacher has other classes.
    """
    names = teacher.class_names
    if not label_weight:
        unknown = np.full(len(names), np.nan, np.float32)
        nothing = unknown if labels == "attributes" else -1
        return without_labels(source, names, nothing)
    _check_names(source.names, names)
    return with_names(source, names, "The data set")


def _check_names(of_data: Sequence[str], of_teacher: Sequence[str]) -> None:
    """Raises UserError unless both are the same, in any order."""
    more = [name for name in of_data if name not in of_teacher]
    lacking = [name for name in of_teacher if name not in of_data]
    clauses = [
        f"{kind} {some(names)}"
        for kind, names in (("does not know", more), ("also has", lacking))
        if names
    ]
    if clauses:
        raise UserError(
            "The teacher has other classes than the images to train: it "
            f"{' and '.join(clauses)}. Give another teacher, other images, or "
            "--config.distillation.label_weight=0 to train without their labels."
        )


def softmax_losses(
    logits: jax.Array, teacher: jax.Array, temperature: float
) -> jax.Array:
    """The divergence of a student's softened classes from a teacher's.

    It is Hinton's cross-entropy, Sec. 2, less the entropy of the teacher, which has no
    gradient: so it is 0 where both agree. Times temperature^2, which keeps the size of
    its gradient beside that of a loss on labels.

    Args:
      logits: of the student, [N, classes].
      teacher: its logits, [N, classes].
      temperature: by which both are divided.

    Returns:
      [N], one for each image.
    """
    wanted = jax.nn.log_softmax(teacher / temperature)
    found = jax.nn.log_softmax(logits / temperature)
    return temperature**2 * (jnp.exp(wanted) * (wanted - found)).sum(-1)


def sigmoid_losses(
    logits: jax.Array, teacher: jax.Array, temperature: float
) -> jax.Array:
    """As `softmax_losses`, of attributes, each there or not.

    Args:
      logits: of the student, [N, attributes].
      teacher: its logits, [N, attributes].
      temperature: by which both are divided.

    Returns:
      [N, attributes].
    """
    found, wanted = logits / temperature, teacher / temperature
    there = jax.nn.sigmoid(wanted) * (
        jax.nn.log_sigmoid(wanted) - jax.nn.log_sigmoid(found)
    )
    absent = jax.nn.sigmoid(-wanted) * (
        jax.nn.log_sigmoid(-wanted) - jax.nn.log_sigmoid(-found)
    )
    return temperature**2 * (there + absent)


def mixed(
    of_labels: jax.Array, of_teacher: jax.Array, known: jax.Array, label_weight: float
) -> jax.Array:
    """Both losses together; that of the teacher alone where there is no label.

    Args:
      of_labels: losses.
      of_teacher: losses of the same shape.
      known: whether there is a label.
      label_weight: of those that are known; the teacher's have the rest.
    """
    weights = jnp.where(known, label_weight, 0.0)
    return weights * of_labels + (1 - weights) * of_teacher
