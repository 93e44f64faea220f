"""Image classification with one label an image."""

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mobilenets.config.configuration import Configuration
from mobilenets.data import pipeline
from mobilenets.data.sources import open_source
from mobilenets.inference import trained
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.nn.backbone import frozen_modules
from mobilenets.nn.classifier import Classifier
from mobilenets.nn.initialization import init_variables
from mobilenets.tasks import pictures
from mobilenets.tasks.base import Batch, HostBatch, Metrics

PREDICTIONS_DRAWN = 40


class Classification:
    """Cross-entropy, top-1 and top-5 of a `Classifier` on a labelled data set.

    Raises:
      UserError: the model or the data set of the configuration is not to be had.
    """

    headline = "top1"

    def __init__(self, config: Configuration):
        if config.init_from:
            description = trained.describe(config.init_from)
            self.spec = replace(description.spec, **config.model)
            config = config.model_copy(
                update={"preprocessing": description.preprocessing}
            )
        else:
            self.spec = get_spec(**config.model)
        self._config = config
        self._train = open_source(config.dataset, config.dataset.train_split)
        self._eval = open_source(config.dataset, config.dataset.eval_split)
        self.class_names = self._train.class_names
        self.model = Classifier(
            self.spec,
            len(self.class_names),
            jnp.dtype(config.dtype),
            frozen_modules(self.spec, config.trainable_stages),
            remat=config.remat,
        )
        self.train_size, self.eval_size = len(self._train), len(self._eval)

    @property
    def data_facts(self) -> dict[str, Any]:
        """The names of the classes, and how many images there are to train."""
        return {"class_names": list(self.class_names), "train_size": self.train_size}

    @property
    def description(self) -> dict[str, Any]:
        """See `trained.Description`."""
        return trained.Description(
            spec=self.spec,
            preprocessing=self._config.preprocessing,
            class_names=self.class_names,
        ).model_dump(mode="json")

    def init_variables(self, rng: jax.Array) -> dict[str, Any]:
        """See `initialization.init_variables`."""
        return init_variables(self.model, rng)

    def with_pretrained(self, variables: dict[str, Any]) -> dict[str, Any]:
        """With the weights of `init_from`; the logits only if the classes are its.

        New logits start at 0, as in BiT, arXiv:1912.11370: every class is as likely.
        The initialisation of EfficientNet, made for a thousand classes, is so wide for
        ten that a short training does not overcome it.
        """
        if not self._config.init_from:
            return variables
        pretrained = trained.load(self._config.init_from)
        params = dict(pretrained.variables["params"])
        if pretrained.description.class_names != self.class_names:
            params |= {
                name: jax.tree.map(np.zeros_like, fresh)
                for name, fresh in variables["params"].items()
                if self.model.role(name) == "head"
            }
        return {"params": params, "batch_stats": pretrained.variables["batch_stats"]}

    def relative_rates(self, params: Any) -> Any:
        """1 for the head, `optimizer.backbone_rate` for the others, 0 if frozen."""
        rates = {"head": 1.0, "backbone": self._config.optimizer.backbone_rate}

        def rate(module: str) -> float:
            is_frozen = module in self.model.frozen
            return 0.0 if is_frozen else rates[self.model.role(module)]

        return {
            module: jax.tree.map(lambda _, module=module: rate(module), tree)
            for module, tree in params.items()
        }

    def train_batches(self) -> grain.DatasetIterator:
        """See `pipeline.train_batches`."""
        return pipeline.train_batches(self._train, self._config, self.spec.resolution)

    def eval_batches(self) -> grain.DatasetIterator:
        """See `pipeline.eval_batches`."""
        return pipeline.eval_batches(self._eval, self._config, self.spec.resolution)

    def inputs(self, batch: Batch) -> jax.Array:
        """The images normalised, [N, resolution, resolution, 3] float32."""
        preprocessing = self._config.preprocessing
        mean, std = jnp.array(preprocessing.mean), jnp.array(preprocessing.std)
        return (batch["image"].astype(jnp.float32) - mean) / std

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """Cross-entropy with smoothed labels (also as "loss"), and "top1"."""
        logits, _ = outputs
        targets = jax.nn.one_hot(batch["label"], logits.shape[-1])
        targets = optax.smooth_labels(targets, self._config.label_smoothing)
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        top1 = (logits.argmax(-1) == batch["label"]).mean()
        return loss, {"loss": loss, "top1": top1}

    def eval_sums(self, outputs: Any, batch: Batch) -> Metrics:
        """Sums of the cross-entropy (labels not smoothed), top-1 and top-5 hits."""
        (logits, _), labels, mask = outputs, batch["label"], batch["mask"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        _, top5 = jax.lax.top_k(logits, min(5, logits.shape[-1]))
        hits = top5 == labels[:, None]
        return {
            "loss": (losses * mask).sum(),
            "top1": (hits[:, 0] * mask).sum(),
            "top5": (hits.any(-1) * mask).sum(),
            "count": mask.sum(),
        }

    def summarize(self, sums: dict[str, float]) -> dict[str, float]:
        """Loss, top-1 and top-5 (fractions of 1) and the number of images counted."""
        count = sums["count"]
        means = {k: v / count for k, v in sums.items() if k != "count"}
        return means | {"count": count}

    def predictions(self, outputs: Any) -> jax.Array:
        """The probability of each class, [N, classes]."""
        logits, _ = outputs
        return jax.nn.softmax(logits)

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """See `Task.draw_predictions`; mistakes are marked."""
        drawn = []
        with contextlib.closing(self.eval_batches()) as batches:
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
