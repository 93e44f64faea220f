"""Batches: which images are in them, and that they can be reproduced."""

import contextlib
import dataclasses
import functools
import io
import itertools
import pathlib
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from PIL import Image

from mobilenets.config.schema import (
    AutoAugment,
    ColorJitter,
    CutMix,
    Flip,
    Mixup,
    Preprocessing,
    RandomCrop,
    RandomErasing,
    RepeatedAugmentation,
)
from mobilenets.data import pipeline
from mobilenets.data.loading import ImageLoader
from mobilenets.data.quick import Undecoded
from mobilenets.data.sources.base import Record
from mobilenets.errors import UserError

RESOLUTION = 8
PREPROCESSING = Preprocessing(crop_fraction=1.0)
COLORFUL = (RandomCrop(min_area=0.2), Flip(), ColorJitter(brightness=0.4, hue=0.2))
MIXED = (
    *(RandomCrop(min_area=0.2), Flip(), AutoAugment(), RandomErasing()),
    *(Mixup(probability=0.5), CutMix(probability=0.5), RepeatedAugmentation(copies=3)),
)


class Numbered:
    """Images whose every pixel is their index; the label is index modulo 3."""

    names = ("a", "b", "c")
    upright = False

    def __init__(self, size):
        self._size = size

    def __len__(self):
        return self._size

    def __getitem__(self, index):
        image = Image.fromarray(self._image(index))
        return Record(encoded(image, format="PNG"), index % 3, f"record {index}")

    def _image(self, index):
        return np.full((RESOLUTION, RESOLUTION, 3), index, np.uint8)


class Noisy(Numbered):
    """Images in which every crop and flip can be seen."""

    def _image(self, index):
        return np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8)


@functools.cache
def whole_photograph():
    path = pathlib.Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"
    with Image.open(path) as image:
        return image.resize((100, 118))


# How they are stored; Pillow decodes the last one, `quick` the others.
KINDS = (
    {"format": "JPEG"},
    {"format": "JPEG", "subsampling": 0},
    {"format": "JPEG", "progressive": True},
    {"format": "PNG"},
)


