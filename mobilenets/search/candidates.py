"""How accurate the networks of a space are with the weights of the supernet.

Each piece of a network, the stem, a block or the head, is a program of its own, which
serves every network that has such a piece: after `warm_up` nothing is compiled. The
statistics of batch norm are made anew for each network, as those that its choices share
with others do not fit it. What two networks compute alike up to a block is kept.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mobilenets.config.schema import Preprocessing
from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.nn.normalization import normalize
from mobilenets.nn.part import Part, PartSpec, parts, variables_of
from mobilenets.nn.supernet import extract

CACHE_BYTES = 512 * 2**20  # of maps that other networks may need


@dataclasses.dataclass(frozen=True)
class Score:
    """What a network reaches on the images that rank it.

    Args:
      accuracy: top-1, from 0 to 1.
      loss: the mean cross-entropy; it may be infinite or not a number, and then the
        accuracy says nothing.
    """

    accuracy: float
    loss: float


@dataclasses.dataclass(frozen=True)
class Images:
    """What candidates are ranked by.

    Args:
      calibration: [N, H, W, 3] uint8, images to train, by which the statistics of batch
        norm are made; one batch.
      ranking: [M, H, W, 3] uint8, held out of the training.
      labels: [M] int32.
      chunk: images that pass through a piece at once.
    """

    calibration: np.ndarray
    ranking: np.ndarray
    labels: np.ndarray
    chunk: int = 256

    @property
    def chunks(self) -> tuple[np.ndarray, np.ndarray]:
        """The ranking images [chunks, chunk, H, W, 3], and labels; -1 where none is."""
        chunk = min(self.chunk, len(self.ranking))
        lacking = -len(self.ranking) % chunk
        images = np.pad(self.ranking, [(0, lacking), (0, 0), (0, 0), (0, 0)])
        labels = np.pad(self.labels, (0, lacking), constant_values=-1)
        return images.reshape(-1, chunk, *images.shape[1:]), labels.reshape(-1, chunk)


class Candidates:
    """Scores networks of a space by the weights of its supernet.

    Args:
      space: of the supernet.
      variables: {"params", "batch_stats"} of the supernet.
      num_classes: of its data set.
      preprocessing: what is done to the images.
      images: by which it ranks.
      cache_bytes: memory for maps that several networks share; the oldest go first.
    """

    def __init__(
        self,
        space: SearchSpace,
        variables: Mapping[str, Any],
        num_classes: int,
        preprocessing: Preprocessing,
        images: Images,
        cache_bytes: int = CACHE_BYTES,
    ):
        self.pieces_computed = self.pieces_asked_for = 0
        self._space, self._num_classes = space, num_classes
        self._variables = jax.device_put(dict(variables))
        chunks, labels = images.chunks
        self._labels = jnp.asarray(labels)
        self._inputs = (
            normalize(jnp.asarray(images.calibration), preprocessing),
            normalize(jnp.asarray(chunks), preprocessing),
        )
        self._cache: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self._cache_bytes, self._cached = cache_bytes, 0

    def warm_up(self, tell: Callable[[str], None] = lambda line: None) -> None:
        """Compiles every piece of every network of the space.

        Args:
          tell: is given a line for each choice.
        """
        counts = self._space.counts
        for i in range(max(counts)):
            tell(f"compiling choice {i + 1} of {max(counts)} of all blocks")
            self.score(tuple(min(i, count - 1) for count in counts))

    def score(self, genes: Genes) -> Score:
        """Of the network with those genes.

        Raises:
          UserError: the space has no such network.
        """
        network = self._space.network(genes)
        variables = extract(self._space, self._variables, genes)
        pieces = parts(network, self._num_classes)
        begins = self._begins(genes, len(pieces) - 1)
        # The longest beginning that is known.
        done = max(
            (i for i, key in enumerate(begins) if key in self._cache), default=-1
        )
        maps = self._cache[begins[done]] if done >= 0 else self._inputs
        self.pieces_asked_for += len(pieces)
        for i, piece in enumerate(pieces[:-1]):
            if i <= done:
                if begins[i] in self._cache:
                    self._cache.move_to_end(begins[i])
                continue
            maps = _run(piece, variables_of(piece, i, variables), *maps)
            self._keep(begins[i], maps)
            self.pieces_computed += 1
        head = pieces[-1]
        own = variables_of(head, len(pieces) - 1, variables)
        loss, accuracy = jax.device_get(_score(head, own, *maps, self._labels))
        self.pieces_computed += 1
        return Score(float(accuracy), float(loss))

    def _begins(self, genes: Genes, count: int) -> list[tuple[int, Genes]]:
        """What each piece but the head depends on: its number, and the genes so far."""
        positions = np.array(self._space.positions)
        # The piece of block i has the number i + 1.
        return [(i, genes[: int((positions < i).sum())]) for i in range(count)]

    def _keep(self, key: Any, maps: tuple[jax.Array, jax.Array]) -> None:
        self._cache[key] = maps
        self._cached += _bytes(maps)
        while self._cached > self._cache_bytes:
            _, oldest = self._cache.popitem(last=False)
            self._cached -= _bytes(oldest)


def _bytes(maps: Sequence[jax.Array]) -> int:
    return sum(x.nbytes for x in maps)


@functools.partial(jax.jit, static_argnums=0)
def _run(
    part: PartSpec, variables: Any, calibration: jax.Array, chunks: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A piece on the calibration images, and with their statistics on the others."""
    calibrated, fresh = _calibrated(part, variables, calibration)
    return calibrated, jax.lax.map(lambda x: Part(part).apply(fresh, x), chunks)


@functools.partial(jax.jit, static_argnums=0)
def _score(
    part: PartSpec,
    variables: Any,
    calibration: jax.Array,
    chunks: jax.Array,
    labels: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The mean loss and the accuracy, from the maps before the head."""
    _, fresh = _calibrated(part, variables, calibration)
    logits = jax.lax.map(lambda x: Part(part).apply(fresh, x), chunks)
    real = labels >= 0
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits, jnp.where(real, labels, 0)
    )
    hits = logits.argmax(-1) == labels
    count = real.sum()
    return jnp.where(real, losses, 0).sum() / count, hits.sum() / count


def _calibrated(
    part: PartSpec, variables: Any, calibration: jax.Array
) -> tuple[jax.Array, Any]:
    """The piece's output in training, and its variables with the batch's statistics."""
    output, updated = Part(part).apply(
        variables, calibration, train=True, mutable=["batch_stats"]
    )
    return output, {**variables, **updated}
