"""A folder of weights gives back what was put in, or says what is wrong with it."""

import contextlib
import dataclasses
import functools
import json
import logging
import os
import random
import re
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from mobilenets import UserError, get_spec
from mobilenets.config.schema import Preprocessing
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures.deeplab import deeplabv3, lraspp
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.networks.spec import backbone_of, with_backbone
from mobilenets.nn.build import build
from mobilenets.nn.classifier import Classifier
from mobilenets.nn.initialization import init_variables
from mobilenets.runs.checkpoint import Checkpoints
from mobilenets.runs.workdir import Workdir


def small_net(name="mobilenet_v3_small", classes=("cat", "dog"), seed=0):
    """A network of a few blocks with weights that are not what training begins with."""
    spec, variables = weighted(name, len(classes), seed)
    preprocessing = Preprocessing(crop_fraction=0.9, mean=(1.0, 2.0, 3.0))
    return TrainedNet(
        Description(network=spec, preprocessing=preprocessing, class_names=classes),
        jax.tree.map(np.copy, variables),
    )


@functools.cache
def weighted(name, classes, seed):
    """The network and its variables."""
    spec = get_spec(name)
    spec = with_backbone(
        spec, resolution=32, blocks=spec.backbone.blocks[:2], head_conv_channels=24
    )
    if spec.head_dense_channels:
        spec = dataclasses.replace(spec, head_dense_channels=40)
    variables = init_variables(Classifier(spec, classes), jax.random.key(seed))
    rng = np.random.default_rng(seed)
    return spec, jax.tree.map(
        lambda leaf: np.asarray(leaf + 0.1 * rng.random(leaf.shape), np.float32),
        variables,
    )


def backbone_net():
    """The backbone of `small_net`, without its head."""
    net = small_net()
    spec = backbone_of(net.description.network)
    variables = init_variables(build(spec, 0), jax.random.key(0))
    description = Description(
        network=spec, preprocessing=net.description.preprocessing, class_names=()
    )
    return TrainedNet(description, jax.device_get(variables))


def detector_net(name="ssdlite_mobilenet_v3_small"):
    """A detector of a few blocks for two classes, with weights of random numbers."""
    spec = get_detector(name)
    spec = with_backbone(spec, resolution=32, blocks=spec.backbone.blocks[:2])
    spec = dataclasses.replace(spec, features=("block1/expand", "head_conv"))
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    shapes = jax.eval_shape(build(spec, 2).init, jax.random.key(0), images)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: rng.random(x.shape, np.float32), shapes)
    description = Description(
        task="detection",
        network=spec,
        preprocessing=Preprocessing(resize="squash", crop_fraction=1.0),
        class_names=("cat", "dog"),
    )
    return TrainedNet(description, variables)


@pytest.mark.parametrize(
    "name", ["ssdlite_mobilenet_v3_small", "ssdlite320_mobilenet_v3_large"]
)
def test_a_detector_that_is_saved_is_loaded(name, tmp_path):
    net = detector_net(name)
    trained.save(net, str(tmp_path / "weights"))
    loaded = trained.load(str(tmp_path / "weights"))
    assert loaded.description == net.description
    assert loaded.description.network.anchors == net.description.network.anchors
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, net.variables)
    assert loaded.model == build(net.description.network, 2)


def segmenter_net(head=lraspp):
    spec = with_backbone(small_net().description.network, resolution=33)
    blocks = get_spec("mobilenet_v3_small").backbone.blocks[:4]
    spec = head(with_backbone(spec, blocks=blocks, head_conv_channels=0), filters=8)
    variables = jax.device_get(init_variables(build(spec, 2), jax.random.key(0)))
    description = Description(
        task="segmentation",
        network=spec,
        preprocessing=Preprocessing(),
        class_names=("sky", "sea"),
    )
    return TrainedNet(description, variables)


@pytest.mark.parametrize("head", [lraspp, deeplabv3])
def test_a_segmenter_that_is_saved_is_loaded(head, tmp_path):
    net = segmenter_net(head)
    trained.save(net, str(tmp_path / "weights"))
    loaded = trained.load(str(tmp_path / "weights"))
    assert loaded.description == net.description
    assert loaded.model == net.model
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, net.variables)


def test_images_of_a_wrong_shape_are_not_segmented():
    net = segmenter_net()
    for shape in [(1, 33, 33), (33, 33, 3), (1, 0, 33, 3)]:
        message = f"[N, height, width, 3], but have {[*shape]}."
        with pytest.raises(UserError, match=re.escape(message)):
            net.segment(np.zeros(shape, np.uint8))


def test_a_detector_that_does_not_fit_together_is_one_clear_sentence(tmp_path):
    trained.save(detector_net(), str(tmp_path / "weights"))
    path = tmp_path / "weights/network.json"
    path.write_text(path.read_text().replace('"block1/expand"', '"block7/expand"'))
    with pytest.raises(UserError, match=r"has no feature map 'block7/expand'"):
        trained.describe(str(tmp_path / "weights"))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "se_resnet50", "moga_a"])
def test_what_is_saved_is_loaded(name, tmp_path):
    net = small_net(name)
    trained.save(net, str(tmp_path / "weights"))
    loaded = trained.load(str(tmp_path / "weights"))
    assert loaded.description == net.description
    assert trained.describe(str(tmp_path / "weights")) == net.description
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, net.variables)
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    images = np.ones((1, 32, 32, 3), np.float32)
    logits, _ = jax.jit(loaded.model.apply)(loaded.variables, images)
    assert logits.shape == (1, 2)


