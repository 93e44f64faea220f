"""Segmentation: the class of every pixel, by DeepLabv3, R-ASPP and LR-ASPP."""

import operator
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.schema import Configuration, Preprocessing, SegmentationTask
from mobilenets.data import pipeline
from mobilenets.data.loading import MaskedImageLoader, Size
from mobilenets.data.masks import MOST_CLASSES
from mobilenets.data.preprocessing import fit
from mobilenets.data.sources.base import MaskedSource, Record, Source
from mobilenets.errors import UserError
from mobilenets.inference.description import Description
from mobilenets.metrics.base import Batch
from mobilenets.metrics.pixels import PixelConfusion
from mobilenets.networks.architectures.deeplab import segmenter_on
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.nn.build import Network
from mobilenets.nn.multi_scale import MultiScale
from mobilenets.segmentation.labelling import classes_of_image
from mobilenets.segmentation.losses import mean_cross_entropy
from mobilenets.tasks import pictures, pixel_pictures
from mobilenets.tasks.base import HostBatch, Metrics
from mobilenets.tasks.images import ImageTask

IMAGES_DRAWN = 8
# Those of `model` that say which segmenter starts from weights.
OPTIONS = frozenset({"head", "output_stride", "filters"})
# Modules of a head that tell classes apart.
_OF_CLASSES = ("logits", "low_level_logits", "auxiliary")


