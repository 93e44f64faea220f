"""The time of loading is counted by stage, and leaves the batches as they are."""

import numpy as np
import pytest

from mobilenets.config.schema import Mixup
from mobilenets.data import loading, mixing, pipeline, timing
from mobilenets.data.sources.base import Record


def test_each_stage_has_its_time(clock):
    def take(seconds, value):
        clock.now += seconds
        return value

    decode = timing.as_decoding(lambda record: take(5.0, record))

    def make(record):
        take(1.0, None)
        decode(record)
        return {"image": take(2.0, decode(record))}

    for _ in range(2):  # what was decoded before does not count
        example = timing.load(lambda: take(0.5, "photo"), make)
        seconds = dict(zip(timing.STAGES, example.pop("seconds"), strict=True))
        assert seconds == {"reading": 0.5, "decoding": 10.0, "augmentation": 3.0}
        assert example == {"image": "photo"}


def test_decoding_that_fails_counts(clock):
    @timing.as_decoding
    def fail():
        clock.now += 4.0
        raise ValueError

    def make(record):
        with pytest.raises(ValueError):
            fail()
        return {}

    assert timing.load(lambda: None, make)["seconds"].tolist() == [0.0, 4.0, 0.0]


def test_mixing_counts_as_augmentation_of_the_batch(clock):
    def mix(batch):
        clock.now += 7.0
        return {**batch, "image": "mixed"}

    examples = [timing.load(lambda: None, lambda record: {}) for _ in range(2)]
    before = np.stack([example["seconds"] for example in examples])
    batch = timing.change({"image": "photos", "seconds": before}, mix)
    assert batch["image"] == "mixed"
    assert batch["seconds"].sum(axis=0).tolist() == [0.0, 0.0, 7.0]
    assert not before.any()


class Photographs:
    names, upright = ("a",), False

    def __len__(self):
        return 5

    def __getitem__(self, index):
        image = np.full((4, 4, 3), index, np.uint8)
        return Record(image, 0, str(index))


def load(record, rng):
    image = loading.decode(record.image, record.origin, False)
    return {"image": np.asarray(image), "noise": rng.random()}


def load_with_label(record, rng):
    return {**load(record, rng), "label": record.target}


def batches_of(max_bad_images, num_workers=0):
    return pipeline.train_batches(
        Photographs(), load, 4, 7, num_workers, 0, max_bad_images
    )


@pytest.mark.parametrize("max_bad_images", [0, 2])
def test_batches_hold_what_they_held_and_know_their_time(monkeypatch, max_bad_images):
    measured = timing.load

    def by_hand(read, make):
        return measured(read, make) | {"seconds": np.float32([1, 2, 3])}

    monkeypatch.setattr(timing, "load", by_hand)
    batches = batches_of(max_bad_images)
    assert not any(batches.loading_seconds.values())
    found = [next(batches) for _ in range(2)]
    assert [set(batch) for batch in found] == [{"image", "noise"}] * 2
    # Four images a batch, four batches at once.
    by_stage = {"reading": 1.0, "decoding": 2.0, "augmentation": 3.0}
    assert batches.loading_seconds == by_stage
    batches.close()


def test_a_mixed_batch_knows_the_time_of_mixing(monkeypatch):
    changed, mixers = timing.change, []

    def noted(batch, function):
        mixers.append(function.func)
        return changed(batch, function)

    monkeypatch.setattr(timing, "change", noted)
    batches = pipeline.train_batches(
        Photographs(), load_with_label, 4, 7, augmentation=(Mixup(),)
    )
    batch = next(batches)
    batches.close()
    assert {*batch} == {"image", "noise", "label", "partner_label", "share"}
    assert {*mixers} == {mixing.mix}


@pytest.mark.slow
def test_workers_send_their_times():
    batches, alone = batches_of(0, num_workers=1), batches_of(0)
    for _ in range(2):
        np.testing.assert_equal(next(batches), next(alone))
    assert all(seconds > 0 for seconds in batches.loading_seconds.values())
    batches.close()
    alone.close()
