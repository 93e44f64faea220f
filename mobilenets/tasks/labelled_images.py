"""What the tasks that label whole images share."""

import copy
import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.schema import Configuration, Mixup, Operation, RandAugment
from mobilenets.data import pipeline
from mobilenets.data.loading import ImageLoader, TaughtImageLoader
from mobilenets.data.sources.base import Record, Source
from mobilenets.errors import UserError, unknown
from mobilenets.inference.description import Description
from mobilenets.networks.architectures import replace
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec
from mobilenets.nn.build import Network
from mobilenets.tasks import pictures
from mobilenets.tasks.base import HostBatch, Task
from mobilenets.tasks.distillation import IMAGE, OUTPUTS, Teacher
from mobilenets.tasks.images import ImageTask
from mobilenets.tasks.kept_outputs import with_kept_outputs

Example = tuple[np.ndarray, Any, np.ndarray]  # image, label, prediction


def by_share(own: jax.Array, partner: jax.Array, share: jax.Array) -> jax.Array:
    """The labels of mixed images.

    Args:
      own: labels of the images, [N, classes].
      partner: of their partners.
      share: of their own labels, [N]. Where it is 1, the partner does not matter, even
        if its label is nan.
    """
    share = share[:, None]
    return jnp.where(share == 1, own, share * own + (1 - share) * partner)