class Segmentation(ImageTask):
    """The loss of DeepLab, and the mean intersection over union.

    An image to train is a window of the network's resolution. An image to evaluate is
    seen as `preprocessing` says, and each pixel of the source's own image is evaluated:
    the logits are interpolated there, see `labelling.classes_of_image`.
    """

    labels = "mask"
    kind = SegmenterSpec
    headline = "mIoU"
    of_adapted = OPTIONS

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        self._options = cast(SegmentationTask, config.task)
        super().__init__(config, description, sources)
        for name, source in (sources or {}).items():
            if not hasattr(source, "sizes"):
                raise UserError(
                    f"The source {name!r} has no sizes: give it the height and width of"
                    " each mask, [images, 2] integers, so that a batch has room for "
                    "the largest."
                )
        if self.config.preprocessing.resize == "crop":
            raise UserError(
                "preprocessing.resize is 'crop', but segmentation labels all pixels of "
                "an image: give pad, squash, keep or short_side."
            )
        if len(self.class_names) > MOST_CLASSES:
            raise UserError(
                f"There are {len(self.class_names)} classes, but masks have at most "
                f"{MOST_CLASSES}."
            )
        options = self._options
        if options.eval_flip or options.eval_scales != (1.0,):
            self.model = MultiScale(
                cast(Any, self.model), options.eval_scales, options.eval_flip
            )
        self.metric = PixelConfusion(self._classes, len(self.class_names))
        self.report_metric = self.metric

    @staticmethod
    def adapted(network: Network, config: Configuration) -> SegmenterSpec:
        """See `segmenter_on`: LR-ASPP unless `model` has another head."""
        assert not isinstance(network, SearchSpace)  # which `ImageTask` refuses
        options = {k: v for k, v in config.model.items() if k in OPTIONS}
        return segmenter_on(network, **options)

    @classmethod
    def preprocessing_from(
        cls, weights: Description, given: Preprocessing
    ) -> Preprocessing:
        """That of the weights, but with another `resize` where the config has one.

        Of weights that are no segmenter it is "pad" without that: the whole image, in
        its own shape.
        """
        is_segmenter = isinstance(weights.network, SegmenterSpec)
        of_shape = Preprocessing().model_dump(include={"resize", "crop_fraction"})
        colors = given.model_copy(update=of_shape)
        if given.resize == "crop" or colors != Preprocessing():
            preprocessing = super().preprocessing_from(weights, given)
            resize = preprocessing.resize if is_segmenter else "pad"
        else:
            preprocessing, resize = weights.preprocessing, given.resize
        changes = {"resize": resize, "crop_fraction": 1.0}
        return preprocessing.model_copy(update=changes)

    def keeps(self, module: str, weights: Description) -> bool:
        """Of a segmenter all but what distinguishes other classes."""
        if not isinstance(weights.network, SegmenterSpec):
            return False
        return weights.class_names == self.class_names or module not in _OF_CLASSES

    @property
    def in_evaluation_mode(self) -> tuple[str, ...]:
        """All modules, if their batch norms are frozen; see `ImageTask`."""
        if not self._options.frozen_batch_norm:
            return super().in_evaluation_mode
        paths = [layer.name for layer in self.spec.layers(1)]
        return tuple(dict.fromkeys(path.partition("/")[0] for path in paths))

    def train_batches(self, first_step: int = 0) -> pipeline.Batches:
        """Endless batches of "image" and "labels", uint8; see `Task`."""
        source = self._train
        assert source is not None, "a task for an evaluation has no images to train"
        images = self._image_loader(source)

        def load(record: Record, rng: np.random.Generator) -> dict[str, Any]:
            return images.augmented(record, rng)

        return self.batches_to_train(source, load, first_step)

    def eval_batches(self, name: str) -> pipeline.Batches:
        """Every image once, with its whole mask; see `pipeline.eval_batches`."""
        images = self._image_loader(self._evals[name])
        return self.batches_to_evaluate(name, images.prepared, images.padding)

    def _image_loader(self, source: Source) -> MaskedImageLoader:
        sizes = np.unique(cast(MaskedSource, source).sizes, axis=0)
        height, width = sizes.max(axis=0).tolist()
        return MaskedImageLoader(
            self.spec.resolution,
            self.config.preprocessing,
            self.config.augmentation,
            source.upright,
            shown=self._largest_shown(sizes),
            labelled=(height, width),
        )

    def _largest_shown(self, sizes: np.ndarray) -> Size:
        """The size of the network's input that has room for images of these sizes."""
        shown = [
            fit(width, height, self.spec.resolution, self.config.preprocessing).window
            for height, width in sizes.tolist()
        ]
        left, top, right, bottom = np.array(shown).T
        return int((bottom - top).max()), int((right - left).max())

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """See `losses.mean_cross_entropy`; also as "loss", with its parts."""
        raw, _ = outputs
        loss = mean_cross_entropy(raw.logits, batch["labels"])
        if raw.auxiliary_logits is None:
            return loss, {"loss": loss}
        auxiliary = mean_cross_entropy(raw.auxiliary_logits, batch["labels"])
        total = loss + self._options.auxiliary_weight * auxiliary
        parts = {"pixel_loss": loss, "auxiliary_loss": auxiliary}
        return total, {"loss": total, **parts}

    def _classes(self, outputs: Any, batch: Batch) -> jax.Array:
        """The classes of the pixels of the source's images, [N, H, W] uint8."""
        raw, _ = outputs
        size = batch["labels"].shape[1], batch["labels"].shape[2]
        if self.config.preprocessing.resize == "keep":  # its pixels are the image's own
            return raw.logits[:, : size[0], : size[1]].argmax(-1).astype(jnp.uint8)
        return classes_of_image(raw.logits, batch["to_image"], size)

    def predictions(self, outputs: Any) -> jax.Array:
        """The classes of the pixels that the network sees, [N, H, W] uint8."""
        raw, _ = outputs
        return raw.logits.argmax(-1).astype(jnp.uint8)

    def draw_first_batch(self, batch: HostBatch, path: pathlib.Path) -> None:
        """See `Task.draw_first_batch`."""
        pixel_pictures.draw_first_batch(batch, self.class_names, IMAGES_DRAWN, path)

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """See `Task.draw_predictions`; the images with most wrong pixels."""
        worst, count = pictures.worst(
            self.eval_batches("val"),
            predict,
            pixel_pictures.compared,
            operator.attrgetter("wrong"),
            IMAGES_DRAWN,
        )
        if jax.process_index() == 0:
            pixel_pictures.draw_comparison(worst, count, self.class_names, path)

    def by_class(self, total: Any) -> dict[str, dict[str, float]]:
        """The numbers of each class; nan for one without a labelled pixel."""
        return self.metric.by_class(total, self.class_names)

    def write_report(
        self, name: str, total: Any, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """The confusion matrix in percent of the true classes."""
        path = folder / f"{name}_confusion.png"
        shares = np.round(100 * total / np.maximum(total.sum(1, keepdims=True), 1))
        pictures.draw_confusion(shares.astype(np.int64), self.class_names, path)
        return [path]
