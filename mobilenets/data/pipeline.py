"""Batches of images: endless and augmented to train, each image once to evaluate.

Which images a batch holds and how they are augmented depends on the seed and the step
alone, not on the number of workers or processes.
"""

from typing import Any

import grain
import jax
import numpy as np
from absl import flags

from mobilenets.config.schema import Configuration
from mobilenets.data import transforms
from mobilenets.data.sources import Source

Example = dict[str, Any]  # as a batch, without the first dimension

# Batches are whole units of work, so this many are ready or being made in threads.
_READ_OPTIONS = grain.ReadOptions(num_threads=4, prefetch_buffer_size=4)


def train_batches(
    source: Source, config: Configuration, resolution: int
) -> grain.DatasetIterator:
    """Endless batches, reshuffled every epoch; this process's part of each.

    Yields:
      "image": [batch_size / processes, resolution, resolution, 3] uint8.
      "label": [batch_size / processes] int32.
    The iterator has `get_state` and `set_state`: a checkpoint saves its position.
    """

    def load(index: int, rng: np.random.Generator) -> Example:
        example = source[index]
        image = transforms.augment(
            transforms.decode(example.image, example.origin, source.upright),
            rng,
            resolution,
            config.augmentation,
            config.preprocessing.interpolation,
        )
        return {"image": image, "label": np.int32(example.label)}

    # A finite number of epochs: grain's endless repeat overflows in batches of 1.
    epochs = grain.MapDataset.range(len(source)).seed(config.seed).shuffle()
    indices = epochs.repeat(2**30)
    return _local_batches(indices.random_map(load), config)


def eval_batches(
    source: Source, config: Configuration, resolution: int
) -> grain.DatasetIterator:
    """Every image once; this process's part of each batch.

    The last batch is filled up with black images whose "mask" is 0.

    Yields:
      As `train_batches`, and "mask": [batch_size / processes] float32, 1 for an image.
    """
    padding = {
        "image": np.zeros((resolution, resolution, 3), np.uint8),
        "label": np.int32(0),
        "mask": np.float32(0),
    }

    def load(index: int) -> Example:
        if index >= len(source):
            return padding
        example = source[index]
        image = transforms.decode(example.image, example.origin, source.upright)
        return {
            "image": transforms.center_crop(image, resolution, config.preprocessing),
            "label": np.int32(example.label),
            "mask": np.float32(1),
        }

    padded_size = -(-len(source) // config.batch_size) * config.batch_size
    return _local_batches(grain.MapDataset.range(padded_size).map(load), config)


def _local_batches(
    examples: grain.MapDataset, config: Configuration
) -> grain.DatasetIterator:
    """This process's part of every global batch, made ahead of time."""
    parts = examples.batch(config.batch_size // jax.process_count())
    batches = parts[jax.process_index() :: jax.process_count()]
    dataset = batches.to_iter_dataset(_READ_OPTIONS)
    if not config.dataset.num_workers:
        return iter(dataset)
    if not flags.FLAGS.is_parsed():  # in a notebook; grain's workers read absl flags
        flags.FLAGS.mark_as_parsed()
    return iter(
        dataset.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=config.dataset.num_workers)
        )
    )
