"""Collages show what their attributes say, and are always the same."""

import hashlib

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.config.schema import NamedDataset
from mobilenets.data.decoding import decode
from mobilenets.data.sources.opening import open_source

DATASET = NamedDataset(name="fashion_collages")


def opened(split):
    return open_source(DATASET, split, "attributes")


def garments(split):
    """Each embedded image with its class, by its pixels."""
    source = open_source(NamedDataset(name="fashion_mnist_subset"), split)
    records = (source[i] for i in range(len(source)))
    return {
        np.asarray(decode(r.image, r.origin))[..., 0].tobytes(): r.target
        for r in records
    }


def kinds_in(image, known):
    """The class of what is in each quarter that is not empty."""
    quarters = [image[i : i + 32, j : j + 32] for i in (0, 32) for j in (0, 32)]
    return [known[q[2:30, 2:30].tobytes()] for q in quarters if q.any()]


@pytest.mark.parametrize(("split", "size"), [("train", 2000), ("validation", 500)])
def test_the_attributes_are_what_is_in_the_picture(split, size):
    source, known = opened(split), garments(split)
    assert len(source) == size
    counts = []
    for i in range(200):
        record = source[i]
        assert (record.image.shape, record.image.dtype) == ((64, 64), np.uint8)
        kinds = kinds_in(record.image, known)
        counts.append(len(kinds))
        expected = np.zeros(10)
        expected[kinds] = 1
        is_known = ~np.isnan(record.target)
        np.testing.assert_array_equal(record.target[is_known], expected[is_known])
    assert {*counts} == {1, 2, 3, 4}


def test_a_tenth_is_unknown_in_train_alone():
    train = np.stack([opened("train")[i].target for i in range(500)])
    assert 0.08 < np.isnan(train).mean() < 0.12
    validation = [opened("validation")[i].target for i in range(100)]
    assert not np.isnan(validation).any()


def test_collages_are_the_same_on_every_machine():
    digest = hashlib.sha256()
    source = opened("train")
    for i in (0, 1999):
        digest.update(source[i].image.tobytes() + source[i].target.tobytes())
    assert digest.hexdigest()[:16] == "5c68f15b9ca8a05e"


def test_slices_are_those_of_tfds():
    whole, part = opened("train"), opened("train[100:164]")
    assert (len(part), len(opened("train[:64]"))) == (64, 64)
    assert len(opened("train+validation[:10%]")) == 2050
    np.testing.assert_array_equal(part[3].image, whole[103].image)
    assert part[3].origin == "record 103 of fashion_collages, split train"


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("trian", r"Unknown split 'trian' of fashion_collages.*did you mean 'train'"),
        ("train[", r"The split 'train\[' is wrong"),
        ("train[5:5]", "holds no images"),
        ("train[0:9999]", r"The split 'train\[0:9999\]' is wrong"),
    ],
)
def test_a_split_that_is_not_there_is_told(split, message):
    with pytest.raises(UserError, match=message):
        opened(split)
