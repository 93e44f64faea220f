"""What the tasks that label whole images share: network, data, and where they start."""

import collections
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.schema import Configuration, Preprocessing
from mobilenets.data import pipeline
from mobilenets.data.loading import ImageLoader
from mobilenets.data.sources.base import Labels, Record, Source
from mobilenets.data.sources.opening import open_sources
from mobilenets.data.sources.renamed import with_names
from mobilenets.errors import UserError, unknown
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.metrics.base import Batch
from mobilenets.networks import complexity, own_spec
from mobilenets.networks.architectures import replace
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec
from mobilenets.nn.backbone import frozen_modules
from mobilenets.nn.classifier import Classifier
from mobilenets.nn.initialization import init_variables
from mobilenets.nn.normalization import normalize
from mobilenets.runtime.tables import millions
from mobilenets.tasks.base import HostBatch


class LabelledImages:
    """The parts of `Task` that do not depend on what the labels are.

    Args:
      config: of the run.
      description: of the weights, to evaluate; None to train.
      sources: "train", "val" and the names of `config.evals`, in place of the
        configured data sets.

    Raises:
      UserError: the network, a data set or the weights to start from are not to be had,
        or do not fit together.
    """

    labels: Labels  # what must be known of an image
    threshold: float | None = None  # see `Description`

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        model = own_spec.resolved(config.model)
        config = config.model_copy(update={"model": model})
        self.spec, preprocessing = _network(config, description)
        self.config = config.model_copy(update={"preprocessing": preprocessing})
        if sources is None:
            sources = open_sources(config, self.labels, to_train=description is None)
        else:
            _check_targets(sources, self.labels)
        self._train = sources.get("train")  # an evaluation opens none
        names = description.class_names if description else sources["train"].names
        self.class_names: tuple[str, ...] = tuple(names)
        self._evals = {
            name: with_names(source, self.class_names, f"The evaluation set {name}")
            for name, source in sources.items()
            if name != "train"
        }
        # The broken images that were passed over, by set: each is told once.
        self._bad_images: dict[str, set[int]] = collections.defaultdict(set)
        self.eval_sizes = {name: len(source) for name, source in self._evals.items()}
        self.model = Classifier(
            self.spec,
            len(self.class_names),
            jnp.dtype(config.dtype),
            frozen_modules(self.spec, config.trainable_stages),
            remat=config.remat,
        )

    @property
    def train_size(self) -> int:
        """Images to train."""
        return len(self._train) if self._train else 0

    @property
    def summary(self) -> str:
        """The network, its cost, and the images to train."""
        outputs = len(self.class_names)
        kind = "classes" if self.labels == "class" else "attributes"
        return (
            f"{self.spec.name} at {self.spec.resolution} pixels "
            f"({millions(complexity.params(self.spec, outputs))} M parameters, "
            f"{millions(complexity.madds(self.spec, outputs))} M MAdds) on "
            f"{self.train_size:,} images of {outputs:,} {kind}"
        )

    @property
    def data_facts(self) -> dict[str, Any]:
        """The names of the classes, and how many images there are to train."""
        return {"class_names": list(self.class_names), "train_size": self.train_size}

    @property
    def description(self) -> dict[str, Any]:
        """See `inference.description.Description`."""
        return Description(
            task=self.config.task.name,
            network=self.spec,
            preprocessing=self.config.preprocessing,
            class_names=self.class_names,
            threshold=self.threshold,
        ).model_dump(mode="json")

    def init_variables(self, rng: jax.Array) -> dict[str, Any]:
        """See `initialization.init_variables`."""
        return init_variables(self.model, rng)

    def with_pretrained(self, variables: dict[str, Any]) -> dict[str, Any]:
        """With the weights of `init_from`; of the head only if the classes are its.

        A new head starts at 0, as in BiT, arXiv:1912.11370: every class is as likely.
        The initialisation of EfficientNet, made for a thousand classes, is so wide for
        ten that a short training does not overcome it.
        """
        if not self.config.init_from:
            return variables
        weights = trained.load(self.config.init_from)
        keeps_head = (
            weights.description.task == self.config.task.name
            and weights.description.class_names == self.class_names
        )
        params = {
            module: weights.variables["params"][module]
            if keeps_head or self.model.role(module) == "backbone"
            else jax.tree.map(np.zeros_like, new)
            for module, new in variables["params"].items()
        }
        return {"params": params, "batch_stats": weights.variables["batch_stats"]}

    def relative_rates(self, params: Any) -> Any:
        """1 for the head, `optimizer.backbone_rate` for the others, 0 if frozen."""

        def rate(module: str) -> float:
            if module in self.model.frozen:
                return 0.0
            is_head = self.model.role(module) == "head"
            return 1.0 if is_head else self.config.optimizer.backbone_rate

        rates = {module: rate(module) for module in params}
        return jax.tree.map_with_path(lambda path, _: rates[path[0].key], params)

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

        config = self.config
        return pipeline.train_batches(
            source,
            load,
            config.batch_size,
            config.seed,
            config.dataset.num_workers,
            first_step,
            config.dataset.max_bad_images,
            self._bad_images["train"],
        )

    def eval_batches(self, name: str) -> pipeline.Batches:
        """As `train_batches`, every image once; see `pipeline.eval_batches`."""
        source = self._evals[name]
        images, as_label = self._image_loader(source), self.as_label

        def load(record: Record) -> dict[str, Any]:
            return {
                "image": images.prepared(record),
                "label": as_label(record.target),
            }

        padding = {"image": images.black, "label": self.no_label}
        config = self.config
        return pipeline.eval_batches(
            source,
            load,
            padding,
            config.batch_size,
            config.dataset.num_workers,
            config.dataset.max_bad_images,
            self._bad_images[name],
        )

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

    def inputs(self, batch: Batch) -> jax.Array:
        """The images normalised, [N, resolution, resolution, 3] float32."""
        return normalize(batch["image"], self.config.preprocessing)

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
          [resolution, resolution, 3] uint8.
        """
        source = self._evals[name]
        return self._image_loader(source).prepared(source[index])

    def first_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], most: int
    ) -> list[tuple[np.ndarray, Any, np.ndarray]]:
        """The first images of "val": pixels, label and `predictions` of each.

        Args:
          predict: the `predictions` for a batch.
          most: images.
        """
        found = []
        with contextlib.closing(self.eval_batches("val")) as batches:
            for batch in batches:
                rows = zip(
                    *(batch["image"], batch["label"], predict(batch), batch["mask"]),
                    strict=True,
                )
                found += [(image, label, p) for image, label, p, mask in rows if mask]
                if len(found) >= most:
                    break
        return found[:most]


def _network(
    config: Configuration, description: Description | None
) -> tuple[ClassifierSpec, Preprocessing]:
    """The network, and what is done to the images for it.

    Raises:
      UserError: the config asks for one that is not to be had.
    """
    if description:
        return _classifier(description), description.preprocessing
    if not config.init_from:
        return own_spec.of_model(config.model), config.preprocessing
    weights = trained.describe(config.init_from)
    if config.preprocessing not in (Preprocessing(), weights.preprocessing):
        raise UserError(
            "preprocessing is given, but the weights in init_from define it: leave it "
            "out."
        )
    spec = replace(_classifier(weights), **config.model)
    return spec, weights.preprocessing


def _classifier(weights: Description) -> ClassifierSpec:
    """The network of weights; a backbone gets the simplest head."""
    network = weights.network
    if isinstance(network, BackboneSpec):
        return ClassifierSpec(network, dropout_rate=0.0)
    return network


def _check_targets(sources: Mapping[str, Source], labels: Labels) -> None:
    """Raises UserError if what is known of an image is not what the task needs."""
    needed = {"class": "one class", "attributes": "attributes"}
    for name, source in sources.items():
        found: Labels = "attributes" if np.ndim(source[0].target) else "class"
        if found != labels:
            raise UserError(
                f"The source {name!r} gives {needed[found]} for each image, but the "
                f"task needs {needed[labels]}: give another source or task.name."
            )
