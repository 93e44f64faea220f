"""Boxes of TFDS become those that a reader of files gives."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import NamedDataset
from mobilenets.data.sources import tfds as tfds_sources
from mobilenets.data.sources.opening import open_source
from mobilenets.data.sources.tfds_boxes import TfdsBoxedSource

LABEL = tfds.features.ClassLabel(names=["cat", "dog"])


def features(**of_objects):
    objects = {"bbox": tfds.features.BBoxFeature(), "label": LABEL, **of_objects}
    return tfds.features.FeaturesDict(
        {"image": tfds.features.Image(), "objects": tfds.features.Sequence(objects)}
    )


class Builder:
    """What a source needs of a prepared data set."""

    name = "tiny"

    def __init__(self, features, records):
        size = {"shard_lengths": [len(records)], "num_bytes": 0}
        train = tfds.core.SplitInfo(name="train", **size)
        splits = tfds.core.splits.SplitDict([train])
        info = {"features": features, "splits": splits, "metadata": None}
        self.info = type("Info", (), info)
        self._records = records

    def as_data_source(self, split, decoders):
        assert split == "train"
        return self._records


def png(width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def record(bbox, label, **more):
    objects = {
        "bbox": np.array(bbox, np.float32).reshape(-1, 4),
        "label": np.array(label, np.int64),
    }
    return {"image": png(40, 30), "objects": objects | more}


def test_fractions_become_pixels_and_what_coco_knows_is_kept():
    crowd = np.array([True, False, False])
    bbox = [
        [0, 0.5, 1, 1],
        [0.1, 0.25, 0.2, 0.5],
        [0.1, 0.2, 0.1, 0.5],
    ]  # the last: flat
    records = [
        record(bbox, [1, 0, 0], is_crowd=crowd, area=np.array([500, 20, 9])),
        record([], [], is_crowd=crowd[:0], area=np.array([], np.int64)),
    ]
    records[0]["image/id"] = np.int64(139)
    kinds = features(is_crowd=np.bool_, area=np.int64)
    source = TfdsBoxedSource(Builder(kinds, records), "train")
    assert source.names == ("cat", "dog")
    boxes = source[0].target
    np.testing.assert_allclose(
        boxes.corners, [[0, 20, 30, 40], [3, 10, 6, 20]], rtol=1e-6
    )
    assert boxes.classes.tolist() == [1, 0]
    assert boxes.crowd.tolist() == [True, False]
    assert boxes.area.tolist() == [500, 20]
    assert len(source[1].target) == 0
    assert source.box_counts.tolist() == [2, 0]
    assert source.image_ids == [139, 2]
    assert source[0].origin == "record 0 of tiny, split train"


def test_what_voc_calls_difficult_is_a_crowd_and_areas_are_those_of_the_boxes():
    records = [record([[0, 0, 0.5, 0.5]], [1], is_difficult=np.array([True]))]
    source = TfdsBoxedSource(Builder(features(is_difficult=np.bool_), records), "train")
    boxes = source[0].target
    assert (boxes.crowd.tolist(), boxes.area.tolist()) == ([True], [300])


def test_a_data_set_without_boxes_or_split_is_refused():
    whole = tfds.features.FeaturesDict({"image": tfds.features.Image(), "label": LABEL})
    with pytest.raises(UserError, match=r"tiny has no boxes: .* has image, label"):
        TfdsBoxedSource(Builder(whole, []), "train")
    with pytest.raises(UserError, match="of tiny holds no images"):
        TfdsBoxedSource(Builder(features(), []), "train")
    with pytest.raises(UserError, match="Unknown split 'trian' of tiny"):
        TfdsBoxedSource(Builder(features(), []), "trian")


def test_a_name_opens_boxes_for_a_task_that_needs_them(monkeypatch):
    builder = Builder(features(), [record([[0, 0, 0.5, 0.5]], [1])])
    monkeypatch.setattr(tfds_sources, "named_builder", lambda name, data_dir: builder)
    dataset = NamedDataset(name="coco/2017")
    assert open_source(dataset, "train", "boxes").box_counts.tolist() == [1]
    with pytest.raises(UserError, match="tiny is not for classification"):
        open_source(dataset, "train")
