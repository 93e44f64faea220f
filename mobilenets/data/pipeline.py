"""Batches of examples: endless and shuffled to train, each record once to evaluate.

Which examples a batch holds and how they are augmented depends on the seed and the step
alone, not on the number of workers or processes. A broken image ends the batches, or,
up to a number of them, is passed over: in training another image stands in for it,
which the seed and the broken one choose; in an evaluation it is left out.
"""

import dataclasses
import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

import grain
import jax
import numpy as np
from absl import flags

from mobilenets.config.schema import Operation, RepeatedAugmentation
from mobilenets.data import mixing, timing
from mobilenets.data.sources.base import Record, Source
from mobilenets.errors import BrokenImage, UserError
from mobilenets.runtime import host_memory, processors
from mobilenets.runtime.console import console

Example = dict[str, Any]  # as a batch, without the first dimension

# Batches are whole units of work, so this many are ready or being made in threads.
_AT_ONCE = 4
_READ_OPTIONS = grain.ReadOptions(num_threads=_AT_ONCE, prefetch_buffer_size=_AT_ONCE)

_MOST_STAND_INS = 100  # images drawn in place of one, if all of them are broken


class Batches:
    """The batches of one process, made ahead of time.

    Args:
      batches: of examples; in each "bad" is the number of a record that is broken, or
        -1, unless `max_bad_images` is 0.
      max_bad_images: broken images that are passed over and reported; one more ends
        the batches.
      bad: the numbers of those found so far; others are added.
      try_record: loads a record again, for the reason why it is broken.
      num_workers: processes that make them; 0: threads of this one.

    Raises:
      BrokenImage: from `next`, when there are more.
    """

    def __init__(
        self,
        batches: grain.DatasetIterator,
        max_bad_images: int,
        bad: set[int],
        try_record: Callable[[int], Any],
        num_workers: int = 0,
    ):
        self._batches, self._try_record = batches, try_record
        self._most = max_bad_images
        self._bad = bad
        self._at_once = _AT_ONCE * max(1, num_workers)
        self._seconds = np.zeros(len(timing.STAGES))  # of all batches so far
        self._given = 0

    @property
    def loading_seconds(self) -> dict[str, float]:
        """What each stage adds to the time in which a batch is made, on average.

        Several batches are made at once, so it is not how long one is in the making.
        """
        mean = self._seconds / (max(1, self._given) * self._at_once)
        return dict(zip(timing.STAGES, mean.tolist(), strict=True))

    @property
    def bad_images(self) -> int:
        """Broken images that were passed over so far, by this process."""
        return len(self._bad)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Example:
        try:
            batch = next(self._batches)
        except BrokenImage as error:
            raise self._too_many(error) from None
        if timing.SECONDS in batch:
            self._seconds += batch.pop(timing.SECONDS).sum(axis=0)
        self._given += 1
        for number in batch.pop("bad", ()):
            if number >= 0 and int(number) not in self._bad:
                self._pass_over(int(number))
        return batch

    def close(self) -> None:
        """Ends the threads or processes that make them."""
        self._batches.close()

    def _pass_over(self, number: int) -> None:
        """Counts and reports a broken image; raises BrokenImage at one too many."""
        self._bad.add(number)
        try:
            self._try_record(number)
        except BrokenImage as error:
            if len(self._bad) > self._most:
                raise self._too_many(error) from None
            passed = f"Passed over {len(self._bad)} of at most {self._most}."
            console.print(f"{error} {passed}", markup=False)

    def _too_many(self, error: BrokenImage) -> BrokenImage:
        """The error with what else can be done."""
        return BrokenImage(
            f"{error} Replace it, or give --config.dataset.max_bad_images, now "
            f"{self._most}, to pass over broken images; `mobilenets check` finds them "
            "all."
        )


def train_batches(
    source: Source,
    load: Callable[[Record, np.random.Generator], Example],
    batch_size: int,
    seed: int,
    num_workers: int = 0,
    first_step: int = 0,
    max_bad_images: int = 0,
    bad: set[int] | None = None,
    augmentation: Sequence[Operation] = (),
) -> Batches:
    """Endless batches, reshuffled every epoch; this process's part of each.

    Args:
      source: of the records.
      load: makes an example of a record; what is random in it comes from the generator.
      batch_size: examples in the batch of all processes.
      seed: of the order and of the generators.
      num_workers: processes that load, at most one for each processor; with 0 threads
        do.
      first_step: batches that are left out at the start, without loading them.
      max_bad_images: broken images that others stand in for.
      bad: the numbers of those found so far; others are added.
      augmentation: of the run; what acts on batches is applied here.

    Yields:
      What `load` gives, with a first dimension of batch_size / processes; and what
      `mixing.mix` adds, if images are mixed.
    """
    mix = mixing.mixer(augmentation)

    def load_one(number: int, rng: np.random.Generator) -> Example:
        return timing.load(lambda: source[number], lambda record: load(record, rng))

    def load_at(index: int, rng: np.random.Generator) -> Example:
        example = load_or_replace(index, rng)
        if mix is not None:
            example[mixing.SEED] = rng.integers(2**63)
        return example

    def load_or_replace(index: int, rng: np.random.Generator) -> Example:
        if not max_bad_images:
            return load_one(index, rng)
        number, replaced = index, -1
        stand_ins = np.random.default_rng([seed, index])
        for _ in range(_MOST_STAND_INS):
            try:
                return {**load_one(number, rng), "bad": np.int64(replaced)}
            except BrokenImage:
                number, replaced = int(stand_ins.integers(len(source))), index
        return {**load_one(number, rng), "bad": np.int64(replaced)}

    def try_record(number: int) -> None:
        load(source[number], np.random.default_rng(0))

    # A finite number of epochs: grain's endless repeat overflows in batches of 1.
    epochs = grain.MapDataset.range(len(source)).seed(seed).shuffle()
    indices = epochs.repeat(2**30)
    for operation in augmentation:
        if isinstance(operation, RepeatedAugmentation):
            repeated = _Repeated(indices, batch_size, operation.copies)
            indices = grain.MapDataset.source(repeated).seed(seed)
    examples = indices.random_map(load_at)
    num_workers = min(num_workers, processors.usable())
    batches = _local_batches(examples, batch_size, num_workers, first_step, mix)
    bad = set() if bad is None else bad
    return Batches(batches, max_bad_images, bad, try_record, num_workers)