def test_nothing_is_overwritten(tmp_path):
    trained.save(small_net(), str(tmp_path / "weights"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"weights exists already: give a new folder"):
        trained.save(small_net(seed=1), str(tmp_path / "weights"))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_weights_is_told(tmp_path):
    with pytest.raises(UserError, match=r"There is no folder .*nowhere"):
        trained.load(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds no weights"):
        trained.load(str(tmp_path))


def _cut(path):
    path.write_text(path.read_text()[:100])


def _other_network(path):
    facts = json.loads(path.read_text())
    facts["network"]["backbone"]["head_conv_channels"] = 32
    path.write_text(json.dumps(facts))


def _unknown_value(path):
    facts = json.loads(path.read_text())
    facts["network"]["backbone"]["act"] = "softplus"
    path.write_text(json.dumps(facts))


def _no_stride(path):
    facts = json.loads(path.read_text())
    facts["network"]["backbone"]["blocks"][0]["stride"] = 0
    path.write_text(json.dumps(facts))


def _negative_epsilon(path):
    facts = json.loads(path.read_text())
    facts["network"]["backbone"]["bn_epsilon"] = -5.0
    path.write_text(json.dumps(facts))


@pytest.mark.parametrize(
    "damage", [_cut, _other_network, _unknown_value, _no_stride, _negative_epsilon]
)
def test_a_damaged_folder_is_one_clear_sentence(damage, tmp_path):
    trained.save(small_net(), str(tmp_path / "weights"))
    damage(tmp_path / "weights/network.json")
    with pytest.raises(UserError, match="weights cannot be read: "):
        trained.load(str(tmp_path / "weights"))


def test_lost_arrays_are_one_clear_sentence(tmp_path):
    trained.save(small_net(), str(tmp_path / "weights"))
    for path in (tmp_path / "weights/variables").rglob("*"):
        if path.is_file() and path.name not in ("_METADATA", "_CHECKPOINT_METADATA"):
            path.unlink()
    with pytest.raises(UserError, match="weights cannot be read: "):
        trained.load(str(tmp_path / "weights"))


def test_arrays_that_are_cut_off_are_one_clear_sentence(tmp_path):
    trained.save(small_net(), str(tmp_path / "weights"))
    files = [p for p in (tmp_path / "weights/variables").rglob("d/*") if p.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    os.truncate(largest, 500)
    with pytest.raises(UserError, match="weights cannot be read: ") as error:
        trained.load(str(tmp_path / "weights"))
    assert "is not valid for value of size 500" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_of_version_0_1_is_read(tmp_path):
    # Its spec had backbone and head in one object.
    net = small_net()
    trained.save(net, str(tmp_path / "net"))
    path = tmp_path / "net" / "network.json"
    facts = json.loads(path.read_text())
    spec = facts["network"] | facts["network"].pop("backbone")
    assert "blocks" in spec and "head_dense_channels" in spec
    del spec["kind"]
    old = {key: facts[key] for key in ("preprocessing", "class_names")}
    path.write_text(json.dumps({"spec": spec} | old))
    assert trained.load(str(tmp_path / "net")).description == net.description


def test_a_run_is_loaded_in_silence(tmp_path, caplog, capfd):
    net = small_net()
    files = Workdir(tmp_path)
    run = {"description": net.description.model_dump(mode="json"), "data_facts": {}}
    with contextlib.closing(Checkpoints(files)) as checkpoints:
        checkpoints.save(1, {"ema": net.variables}, run, score=0.5)
    with caplog.at_level("WARNING", logger="absl"):
        caplog.clear()
        capfd.readouterr()
        loaded = trained.load(str(tmp_path))
        assert caplog.messages == []
        assert capfd.readouterr().err == ""
        logging.getLogger("absl").warning("Given directory is read only: another's")
        assert len(caplog.messages) == 1  # nothing else is dropped
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, net.variables)


def test_a_flipped_bit_of_the_weights_changes_nothing_or_is_found(tmp_path):
    net = small_net()
    folder = tmp_path / "net"
    trained.save(net, str(folder))
    rng, found = random.Random(0), 0
    for path in [p for p in folder.rglob("*") if p.is_file() and p.stat().st_size]:
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            read = trained.load(str(folder)).variables
            jax.tree.map(np.testing.assert_array_equal, read, net.variables)
        except UserError:
            found += 1
        path.write_bytes(whole)
    assert found > 3


def test_an_array_that_is_another_is_named(tmp_path):
    net = small_net()
    folder = tmp_path / "net"
    trained.save(net, str(folder))
    shutil.rmtree(folder / "variables")
    others = jax.tree.map(np.array, net.variables)
    others["params"]["stem"]["conv"]["kernel"][0, 0, 0, 0] += 1
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "variables", others)
    with pytest.raises(
        UserError, match=r"read: its array params/stem/conv/kernel is n"
    ):
        trained.load(str(folder))
    (folder / "hashes.json").unlink()  # as in a folder of before there were any
    read = trained.load(str(folder)).variables
    jax.tree.map(np.testing.assert_array_equal, read, others)
