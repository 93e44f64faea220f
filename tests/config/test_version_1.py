"""The config.json of a run of version 0.1 is today's configuration of the same run."""

import copy
import json

import pytest

from mobilenets.config import check, files, version_1
from mobilenets.config.schema import (
    AdamW,
    ClassificationTask,
    ColorJitter,
    Exponential,
    Flip,
    FolderDataset,
    Preprocessing,
    RandomCrop,
)

# As version 0.1 wrote it, with no value at its default.
OLD = {
    "task": "classification",
    "init_from": "",
    "trainable_stages": -1,
    "model": {"name": "mobilenet_v1", "resolution": 32},
    "dtype": "bfloat16",
    "dataset": {
        "name": "",
        "data_dir": "",
        "directory": "",
        "folder": "photos",
        "train_split": "a",
        "eval_split": "b",
        "num_workers": 3,
    },
    "preprocessing": {
        "crop_fraction": 0.5,
        "interpolation": "bicubic",
        "mean": [1.0, 2.0, 3.0],
        "std": [4.0, 5.0, 6.0],
    },
    "augmentation": {
        "min_area": 0.25,
        "max_aspect_ratio": 1.5,
        "flip": True,
        "brightness": 0.125,
        "contrast": 0.2,
        "saturation": 0.5,
        "hue": 0.1,
    },
    "batch_size": 16,
    "accumulation_steps": 2,
    "remat": True,
    "epochs": 2.0,
    "optimizer": {
        "name": "adamw",
        "learning_rate": 0.02,
        "weight_decay": 0.00004,
        "weight_decay_on_depthwise": True,
        "backbone_rate": 0.5,
        "rmsprop": {"decay": 0.9, "momentum": 0.9, "epsilon": 1.0},
        "sgd": {"momentum": 0.9, "nesterov": False},
        "adamw": {"b1": 0.8, "b2": 0.99, "epsilon": 1e-7},
    },
    "schedule": {
        "name": "exponential",
        "warmup_epochs": 0.5,
        "exponential": {"decay_rate": 0.94, "decay_epochs": 3.0},
        "piecewise": {"boundaries": [30.0, 60.0, 80.0], "factor": 0.1},
        "cosine": {"final_fraction": 0.0},
    },
    "label_smoothing": 0.2,
    "ema_decay": 0.5,
    "seed": 7,
    "log_every_steps": 1,
    "evaluate_every_epochs": 3.0,
}


def upgraded(**changes):
    return check.from_json(json.dumps({**copy.deepcopy(OLD), **changes}))


def test_every_value_is_carried_over():
    config = upgraded()
    moved = {
        "task": ClassificationTask(label_smoothing=0.2),
        "dataset": FolderDataset(
            folder="photos", train_split="a", eval_split="b", num_workers=3
        ),
        "preprocessing": Preprocessing(
            crop_fraction=0.5, interpolation="bicubic", mean=(1, 2, 3), std=(4, 5, 6)
        ),
        "augmentation": (
            RandomCrop(min_area=0.25, max_aspect_ratio=1.5),
            Flip(),
            ColorJitter(brightness=0.125, contrast=0.2, saturation=0.5, hue=0.1),
        ),
        "optimizer": AdamW(
            learning_rate=0.02,
            weight_decay=0.00004,
            weight_decay_on_depthwise=True,
            backbone_rate=0.5,
            b1=0.8,
            b2=0.99,
            epsilon=1e-7,
        ),
        "schedule": Exponential(warmup_epochs=0.5, decay_rate=0.94, decay_epochs=3.0),
    }
    for key, value in moved.items():
        assert getattr(config, key) == value
    for key in OLD.keys() - moved.keys() - {"label_smoothing"}:
        assert getattr(config, key) == OLD[key], key
    # New in this version: their defaults are what version 0.1 did.
    assert (config.evals, config.best_metric) == ({}, "")
    assert config.preprocessing.resize == "crop"


def test_the_quick_start_of_version_1_is_that_of_today():
    today = files.configuration("quickstart")
    old = copy.deepcopy(OLD)
    old |= json.loads(today.model_dump_json(include={*OLD} - {"task", "augmentation"}))
    old["dataset"] = {**OLD["dataset"], "folder": "", "name": "fashion_mnist_subset"}
    old["dataset"] |= {"train_split": "train", "eval_split": "validation"}
    old["dataset"]["num_workers"] = 0
    del old["preprocessing"]["resize"]
    old["augmentation"] = dict.fromkeys(OLD["augmentation"], 0.0)
    old["augmentation"] |= {"min_area": 0.75, "max_aspect_ratio": 1.15, "flip": True}
    old["optimizer"] = {**OLD["optimizer"], "name": "adamw", "learning_rate": 0.012}
    old["optimizer"] |= {"weight_decay": 0.4, "weight_decay_on_depthwise": False}
    old["optimizer"] |= {"backbone_rate": 1.0}
    old["optimizer"]["adamw"] = {"b1": 0.9, "b2": 0.999, "epsilon": 1e-8}
    old["schedule"] = {**OLD["schedule"], "name": "cosine", "warmup_epochs": 1.0}
    old["label_smoothing"] = 0.1
    assert check.from_json(json.dumps(old)) == today


def test_what_did_nothing_is_left_out():
    off = {**OLD["augmentation"], "flip": False}
    off |= dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    config = upgraded(augmentation=off)
    assert [operation.name for operation in config.augmentation] == ["random_crop"]


@pytest.mark.parametrize("damage", [{"dataset": 3}, {"optimizer": {}}, {"more": 1}])
def test_a_damaged_one_is_refused(damage):
    with pytest.raises(ValueError):
        upgraded(**damage)


def test_today_s_is_left_alone():
    config = files.configuration("quickstart")
    assert not version_1.is_version_1(json.loads(config.model_dump_json()))
    assert check.from_json(config.model_dump_json()) == config