class LabelledImages(ImageTask):
    """The parts of `Task` that do not depend on what the labels are."""

    kind = ClassifierSpec

    @staticmethod
    def adapted(network: Network, config: Configuration) -> ClassifierSpec:
        """The network of the weights; a backbone gets the simplest head."""
        if isinstance(network, BackboneSpec):
            return ClassifierSpec(network, dropout_rate=0.0)
        if not isinstance(network, ClassifierSpec):
            raise UserError(
                f"The weights in init_from are a {network.kind}: give a classifier or "
                "a backbone."
            )
        return network

    def new_head(self, params: Any) -> Any:
        """0, as in BiT, arXiv:1912.11370: every class is as likely.

        The initialisation of EfficientNet, made for a thousand classes, is so wide for
        ten that a short training does not overcome it.
        """
        return jax.tree.map(np.zeros_like, params)

    def keeps(self, module: str, weights: Description) -> bool:
        """All of the head, if the task and the classes are the same."""
        return (
            weights.task == self.config.task.name
            and weights.class_names == self.class_names
        )

    @property
    def stages(self) -> Sequence[tuple[int, Task]]:
        """Those of `config.progressive`, with the size of `train_resolution`."""
        count = self.config.progressive.stages
        if count == 1 and not self.config.train_resolution:
            return super().stages
        total = self.config.total_steps(self.train_size)
        return [
            (round(total * number / count), cast(Task, self._stage(number)))
            for number in range(count)
        ]

    def _stage(self, number: int) -> Self:
        """The task of a stage, which differs in the sizes of images and what it drops.

        Args:
          number: counted from 0.
        """
        config, first = self.config, self.config.progressive
        part = number / (first.stages - 1) if first.stages > 1 else 1.0

        def between(start: float, end: float) -> float:
            return end if start < 0 else start * (1 - part) + end * part

        largest = config.train_resolution or self.spec.resolution
        if first.resolution > largest:
            raise UserError(
                f"progressive.resolution is {first.resolution}, but images grow to "
                f"{largest} pixels, the size of the last stage: give less."
            )
        stage = copy.copy(self)
        stage.spec = replace(
            self.spec,
            resolution=round(between(first.resolution, largest)),
            dropout_rate=between(first.dropout_rate, self.spec.dropout_rate),
        )
        stage.model = stage.model_of(stage.spec)
        operations: list[Operation] = []
        for operation in config.augmentation:
            update = {}
            if isinstance(operation, RandAugment):
                update["magnitude"] = between(first.magnitude, operation.magnitude)
            if isinstance(operation, Mixup):
                update["alpha"] = between(first.mixup_alpha, operation.alpha)
            operations.append(operation.model_copy(update=update))
        stage.config = config.model_copy(update={"augmentation": tuple(operations)})
        return stage

    def train_batches(self, first_step: int = 0) -> pipeline.Batches:
        """Endless batches of "image", uint8, and "label"; see `Task`.

        With a teacher also of what it sees, where that differs, or of its outputs. Of
        mixed images also "partner_label" and "share", see `mixing.mix`.
        """
        source = self._train
        assert source is not None, "a task for an evaluation has no images to train"
        images, as_label = self._image_loader(source), self.as_label
        if self.teacher:
            return self._taught_batches(first_step, source, self.teacher)

        def load(record: Record, rng: np.random.Generator) -> dict[str, Any]:
            return {
                "image": images.augmented(record, rng),
                "label": as_label(record.target),
            }

        return self.batches_to_train(source, load, first_step)

    def _taught_batches(
        self, first_step: int, source: Source, teacher: Teacher
    ) -> pipeline.Batches:
        """See `train_batches`."""
        student, as_label = self._image_loader(source), self.as_label
        images = TaughtImageLoader(
            student,
            dataclasses.replace(
                student,
                resolution=teacher.resolution,
                preprocessing=teacher.preprocessing(self.config.preprocessing),
            ),
        )

        def load(record: Record, rng: np.random.Generator) -> dict[str, Any]:
            image, of_teacher = images.augmented(record, rng)
            example = {"image": image, "label": as_label(record.target)}
            return example if images.is_shared else {**example, IMAGE: of_teacher}

        def load_kept(record: Record, rng: np.random.Generator) -> dict[str, Any]:
            target, outputs = record.target
            image = student.augmented(record, rng)
            return {"image": image, "label": as_label(target), OUTPUTS: outputs}

        if not self.config.distillation.outputs:
            return self.batches_to_train(source, load, first_step)
        taught = with_kept_outputs(source, teacher, images.teacher, self.config)
        return self.batches_to_train(taught, load_kept, first_step)

    def eval_batches(self, name: str) -> pipeline.Batches:
        """As `train_batches`, every image once; see `pipeline.eval_batches`."""
        source = self._evals[name]
        images, labels = self._eval_loader(source), self.labels_to_evaluate(source)

        def load(record: Record) -> dict[str, Any]:
            return {"image": images.prepared(record), **labels(record.target)}

        padding = {"image": images.black, **labels(None)}
        return self.batches_to_evaluate(name, load, padding)

    def labels_to_evaluate(self, source: Source) -> Callable[[Any], dict[str, Any]]:
        """What the metrics need to know of an image, from the target of its record.

        The function is called in worker processes. Of None it gives what fills up a
        batch.

        Args:
          source: the evaluation set.
        """
        as_label, no_label = self.as_label, self.no_label
        return lambda target: {
            "label": no_label if target is None else as_label(target)
        }

    @staticmethod  # so that worker processes get it alone, not the whole task
    def as_label(target: Any) -> Any:
        """The "label" of an example, from the target of its record."""
        raise NotImplementedError

    @property
    def no_label(self) -> Any:
        """The "label" of an example that only fills up a batch."""
        raise NotImplementedError

    def weights_of_names(self, given: Mapping[str, float], kind: str) -> np.ndarray:
        """The weight in the loss of each class or attribute, float32; 1 by default.

        Args:
          given: by name.
          kind: "class" or "attribute", for the message.

        Raises:
          UserError: there is no such class or attribute.
        """
        for name in given:
            if name not in self.class_names:
                raise unknown(f"{kind} in task.weights", name, self.class_names)
        return np.array([given.get(n, 1.0) for n in self.class_names], np.float32)

    def predictions(self, outputs: Any) -> jax.Array:
        """The probabilities that are drawn, [N, classes]."""
        raise NotImplementedError

    def in_words(self, label: Any) -> str:
        """The "label" of an example, as pictures have it."""
        raise NotImplementedError

    def draw_first_batch(self, batch: HostBatch, path: pathlib.Path) -> None:
        """See `Task.draw_first_batch`."""
        words = map(self.in_words, batch["label"])
        if "share" in batch:
            partners = map(self.in_words, batch["partner_label"])
            triples = zip(words, partners, batch["share"], strict=True)
            words = (pictures.mixture(*triple) for triple in triples)
        pictures.draw_first_batch(list(zip(batch["image"], words, strict=True)), path)

    def _image_loader(self, source: Source) -> ImageLoader:
        return ImageLoader(
            self.spec.resolution,
            self.config.preprocessing,
            self.config.augmentation,
            source.upright,
        )

    def _eval_loader(self, source: Source) -> ImageLoader:
        loader = self._image_loader(source)
        size = self.config.eval_resolution or self.spec.resolution
        return dataclasses.replace(loader, resolution=size)

    def eval_image(self, name: str, index: int) -> np.ndarray:
        """An image of an evaluation set as the network sees it.

        Returns:
          As `prepare_image` gives it.
        """
        source = self._evals[name]
        return self._eval_loader(source).prepared(source[index])

    def likelihood(self, label: Any, prediction: np.ndarray) -> float:
        """The probability that a prediction gives to a label, or its logarithm."""
        raise NotImplementedError

    def worst_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], most: int
    ) -> tuple[list[Example], int]:
        """The images of "val" of the lowest `likelihood`, the lowest first.

        With several processes it is this process's part of the images.

        Args:
          predict: the `predictions` for a batch.
          most: images.

        Returns:
          The examples, and among how many images they are the worst.
        """

        def compared(
            example: Mapping[str, np.ndarray], prediction: np.ndarray
        ) -> Example:
            return example["image"], example["label"], prediction

        def unlikelihood(example: Example) -> float:
            _, label, prediction = example
            return -self.likelihood(label, prediction)

        batches = self.eval_batches("val")
        return pictures.worst(batches, predict, compared, unlikelihood, most)
