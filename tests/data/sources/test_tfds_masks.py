"""Masks of TFDS have the classes that are trained and evaluated."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import NamedDataset
from mobilenets.data.sources import tfds as tfds_sources
from mobilenets.data.sources.opening import open_source
from mobilenets.data.sources.tfds_masks import TfdsMaskedSource

# Cityscapes' trainId of each labelId from 0 to 33, as its labels.py lists them.
TRAIN_IDS = [
    *(255, 255, 255, 255, 255, 255, 255, 0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5),
    *(255, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255, 255, 16, 17, 18),
]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Builder:
    """What a source needs of a prepared data set."""

    def __init__(self, name, features, records):
        self.name = name
        size = {"shard_lengths": [len(records)], "num_bytes": 0}
        train = tfds.core.SplitInfo(name="train", **size)
        splits = tfds.core.splits.SplitDict([train])
        kinds = {key: tfds.features.Image() for key in features}
        features = tfds.features.FeaturesDict(kinds)
        self.info = type("Info", (), {"features": features, "splits": splits})
        self._records = records

    def as_data_source(self, split, decoders):
        assert set(decoders) == set(self._records[0])
        return self._records


def builder_of(name, image, mask, values):
    record = {image: png(np.zeros((*values.shape, 3), np.uint8)), mask: png(values)}
    return Builder(name, (image, mask), [record])


def test_the_ids_of_cityscapes_become_the_19_classes(capsys):
    ids = np.arange(34, dtype=np.uint8).reshape(2, 17)
    builder = builder_of("cityscapes", "image_left", "segmentation_label", ids)
    source = TfdsMaskedSource(builder, "train")
    assert source[0].target.ravel().tolist() == TRAIN_IDS
    assert (len(source.names), source.names[0], source.names[13], source.names[18]) == (
        *(19, "road", "car", "bicycle"),
    )
    assert source.sizes.tolist() == [[2, 17]]
    assert source[0].origin == "record 0 of cityscapes, split train"
    assert "1 photograph, 19 classes" in capsys.readouterr().out


def test_the_pets_are_counted_from_one_in_their_files(monkeypatch):
    values = np.array([[1, 2, 3, 0]], np.uint8)
    builder = builder_of("oxford_iiit_pet", "image", "segmentation_mask", values)
    monkeypatch.setattr(tfds_sources, "named_builder", lambda name, data_dir: builder)
    source = open_source(NamedDataset(name="oxford_iiit_pet"), "train", "mask")
    assert source.names == ("pet", "background", "border")
    assert source[0].target.tolist() == [[0, 1, 2, 255]]


def test_a_split_without_labels_is_refused():
    """As Cityscapes' test images have masks of ids that are not evaluated."""
    ids = np.array([[0, 1, 2, 3]], np.uint8)
    builder = builder_of("cityscapes", "image_left", "segmentation_label", ids)
    message = r"cityscapes, split train, has masks without a single labelled pixel"
    with pytest.raises(UserError, match=message):
        TfdsMaskedSource(builder, "train")


def test_other_data_sets_and_splits_are_refused():
    values = np.zeros((1, 1), np.uint8)
    with pytest.raises(UserError, match=r"masks of the data set coco, which has image"):
        TfdsMaskedSource(builder_of("coco", "image", "mask", values), "train")
    builder = builder_of("oxford_iiit_pet", "image", "segmentation_mask", values)
    with pytest.raises(UserError, match="Unknown split 'trian' of oxford"):
        TfdsMaskedSource(builder, "trian")
