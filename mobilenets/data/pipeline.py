"""Batches of examples: endless and shuffled to train, each record once to evaluate.

Which examples a batch holds and how they are augmented depends on the seed and the step
alone, not on the number of workers or processes.
"""

from collections.abc import Callable
from typing import Any

import grain
import jax
import numpy as np
from absl import flags

from mobilenets.data.sources.base import Record, Source

Example = dict[str, Any]  # as a batch, without the first dimension

# Batches are whole units of work, so this many are ready or being made in threads.
_READ_OPTIONS = grain.ReadOptions(num_threads=4, prefetch_buffer_size=4)


def train_batches(
    source: Source,
    load: Callable[[Record, np.random.Generator], Example],
    batch_size: int,
    seed: int,
    num_workers: int = 0,
    first_step: int = 0,
) -> grain.DatasetIterator:
    """Endless batches, reshuffled every epoch; this process's part of each.

    Args:
      source: of the records.
      load: makes an example of a record; what is random in it comes from the generator.
      batch_size: examples in the batch of all processes.
      seed: of the order and of the generators.
      num_workers: processes that load; with 0 threads do.
      first_step: batches that are left out at the start, without loading them.

    Yields:
      What `load` gives, with a first dimension of batch_size / processes.
    """

    def load_at(index: int, rng: np.random.Generator) -> Example:
        return load(source[index], rng)

    # A finite number of epochs: grain's endless repeat overflows in batches of 1.
    epochs = grain.MapDataset.range(len(source)).seed(seed).shuffle()
    examples = epochs.repeat(2**30).random_map(load_at)
    return _local_batches(examples, batch_size, num_workers, first_step)


def eval_batches(
    source: Source,
    load: Callable[[Record], Example],
    padding: Example,
    batch_size: int,
    num_workers: int = 0,
) -> grain.DatasetIterator:
    """Every record once; this process's part of each batch.

    Args:
      source: of the records.
      load: makes an example of a record.
      padding: the example that fills up the last batch.
      batch_size: examples in the batch of all processes.
      num_workers: processes that load; with 0 threads do.

    Yields:
      As `train_batches`, and "mask", [batch_size / processes] float32, 1 for a record
      and 0 for padding; "index", int32, the record's place in the source, or -1.
    """

    def load_at(index: int) -> Example:
        if index >= len(source):
            return {**padding, "mask": np.float32(0), "index": np.int32(-1)}
        example = load(source[index])
        return {**example, "mask": np.float32(1), "index": np.int32(index)}

    padded_size = -(-len(source) // batch_size) * batch_size
    examples = grain.MapDataset.range(padded_size).map(load_at)
    return _local_batches(examples, batch_size, num_workers)


def _local_batches(
    examples: grain.MapDataset, batch_size: int, num_workers: int, first_step: int = 0
) -> grain.DatasetIterator:
    """This process's part of every global batch, made ahead of time."""
    processes = jax.process_count()
    parts = examples.batch(batch_size // processes)
    batches = parts[first_step * processes + jax.process_index() :: processes]
    dataset = batches.to_iter_dataset(_READ_OPTIONS)
    if not num_workers:
        return iter(dataset)
    if not flags.FLAGS.is_parsed():  # in a notebook; grain's workers read absl flags
        flags.FLAGS.mark_as_parsed()
    return iter(
        dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers))
    )
