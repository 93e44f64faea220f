"""What the tasks on images share: network, data sets, and where a training starts."""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.schema import Configuration, Preprocessing
from mobilenets.data import pipeline
from mobilenets.data.boxes import Boxes
from mobilenets.data.sources.base import Labels, Record, Source
from mobilenets.data.sources.opening import open_sources
from mobilenets.data.sources.renamed import with_names
from mobilenets.errors import UserError
from mobilenets.geography.sphere import Place
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.metrics.base import Batch
from mobilenets.networks import complexity, own_spec
from mobilenets.networks.architectures import replace
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.spec import HasBackbone
from mobilenets.nn.backbone import frozen_modules
from mobilenets.nn.build import Network, build
from mobilenets.nn.initialization import init_variables
from mobilenets.nn.normalization import normalize
from mobilenets.runtime.tables import millions
from mobilenets.tasks.base import Task
from mobilenets.tasks.distillation import for_student, load_teacher

# What there is of each kind of labels, in words.
_OUTPUTS: dict[Labels, str] = {
    "class": "classes",
    "attributes": "attributes",
    "boxes": "classes",
    "mask": "classes",
    "place": "cells",
}
_NEEDED: dict[Labels, str] = {
    "class": "one class",
    "attributes": "attributes",
    "boxes": "boxes",
    "mask": "a mask",
    "place": "a place",
}


