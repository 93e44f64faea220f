"""Scenes are what their files say, always the same, and written wholly."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mobilenets import UserError
from mobilenets.config.schema import NamedDataset
from mobilenets.data.sources import scenes
from mobilenets.data.sources.opening import open_source

CLOTHES = NamedDataset(name="fashion_mnist_subset")


@pytest.fixture(scope="module")
def garments():
    return {split: open_source(CLOTHES, split) for split in ("train", "validation")}


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(scenes, "SIZES", {"train": 12, "validation": 3})


def opened(folder, split="train"):
    dataset = NamedDataset(name="fashion_scenes", data_dir=str(folder))
    return open_source(dataset, split, "boxes")


def test_boxes_and_masks_are_what_is_seen_of_each_object(tmp_path, few, garments):
    source = opened(tmp_path)
    root = tmp_path / "fashion_scenes" / scenes.VERSION
    content = json.loads((root / "annotations/instances_train.json").read_text())
    assert len(source) == 12
    for number in range(12):
        scene = scenes.compose(garments, "train", number)
        boxes = source[number].target
        of_image = [a for a in content["annotations"] if a["image_id"] == number + 1]
        masks = [coco_mask.decode(a["segmentation"]) > 0 for a in of_image]
        assert 1 <= len(boxes) == len(masks) <= 6
        semantic = np.zeros(scene.owners.shape, int)
        for place, mask in enumerate(masks):
            np.testing.assert_array_equal(mask, scene.owners == place + 1)
            rows, columns = np.nonzero(mask)
            tight = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            assert boxes.corners[place].tolist() == tight
            assert boxes.area[place] == mask.sum()
            semantic[mask] = 1 + garments["train"].names.index(
                source.names[boxes.classes[place]]
            )
        png = Image.open(root / f"masks/train/{number + 1:06}.png")
        np.testing.assert_array_equal(np.asarray(png), semantic)
        jpeg = Image.open(root / f"train/{number + 1:06}.jpg")
        assert jpeg.size == scene.image.shape[1::-1]
        # JPEG changes them, but little.
        assert np.abs(np.asarray(jpeg) - scene.image.astype(int)).mean() < 12


def test_scenes_follow_from_split_and_number(garments):
    one, again = (scenes.compose(garments, "validation", 3) for _ in range(2))
    np.testing.assert_array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.owners, again.owners)
    other = scenes.compose(garments, "train", 3)
    assert one.classes != other.classes or one.image.shape != other.image.shape


def test_objects_are_of_all_sizes_and_never_more_than_two_fifths_hidden(garments):
    counts, areas, kinds, sides = [], [], set(), set()
    for number in range(60):
        scene = scenes.compose(garments, "train", number)
        areas += np.bincount(scene.owners.ravel())[1:].tolist()
        counts.append(len(scene.classes))
        kinds |= {*scene.classes}
        sides |= {*scene.owners.shape}
    assert {*counts} == {1, 2, 3, 4, 5, 6} and len(kinds) == 10
    assert min(sides) >= 128 and max(sides) <= 192
    small, large = np.mean(np.array(areas) < 32**2), np.mean(np.array(areas) >= 96**2)
    assert 0.2 < small < 0.7 and 0.01 < large < 0.2
    assert min(areas) > 30


def test_scenes_are_written_once(tmp_path, few, capsys):
    opened(tmp_path)
    assert "Writing the 15 scenes" in capsys.readouterr().out
    assert len(opened(tmp_path, "validation")) == 3
    assert "Writing" not in capsys.readouterr().out


def test_a_killed_write_leaves_nothing_that_looks_complete(tmp_path, few, monkeypatch):
    save, calls = Image.Image.save, []

    def killed(image, *args, **options):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        save(image, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path)
    assert not (tmp_path / "fashion_scenes" / scenes.VERSION).exists()
    assert len(opened(tmp_path)) == 12
    left = {path.name for path in (tmp_path / "fashion_scenes").iterdir()}
    assert left - {f"{scenes.VERSION}.lock"} == {scenes.VERSION}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, few):
    (tmp_path / "fashion_scenes").write_text("a file")
    with pytest.raises(
        UserError, match=r"cannot be written: .*dataset.data_dir=FOLDER"
    ):
        opened(tmp_path)


def test_other_tasks_do_not_get_scenes_and_detection_no_clothes():
    with pytest.raises(UserError, match="has boxes and masks, but the task needs"):
        open_source(NamedDataset(name="fashion_scenes"), "train")
    with pytest.raises(UserError, match="fashion_mnist_subset has no boxes"):
        open_source(CLOTHES, "train", "boxes")
