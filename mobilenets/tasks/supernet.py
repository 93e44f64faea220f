"""All networks of a search space at once, with shared weights."""

import contextlib
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.schema import Configuration, SupernetTask
from mobilenets.data.sources.base import Source
from mobilenets.errors import UserError
from mobilenets.inference.description import Description
from mobilenets.metrics.base import Batch
from mobilenets.networks import complexity
from mobilenets.networks.search_space import SearchSpace
from mobilenets.nn.build import Network
from mobilenets.runtime.tables import millions
from mobilenets.tasks.base import Metrics
from mobilenets.tasks.classification import Classification


class Supernet(Classification):
    """Classification by random networks of the space.

    A step trains several by strict fairness (FairNAS, arXiv:1907.01845, Sec. 3.2) or
    one. An evaluation takes another random network for each of its batches, the same in
    every evaluation: its numbers are means over networks, with the running statistics
    that they share.
    """

    kind = SearchSpace

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        super().__init__(config, description, sources)
        self._sampling = cast(SupernetTask, config.task).sampling
        counts = self.spec.counts
        if self._sampling == "fair" and len(set(counts)) > 1:
            raise UserError(
                "task.sampling is 'fair', which needs the same number of choices at "
                f"each position, but {self.spec.name} has from {min(counts)} to "
                f"{max(counts)}: use 'uniform'."
            )
        if config.accumulation_steps > 1:
            raise UserError(
                f"accumulation_steps is {config.accumulation_steps}, but a supernet "
                "accumulates over its networks: use 1, and a smaller batch_size or "
                "remat to save memory."
            )

    @staticmethod
    def adapted(network: Network, config: Configuration) -> Any:
        """The space of the weights."""
        if not isinstance(network, SearchSpace):
            raise UserError(
                f"The weights are those of {network.name}, which is no supernet: give "
                "the workdir of a run with task.name=supernet."
            )
        return network

    def _class_weights(self) -> np.ndarray | None:
        """None: all classes count the same."""
        return None

    @property
    def summary(self) -> str:
        """The space, the weights that its networks share, and the images to train."""
        outputs = len(self.class_names)
        return (
            f"the supernet of {self.spec.name} at {self.spec.resolution} pixels "
            f"({self.spec.size:.3g} networks, "
            f"{millions(complexity.params(self.spec, outputs))} M parameters) on "
            f"{self.train_size:,} images of {outputs:,} classes{self.taught_by}"
        )

    def variants(self, rng: jax.Array) -> Batch:
        """The paths of a step: "path", [passes, positions] int32."""
        paths = fair_paths if self._sampling == "fair" else uniform_path
        return {"path": paths(rng, self.spec)}

    def inputs(self, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """The images and the path."""
        if "path" in batch:
            return super().inputs(batch), batch["path"]
        number = batch["index"][0]  # of an evaluation: the same batch, the same path
        rng = jax.random.fold_in(jax.random.key(0), number)
        return super().inputs(batch), uniform_path(rng, self.spec)[0]

    def images_to_calibrate(self, number: int) -> np.ndarray:
        """Images to train as they are evaluated, [number, H, W, 3] uint8; drawn once.

        Args:
          number: of images; all, if there are fewer.
        """
        source = self._train
        assert source is not None, "a task for an evaluation has no images to train"
        images = self._image_loader(source)
        order = np.random.default_rng(0).permutation(len(source))[:number]
        return np.stack([images.prepared(source[int(i)]) for i in order])

    def images_to_rank(self) -> tuple[np.ndarray, np.ndarray]:
        """The images of "val", [N, H, W, 3] uint8, and their labels, [N] int32."""
        images, labels = [], []
        with contextlib.closing(self.eval_batches("val")) as batches:
            for batch in batches:
                real = batch["mask"] > 0
                images.append(batch["image"][real])
                labels.append(batch["label"][real])
        return np.concatenate(images), np.concatenate(labels)

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """That of the classification, times the number of networks in a step.

        The step follows the mean of their gradients; so it becomes their sum, and a
        choice is trained as if its network were the only one.
        """
        loss, metrics = super().loss(outputs, batch)
        passes = self.spec.counts[0] if self._sampling == "fair" else 1
        return loss * passes, metrics


def fair_paths(rng: jax.Array, space: SearchSpace) -> jax.Array:
    """As many paths as there are choices, each choice of each position in one of them.

    Returns:
      [choices, positions] int32; each column is a random permutation.
    """
    numbers = jnp.arange(space.counts[0], dtype=jnp.int32)[:, None]
    columns = jnp.broadcast_to(numbers, (len(numbers), len(space.counts)))
    return jax.random.permutation(rng, columns, axis=0, independent=True)


def uniform_path(rng: jax.Array, space: SearchSpace) -> jax.Array:
    """One path, each choice as likely: [1, positions] int32."""
    counts = jnp.array(space.counts, jnp.int32)
    return jax.random.randint(rng, (1, len(counts)), 0, counts, jnp.int32)