class ImageTask:
    """The parts of `Task` that do not depend on what is known of an image.

    Args:
      config: of the run.
      description: of the weights, to evaluate; None to train.
      sources: "train", "val" and the names of `config.evals`, in place of the
        configured data sets.

    Raises:
      UserError: the network, a data set or the weights to start from are not to be had,
        or do not fit together; or a batch cannot be mixed by several processes.
    """

    labels: Labels  # what must be known of an image
    kind: type[HasBackbone]  # of network
    threshold: float | None = None  # see `Description`
    places: tuple[tuple[float, float], ...] | None = None  # see `Description`
    of_adapted: frozenset[str] = frozenset()  # the options of `model` that it reads

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        model = own_spec.resolved(config.model, self.kind)
        config = config.model_copy(update={"model": model})
        self.spec, preprocessing = self._network(config, description)
        self.config = config.model_copy(update={"preprocessing": preprocessing})
        if sources is None:
            sources = open_sources(config, self.labels, to_train=description is None)
        else:
            _check_targets(sources, self.labels)
        if description is None:
            pipeline.check_pairs(config.batch_size, config.augmentation)
        self.teacher = None if description else load_teacher(config)
        sources = self.prepared_sources(sources, config, description)
        if self.teacher:
            weight = config.distillation.label_weight
            student = for_student(sources["train"], self.teacher, self.labels, weight)
            sources = {**sources, "train": student}
        self._train = sources.get("train")  # an evaluation opens none
        names = description.class_names if description else sources["train"].names
        self.class_names: tuple[str, ...] = tuple(names)
        self._evals = {
            name: with_names(
                source,
                self.class_names,
                f"The evaluation set {name}",
                "the teacher" if self.teacher else "the network",
            )
            for name, source in sources.items()
            if name != "train"
        }
        # The broken images that were passed over, by set: each is told once.
        self._bad_images: dict[str, set[int]] = collections.defaultdict(set)
        self.eval_sizes = {name: len(source) for name, source in self._evals.items()}
        self._fixed = frozen_modules(self.spec, config.trainable_stages)
        self.model = self.model_of(self.spec)

    def model_of(self, spec: Any) -> nn.Module:
        """The module of a network of this task."""
        return build(
            spec,
            len(self.class_names),
            dtype=jnp.dtype(self.config.dtype),
            frozen=self.in_evaluation_mode,
            remat=self.config.remat,
        )

    def _network(
        self, config: Configuration, description: Description | None
    ) -> tuple[Any, Preprocessing]:
        """The network, and what is done to the images for it.

        Raises:
          UserError: the config asks for one that is not to be had.
        """
        if description:
            finished = config.model_copy(update={"model": {}})
            spec = self.adapted(description.network, finished)
            return spec, description.preprocessing
        if not config.init_from:
            return own_spec.of_model(config.model, self.kind), config.preprocessing
        weights = trained.describe(config.init_from, "config.init_from")
        if isinstance(weights.network, SearchSpace) and self.kind is not SearchSpace:
            raise UserError(
                "The weights in init_from are a supernet: give those of a network that "
                "`mobilenets search` has extracted from it."
            )
        options = {k: v for k, v in config.model.items() if k not in self.of_adapted}
        spec = replace(self.adapted(weights.network, config), **options)
        return spec, self.preprocessing_from(weights, config.preprocessing)

    @staticmethod
    def adapted(network: Network, config: Configuration) -> HasBackbone:
        """The network of this task that starts from weights of another one.

        Args:
          network: of the weights.
          config: of the run.

        Raises:
          UserError: there is none.
        """
        raise NotImplementedError

    @classmethod
    def preprocessing_from(
        cls, weights: Description, given: Preprocessing
    ) -> Preprocessing:
        """What is done to the images for a network that starts from weights.

        Args:
          weights: that define it.
          given: that of the config; the default stands for nothing.

        Raises:
          UserError: another one is given.
        """
        if given not in (Preprocessing(), weights.preprocessing):
            raise UserError(
                "preprocessing is given, but the weights in init_from define it: leave "
                "it out."
            )
        return weights.preprocessing

    def prepared_sources(
        self,
        sources: Mapping[str, Source],
        config: Configuration,
        description: Description | None,
    ) -> Mapping[str, Source]:
        """The sources with the targets that the task needs; most take them as they are.

        The `teacher` is there already.

        Args:
          sources: "train" if there is no description, "val", and further sets.
          config: of the run.
          description: of the weights, to evaluate; None to train.

        Raises:
          UserError: no such targets can be made.
        """
        del config, description
        return sources

    def new_head(self, params: Any) -> Any:
        """The parameters with which a module starts that the weights do not have.

        Args:
          params: as they were initialised.
        """
        return params

    def keeps(self, module: str, weights: Description) -> bool:
        """Whether a module of the head starts from these weights, too."""
        raise NotImplementedError

    @property
    def in_evaluation_mode(self) -> tuple[str, ...]:
        """The modules that behave as in evaluation while others are trained."""
        return self._fixed

    @property
    def train_size(self) -> int:
        """Images to train."""
        return len(self._train) if self._train else 0

    @property
    def summary(self) -> str:
        """The network, its cost, and the images to train."""
        outputs = len(self.class_names)
        return (
            f"{self.spec.name} at {self.spec.resolution} pixels "
            f"({millions(complexity.params(self.spec, outputs))} M parameters, "
            f"{millions(complexity.madds(self.spec, outputs))} M MAdds) on "
            f"{self.train_size:,} images of {outputs:,} {_OUTPUTS[self.labels]}"
            f"{self.taught_by}"
        )

    @property
    def taught_by(self) -> str:
        """The end of the `summary`, where there is a teacher."""
        if not self.teacher:
            return ""
        outputs = self.config.distillation.outputs
        memory = f"outputs kept in {outputs}" if outputs else self.teacher.memory
        return f", taught by {self.teacher.summary}, {memory}"

    @property
    def teacher_variables(self) -> Any:
        """Those of the teacher, on the host; {} without one, or with kept outputs."""
        if not self.teacher or self.config.distillation.outputs:
            return {}
        return self.teacher.net.variables

    @property
    def data_facts(self) -> dict[str, Any]:
        """The classes, how many images there are to train, and whose teacher it is."""
        facts = {"class_names": list(self.class_names), "train_size": self.train_size}
        return facts | ({"teacher": self.teacher.identity} if self.teacher else {})

    @property
    def description(self) -> dict[str, Any]:
        """See `inference.description.Description`."""
        return Description(
            task=self.config.task.name,
            network=self.spec,
            preprocessing=self.config.preprocessing,
            class_names=self.class_names,
            threshold=self.threshold,
            places=self.places,
        ).model_dump(mode="json")

    def init_variables(self, rng: jax.Array) -> dict[str, Any]:
        """See `initialization.init_variables`."""
        return init_variables(self.model, rng)

    def with_pretrained(self, variables: dict[str, Any]) -> dict[str, Any]:
        """With the weights of `init_from`; of the head only what `keeps` says."""
        if not self.config.init_from:
            return variables
        weights = trained.load(self.config.init_from)
        old = {
            module
            for module in variables["params"]
            if self.model.role(module) == "backbone"
            or self.keeps(module, weights.description)
        }
        params = {
            module: weights.variables["params"][module]
            if module in old
            else self.new_head(new)
            for module, new in variables["params"].items()
        }
        statistics = {
            module: weights.variables["batch_stats"][module] if module in old else new
            for module, new in variables["batch_stats"].items()
        }
        return {"params": params, "batch_stats": statistics}

    def relative_rates(self, params: Any) -> Any:
        """1 for the head, `optimizer.backbone_rate` for the others, 0 if frozen."""

        def rate(module: str) -> float:
            if module in self._fixed:
                return 0.0
            is_head = self.model.role(module) == "head"
            return 1.0 if is_head else self.config.optimizer.backbone_rate

        rates = {module: rate(module) for module in params}
        return jax.tree.map_with_path(lambda path, _: rates[path[0].key], params)

    @property
    def stages(self) -> Sequence[tuple[int, Task]]:
        """This task alone."""
        return [(0, cast(Task, self))]

    def batches_to_train(
        self,
        source: Source,
        load: Callable[[Record, np.random.Generator], dict[str, Any]],
        first_step: int,
    ) -> pipeline.Batches:
        """The batches of the images to train, see `pipeline.train_batches`."""
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
            config.augmentation,
        )

    def batches_to_evaluate(
        self,
        name: str,
        load: Callable[[Record], dict[str, Any]],
        padding: dict[str, Any],
    ) -> pipeline.Batches:
        """The batches of an evaluation set, see `pipeline.eval_batches`."""
        config = self.config
        return pipeline.eval_batches(
            self._evals[name],
            load,
            padding,
            config.batch_size,
            config.dataset.num_workers,
            config.dataset.max_bad_images,
            self._bad_images[name],
        )

    def variants(self, rng: jax.Array) -> Batch:
        """None: a batch passes once."""
        del rng
        return {}

    def taught(self, batch: Batch, teacher_variables: Any) -> Batch:
        """With the teacher's logits, see `Teacher.taught`."""
        return self.teacher.taught(batch, teacher_variables) if self.teacher else batch

    def inputs(self, batch: Batch) -> Any:
        """The images normalised, [N, resolution, resolution, 3] float32."""
        return normalize(batch["image"], self.config.preprocessing)


def _check_targets(sources: Mapping[str, Source], labels: Labels) -> None:
    """Raises UserError if what is known of an image is not what the task needs."""
    for name, source in sources.items():
        found = _labels_of(source)
        if found != labels:
            raise UserError(
                f"The source {name!r} gives {_NEEDED[found]} for each image, but the "
                f"task needs {_NEEDED[labels]}: give another source or task.name."
            )


def _labels_of(source: Source) -> Labels:
    target = source[0].target
    if isinstance(target, Boxes):
        return "boxes"
    if getattr(source, "has_several", False):
        return "class"
    if isinstance(target, Place):
        return "place"
    by_dimensions: dict[int, Labels] = {0: "class", 1: "attributes", 2: "mask"}
    return by_dimensions[np.ndim(target)]
