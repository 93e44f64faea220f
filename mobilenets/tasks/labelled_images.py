"""What the tasks that label whole images share."""

import contextlib
import operator
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from mobilenets.config.schema import Configuration
from mobilenets.data import pipeline
from mobilenets.data.loading import ImageLoader
from mobilenets.data.sources.base import Record, Source
from mobilenets.errors import UserError, unknown
from mobilenets.inference.description import Description
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec
from mobilenets.nn.build import Network
from mobilenets.tasks import pictures
from mobilenets.tasks.base import HostBatch
from mobilenets.tasks.images import ImageTask

Example = tuple[np.ndarray, Any, np.ndarray]  # image, label, prediction


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

    def train_batches(self, first_step: int = 0) -> pipeline.Batches:
        """Endless batches of "image", uint8, and "label"; see `Task`."""
        source = self._train
        assert source is not None, "a task for an evaluation has no images to train"
        images, as_label = self._image_loader(source), self.as_label

        def load(record: Record, rng: np.random.Generator) -> dict[str, Any]:
            return {
                "image": images.augmented(record, rng),
                "label": as_label(record.target),
            }

        return self.batches_to_train(load, first_step)

    def eval_batches(self, name: str) -> pipeline.Batches:
        """As `train_batches`, every image once; see `pipeline.eval_batches`."""
        source = self._evals[name]
        images, labels = self._image_loader(source), self.labels_to_evaluate(source)

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
        pictures.draw_first_batch(list(zip(batch["image"], words, strict=True)), path)

    def _image_loader(self, source: Source) -> ImageLoader:
        return ImageLoader(
            self.spec.resolution,
            self.config.preprocessing,
            self.config.augmentation,
            source.upright,
        )

    def eval_image(self, name: str, index: int) -> np.ndarray:
        """An image of an evaluation set as the network sees it.

        Returns:
          As `prepare_image` gives it.
        """
        source = self._evals[name]
        return self._image_loader(source).prepared(source[index])

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
        worst: list[tuple[float, Example]] = []
        count = 0
        with contextlib.closing(self.eval_batches("val")) as batches:
            for batch in batches:
                arrays = (batch["image"], batch["label"], predict(batch), batch["mask"])
                for image, label, prediction, mask in zip(*arrays, strict=True):
                    if mask:
                        count += 1
                        example = (image, label, prediction)
                        worst.append((self.likelihood(label, prediction), example))
                worst = sorted(worst, key=operator.itemgetter(0))[:most]
        return [example for _, example in worst], count
