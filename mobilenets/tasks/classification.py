"""Image classification with one label an image."""

import contextlib
import csv
import pathlib
from collections.abc import Callable
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mobilenets.config.configuration import Configuration, Preprocessing
from mobilenets.data import pipeline
from mobilenets.data.loading import ImageLoader
from mobilenets.data.sources.base import Record, Source
from mobilenets.data.sources.opening import open_source
from mobilenets.errors import UserError
from mobilenets.inference import trained
from mobilenets.metrics.base import Batch
from mobilenets.metrics.confusion import Confusion, class_accuracies
from mobilenets.metrics.mistakes import Mistakes
from mobilenets.metrics.several import Several
from mobilenets.metrics.top_k import TOP_K
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.nn.convnet import ConvNet, frozen_modules, init_variables
from mobilenets.nn.normalization import normalize
from mobilenets.tasks import pictures
from mobilenets.tasks.base import HostBatch, Metrics

PREDICTIONS_DRAWN = 40
MISTAKES_DRAWN = 40
MOST_CLASSES_DRAWN = 200  # more are no picture of the confusion


class Classification:
    """Cross-entropy, top-1 and top-5 of a `ConvNet` on a labelled data set.

    Raises:
      UserError: the model or the data set of the configuration is not to be had.
    """

    headline = "top1"
    metric = TOP_K

    def __init__(self, config: Configuration):
        if config.init_from:
            description = trained.describe(config.init_from)
            self.spec = replace(description.spec, **config.model)
            config = _with_preprocessing(config, description.preprocessing)
        else:
            self.spec = get_spec(**config.model)
        self.config = config
        self._train = open_source(
            config.dataset, config.dataset.train_split, "class", to_train=True
        )
        self.class_names = self._train.names
        self._evals = _open_evals(config, self.class_names)
        self.model = ConvNet(
            self.spec,
            len(self.class_names),
            jnp.dtype(config.dtype),
            frozen_modules(self.spec, config.trainable_stages),
            remat=config.remat,
        )
        self.train_size = len(self._train)
        self.eval_sizes = {name: len(source) for name, source in self._evals.items()}
        self.report_metric = Several(
            {
                "means": TOP_K,
                "confusion": Confusion(len(self.class_names)),
                "mistakes": Mistakes(MISTAKES_DRAWN),
            }
        )

    @property
    def data_facts(self) -> dict[str, Any]:
        """The names of the classes, and how many images there are to train."""
        return {"class_names": list(self.class_names), "train_size": self.train_size}

    @property
    def description(self) -> dict[str, Any]:
        """See `trained.Description`."""
        return trained.Description(
            spec=self.spec,
            preprocessing=self.config.preprocessing,
            class_names=self.class_names,
        ).model_dump(mode="json")

    def init_variables(self, rng: jax.Array) -> dict[str, Any]:
        """See `convnet.init_variables`."""
        return init_variables(self.model, rng)

    def with_pretrained(self, variables: dict[str, Any]) -> dict[str, Any]:
        """With the weights of `init_from`; the logits only if the classes are its.

        New logits start at 0, as in BiT, arXiv:1912.11370: every class is as likely.
        The initialisation of EfficientNet, made for a thousand classes, is so wide for
        ten that a short training does not overcome it.
        """
        if not self.config.init_from:
            return variables
        pretrained = trained.load(self.config.init_from)
        params = dict(pretrained.variables["params"])
        if pretrained.description.class_names != self.class_names:
            params["logits"] = jax.tree.map(
                np.zeros_like, variables["params"]["logits"]
            )
        return {"params": params, "batch_stats": pretrained.variables["batch_stats"]}

    def relative_rates(self, params: Any) -> Any:
        """1 for the logits, `optimizer.backbone_rate` for the others, 0 if frozen."""

        def rate(path: tuple, _: jax.Array) -> float:
            module = path[0].key
            if module in self.model.frozen:
                return 0.0
            return 1.0 if module == "logits" else self.config.optimizer.backbone_rate

        return jax.tree.map_with_path(rate, params)

    def train_batches(self) -> grain.DatasetIterator:
        """Endless batches of "image", uint8, and "label", [N] int32."""
        images = self._image_loader(self._train)

        def load(record: Record, rng: np.random.Generator) -> dict[str, Any]:
            image = images.augmented(record, rng)
            return {"image": image, "label": np.int32(record.target)}

        config = self.config
        return pipeline.train_batches(
            self._train,
            load,
            config.batch_size,
            config.seed,
            config.dataset.num_workers,
        )

    def eval_batches(self, name: str) -> grain.DatasetIterator:
        """As `train_batches`, every image once; see `pipeline.eval_batches`."""
        source = self._evals[name]
        images = self._image_loader(source)

        def load(record: Record) -> dict[str, Any]:
            return {"image": images.prepared(record), "label": np.int32(record.target)}

        config = self.config
        return pipeline.eval_batches(
            source,
            load,
            {"image": images.black, "label": np.int32(0)},
            config.batch_size,
            config.dataset.num_workers,
        )

    def _image_loader(self, source: Source) -> ImageLoader:
        return ImageLoader(
            self.spec.resolution,
            self.config.preprocessing,
            self.config.augmentation,
            source.upright,
        )

    def inputs(self, batch: Batch) -> jax.Array:
        """The images normalised, [N, resolution, resolution, 3] float32."""
        return normalize(batch["image"], self.config.preprocessing)

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """Cross-entropy with smoothed labels (also as "loss"), and "top1"."""
        logits, _ = outputs
        targets = jax.nn.one_hot(batch["label"], logits.shape[-1])
        targets = optax.smooth_labels(targets, self.config.label_smoothing)
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        top1 = (logits.argmax(-1) == batch["label"]).mean()
        return loss, {"loss": loss, "top1": top1}

    def predictions(self, outputs: Any) -> jax.Array:
        """The probability of each class, [N, classes]."""
        logits, _ = outputs
        return jax.nn.softmax(logits)

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """See `Task.draw_predictions`; mistakes are marked."""
        drawn = []
        with contextlib.closing(self.eval_batches("val")) as batches:
            for batch in batches:
                examples = zip(
                    batch["image"],
                    batch["label"],
                    predict(batch),
                    batch["mask"],
                    strict=True,
                )
                drawn += [(im, label, p) for im, label, p, mask in examples if mask]
                if len(drawn) >= PREDICTIONS_DRAWN:
                    break
        if jax.process_index() == 0:
            pictures.draw_predictions(drawn[:PREDICTIONS_DRAWN], self.class_names, path)

    def by_class(self, total: Any) -> dict[str, dict[str, float]]:
        """How many images each class has, and which part of them is found."""
        matrix = total["confusion"]
        counts, accuracies = matrix.sum(1), class_accuracies(matrix)
        return {
            name: {"images": float(count), "accuracy": float(accuracy)}
            for name, count, accuracy in zip(
                self.class_names, counts, accuracies, strict=True
            )
        }

    def write_report(
        self, name: str, total: Any, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """Confusion matrix (rows are the true classes) and most confident mistakes."""
        matrix, mistakes = total["confusion"], total["mistakes"]
        table = folder / f"{name}_confusion.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["true", *self.class_names])
            writer.writerows(zip(self.class_names, *matrix.T.tolist(), strict=True))
        written = [table, folder / f"{name}_mistakes.png"]
        images = [self._eval_image(name, int(i)) for i in mistakes["index"]]
        pictures.draw_mistakes(images, mistakes, self.class_names, written[-1])
        if len(self.class_names) <= MOST_CLASSES_DRAWN:
            written.append(folder / f"{name}_confusion.png")
            pictures.draw_confusion(matrix, self.class_names, written[-1])
        return written

    def _eval_image(self, name: str, index: int) -> np.ndarray:
        """As the network sees it, [resolution, resolution, 3] uint8."""
        source = self._evals[name]
        return self._image_loader(source).prepared(source[index])


def _with_preprocessing(
    config: Configuration, preprocessing: Preprocessing
) -> Configuration:
    """The configuration with the preprocessing that belongs to the weights.

    Raises:
      UserError: another one is given.
    """
    if config.preprocessing not in (Preprocessing(), preprocessing):
        raise UserError(
            "The config is wrong: preprocessing is given, but it is that of the "
            "weights in init_from: leave it out."
        )
    return config.model_copy(update={"preprocessing": preprocessing})


def _open_evals(
    config: Configuration, class_names: tuple[str, ...]
) -> dict[str, Source]:
    """The evaluation sets by name: "val", then `config.evals`.

    Raises:
      UserError: a set is not to be had, or has other classes.
    """
    sources = {"val": open_source(config.dataset, config.dataset.eval_split)}
    for name, chosen in config.evals.items():
        sources[name] = open_source(chosen.dataset(config.dataset), chosen.split)
    for name, source in sources.items():
        if source.names != class_names:
            raise UserError(
                f"The evaluation set {name} has other classes than the images to train."
            )
    return sources