class Photographs(Numbered):
    """Parts of a real photograph in sizes of their own."""

    def __getitem__(self, index):
        left, top, *size = np.random.default_rng(index).integers(20, 50, 4).tolist()
        box = left, top, left + size[0], top + size[1]
        content = encoded(whole_photograph().crop(box), **KINDS[index % len(KINDS)])
        return Record(content, index % 3, f"photograph {index}")


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of one training."""

    batch_size: int
    operations: tuple = ()
    workers: int = 0
    seed: int = 0


def train_iterator(source, settings, first_step=0):
    images = ImageLoader(RESOLUTION, PREPROCESSING, settings.operations, source.upright)

    def load(record, rng):
        image = images.augmented(record, rng)
        return {"image": image, "label": np.int32(record.target)}

    return pipeline.train_batches(
        source,
        load,
        settings.batch_size,
        settings.seed,
        settings.workers,
        first_step,
        augmentation=settings.operations,
    )


def train(source, settings, count):
    return list(itertools.islice(train_iterator(source, settings), count))


def evaluate(source, settings):
    images = ImageLoader(RESOLUTION, PREPROCESSING, settings.operations, source.upright)

    def load(record):
        return {"image": images.prepared(record), "label": np.int32(record.target)}

    padding = {"image": images.black, "label": np.int32(0)}
    return list(
        pipeline.eval_batches(
            source, load, padding, settings.batch_size, settings.workers
        )
    )


def indices(batches):
    """The numbers of the images; every pixel and the label must agree."""
    images = np.concatenate([b["image"] for b in batches])
    labels = np.concatenate([b["label"] for b in batches])
    numbers = images[:, 0, 0, 0]
    assert (images == numbers[:, None, None, None]).all()
    np.testing.assert_array_equal(labels, numbers % 3)
    return numbers.tolist()


def assert_same(batches, expected):
    assert len(batches) == len(expected) > 0
    for batch, other in zip(batches, expected, strict=True):
        assert batch.keys() == other.keys()
        for key in batch:
            np.testing.assert_array_equal(batch[key], other[key])


def test_batches_are_uint8_images_and_int32_labels():
    (batch,) = train(Numbered(10), Settings(4), 1)
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        "image": ((4, RESOLUTION, RESOLUTION, 3), np.uint8),
        "label": ((4,), np.int32),
    }


def test_every_record_is_seen_once_in_an_epoch():
    numbers = indices(train(Numbered(40), Settings(8), 15))
    epochs = [numbers[i : i + 40] for i in (0, 40, 80)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(40))] * 3
    assert list(range(40)) not in epochs  # they are shuffled
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_no_record_is_lost_where_the_batch_does_not_divide_the_epoch():
    numbers = indices(train(Numbered(10), Settings(4), 5))
    assert sorted(numbers[:10]) == sorted(numbers[10:]) == list(range(10))


def test_a_batch_may_be_larger_than_the_data_set():
    (batch,) = train(Numbered(3), Settings(7), 1)
    numbers = indices([batch])
    assert sorted(numbers[:3]) == sorted(numbers[3:6]) == [0, 1, 2]


def test_a_batch_may_hold_one_image():
    assert sorted(indices(train(Numbered(3), Settings(1), 3))) == [0, 1, 2]


def test_the_seed_determines_order_and_augmentation():
    first, again, other = (
        train(Noisy(8), Settings(4, COLORFUL, seed=seed), 3) for seed in (1, 1, 2)
    )
    assert_same(again, first)
    assert not np.array_equal(other[0]["image"], first[0]["image"])


def test_an_image_is_augmented_differently_in_every_epoch():
    batches = train(Noisy(1), Settings(2, COLORFUL), 5)
    assert len({image.tobytes() for b in batches for image in b["image"]}) == 10


@pytest.mark.parametrize("first_step", [0, 2, 7])
def test_batches_begin_at_any_step(first_step):
    """In the middle of an epoch, and past its end."""
    expected = train(Noisy(10), Settings(4, COLORFUL), first_step + 4)[first_step:]
    batches = train_iterator(Noisy(10), Settings(4, COLORFUL), first_step)
    assert_same(list(itertools.islice(batches, 4)), expected)


@pytest.mark.parametrize(
    ("size", "batch_size", "workers"),
    [(12, 4, 0), (13, 4, 0), (3, 4, 0), (1, 1, 0), (13, 4, 2)],
)
def test_evaluation_counts_every_image_once(size, batch_size, workers):
    batches = evaluate(Numbered(size), Settings(batch_size, workers=workers))
    assert len(batches) == -(-size // batch_size)
    assert all(len(b["image"]) == batch_size for b in batches)
    masks = np.concatenate([b["mask"] for b in batches])
    assert masks.dtype == np.float32
    padded = len(masks) - size
    assert masks.tolist() == [1] * size + [0] * padded
    places = np.concatenate([b["index"] for b in batches])
    assert places.dtype == np.int32
    assert places.tolist() == [*range(size), *[-1] * padded]
    assert indices(batches)[:size] == list(range(size))


def test_an_image_keeps_its_pixels_in_evaluation_whatever_the_augmentation():
    plain = evaluate(Noisy(5), Settings(2))
    assert_same(evaluate(Noisy(5), Settings(2, COLORFUL, seed=3)), plain)


def as_process(monkeypatch, index, count):
    process = SimpleNamespace(process_index=lambda: index, process_count=lambda: count)
    monkeypatch.setattr(pipeline, "jax", process)


def joined(parts):
    """The batches of all processes, from those of each."""
    return [
        {key: np.concatenate([part[key] for part in step]) for key in step[0]}
        for step in zip(*parts, strict=True)
    ]


def test_processes_share_an_evaluation(monkeypatch):
    whole = evaluate(Noisy(16), Settings(12))
    parts = []
    for index in range(2):
        as_process(monkeypatch, index, 2)
        parts.append(evaluate(Noisy(16), Settings(12)))
        assert [len(batch["image"]) for batch in parts[-1]] == [6, 6]
    assert_same(joined(parts), whole)


@pytest.mark.parametrize(
    ("processes", "workers", "first_step"),
    [
        *[(1, 0, 5), (2, 0, 0), (2, 0, 5), (3, 0, 5), (6, 0, 5), (1, 1, 0)],
        *[
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(1, 4, 5), (2, 1, 0), (2, 4, 5)]
        ],
    ],
)
def test_a_photograph_has_the_same_pixels_for_its_seed_epoch_and_record(
    monkeypatch, processes, workers, first_step
):
    """As one process sees it by threads, in a run that begins; resumed in epoch two."""
    source = Photographs(16)
    records = [source[i] for i in range(16)]
    quick = [Undecoded(r.image, "").rows(1) is not None for r in records]
    assert quick == 4 * [True, True, True, False]
    expected = train(source, Settings(12, MIXED), first_step + 3)[first_step:]
    parts = []
    for index in range(processes):
        as_process(monkeypatch, index, processes)
        batches = train_iterator(source, Settings(12, MIXED, workers), first_step)
        with contextlib.closing(batches):
            parts.append(list(itertools.islice(batches, 3)))
    assert_same(joined(parts), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_named(workers):
    class Broken(Numbered):
        def __getitem__(self, index):
            return Record(b"no image", 0, f"broken {index}")

    with pytest.raises(Exception, match=r"Cannot decode the image broken \d"):
        train(Broken(4), Settings(2, workers=workers), 1)


def test_a_repeated_image_is_three_times_in_a_batch_and_changed_each_time():
    operations = (RepeatedAugmentation(copies=3),)
    numbers = indices(train(Numbered(20), Settings(12, operations), 10))
    batches = [numbers[i : i + 12] for i in range(0, 120, 12)]
    for batch in batches:
        assert batch[:4] == batch[4:8] == batch[8:] and len({*batch}) == 4
    # Two epochs of the records, four of them in a batch.
    firsts = [number for batch in batches for number in batch[:4]]
    assert sorted(firsts[:20]) == sorted(firsts[20:]) == list(range(20))
    (batch,) = train(Noisy(20), Settings(12, (*COLORFUL, *operations)), 1)
    assert len({image.tobytes() for image in batch["image"]}) == 12


def test_a_process_with_half_a_pair_to_mix_is_refused(monkeypatch):
    as_process(monkeypatch, 0, 2)
    with pytest.raises(UserError, match="3 images for each of 2 processes"):
        pipeline.check_pairs(6, (Mixup(),))
    pipeline.check_pairs(4, (Mixup(),))
    pipeline.check_pairs(6, (RandomErasing(),))