@dataclasses.dataclass(frozen=True)
class _Repeated:
    """The numbers of records with each of them several times in a batch.

    Copies are as far apart as a batch allows, so that none is its own partner.

    Args:
      indices: in their random order, endless.
      batch_size: examples in the batch of all processes.
      copies: of each record; the batch size is a multiple.
    """

    indices: grain.MapDataset
    batch_size: int
    copies: int

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        batch, place = divmod(index, self.batch_size)
        distinct = self.batch_size // self.copies
        return self.indices[batch * distinct + place % distinct]


def check_pairs(batch_size: int, augmentation: Sequence[Operation]) -> None:
    """Raises UserError if images are mixed, and a process has half a pair of them.

    Args:
      batch_size: examples in the batch of all processes.
      augmentation: of the images to train.
    """
    processes = jax.process_count()
    if mixing.mixer(augmentation) and (batch_size // processes) % 2:
        raise UserError(
            f"batch_size {batch_size} is {batch_size // processes} images for each of "
            f"{processes} processes, but mixup and cutmix mix pairs: use a multiple of "
            f"{2 * processes}."
        )


def eval_batches(
    source: Source,
    load: Callable[[Record], Example],
    padding: Example,
    batch_size: int,
    num_workers: int = 0,
    max_bad_images: int = 0,
    bad: set[int] | None = None,
) -> Batches:
    """Every record once; this process's part of each batch.

    Args:
      source: of the records.
      load: makes an example of a record; its own "mask" of 0 leaves it uncounted.
      padding: the example that fills up the last batch.
      batch_size: examples in the batch of all processes.
      num_workers: see `train_batches`.
      max_bad_images: broken images that are left out, as `padding` is.
      bad: see `train_batches`.

    Yields:
      As `train_batches`, and "mask", [batch_size / processes] float32, 1 for a record
      and 0 for padding; "index", int32, the record's place in the source, or -1.
    """

    def load_at(index: int) -> Example:
        nothing = {**padding, "mask": np.float32(0), "index": np.int32(-1)}
        nobody = {"bad": np.int64(-1)} if max_bad_images else {}
        if index >= len(source):
            return nothing | nobody
        try:
            example = load(source[index])
        except BrokenImage:
            if not max_bad_images:
                raise
            return nothing | {"bad": np.int64(index)}
        place = {"mask": np.float32(1), "index": np.int32(index)}
        return {**place, **example, **nobody}

    padded_size = -(-len(source) // batch_size) * batch_size
    examples = grain.MapDataset.range(padded_size).map(load_at)
    num_workers = min(num_workers, processors.usable())
    batches = _local_batches(examples, batch_size, num_workers)
    bad = set() if bad is None else bad
    return Batches(batches, max_bad_images, bad, lambda number: load(source[number]))


def _local_batches(
    examples: grain.MapDataset,
    batch_size: int,
    num_workers: int,
    first_step: int = 0,
    mix: Callable[[Example], Example] | None = None,
) -> grain.DatasetIterator:
    """This process's part of every global batch, made ahead of time."""
    processes = jax.process_count()
    parts = examples.batch(batch_size // processes)
    if mix is not None:
        parts = parts.map(functools.partial(timing.change, function=mix))
    batches = parts[first_step * processes + jax.process_index() :: processes]
    dataset = batches.to_iter_dataset(_READ_OPTIONS)
    if not num_workers:
        return iter(dataset)
    if not flags.FLAGS.is_parsed():  # in a notebook; grain's workers read absl flags
        flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=num_workers)
    return iter(dataset.mp_prefetch(options, worker_init_fn=_begin_worker))


def _begin_worker(index: int, count: int) -> None:
    """Prepares a worker process, which is to end with the one that trains."""
    host_memory.keep_heap()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent has ended, however: killed, it says nothing."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only workers call this"
    parent.join()
    os._exit(1)
