"""Imported weights give the logits of the library they come from."""

import jax
import numpy as np
import pytest
from PIL import Image

import mobilenets
from mobilenets.detection.anchors import anchor_boxes
from mobilenets.inference.description import Description
from mobilenets.inference.detections import detect_objects
from mobilenets.inference.trained import TrainedNet
from mobilenets.nn.build import build
from mobilenets.pretrained import from_state_dict
from mobilenets.pretrained.libraries.coco import CLASS_NAMES
from tests.pretrained.rebuilt import (
    GOLDEN,
    golden,
    rebuilt_images,
    rebuilt_photograph,
    rebuilt_state,
)

NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_library(name):
    reference = golden(name)
    spec, variables, _ = from_state_dict(
        rebuilt_state(reference), reference["library"], reference["model"]
    )
    images = rebuilt_images(reference["resolution"])
    model = mobilenets.create_model(spec)
    if name != STATE:  # the form that compiles sooner; tests/nn shows that it is equal
        model = model.clone(lowering="native")
    logits, _ = jax.jit(model.apply)(variables, images)
    errors = np.abs(logits[:, :16] - np.array(reference["logits_first16"]))
    assert errors.max() / reference["logits_std"] < 1e-4
    assert logits.argmax(-1).tolist() == reference["argmax"]


STATE = "torchvision__mobilenet_v2__96"


def test_a_missing_key_is_named():
    state = rebuilt_state(golden(STATE))
    del state["features.3.conv.0.1.bias"]
    with pytest.raises(mobilenets.UserError, match=r"lack.*features\.3\.conv\.0\.1"):
        from_state_dict(state, "torchvision", "mobilenet_v2")


def test_a_key_too_many_is_named():
    state = rebuilt_state(golden(STATE)) | {"module.extra": np.zeros(3)}
    with pytest.raises(mobilenets.UserError, match=r"module\.extra"):
        from_state_dict(state, "torchvision", "mobilenet_v2")


def test_a_transposed_kernel_is_named_with_both_shapes():
    state = rebuilt_state(golden(STATE))
    state["features.18.0.weight"] = state["features.18.0.weight"].transpose(1, 0, 2, 3)
    with pytest.raises(mobilenets.UserError, match=r"features.18.0.weight.*1280, 320"):
        from_state_dict(state, "torchvision", "mobilenet_v2")


@pytest.mark.parametrize(
    ("library", "model", "hint"),
    [
        ("timn", "mobilenetv2_100", "timm"),
        ("timm", "mobilenetv2_100d", "mobilenetv2_100"),
        ("keras", "MobilenetV2", "MobileNetV2"),
    ],
)
def test_unknown_names_are_met_with_the_closest(library, model, hint):
    with pytest.raises(mobilenets.UserError, match=f"did you mean '{hint}'"):
        from_state_dict({}, library, model)


def test_the_outputs_of_a_detector_are_those_of_the_library():
    reference = golden("detection/torchvision__ssdlite320_mobilenet_v3_large__320")
    state = rebuilt_state(reference)
    spec, variables, preprocessing = from_state_dict(
        state, reference["library"], reference["model"]
    )
    assert preprocessing.resize == "squash"
    assert preprocessing.interpolation == "bilinear_no_antialias"
    raw, _ = jax.jit(build(spec, 90).apply)(
        variables, rebuilt_images(reference["resolution"])
    )
    top, left, bottom, right = np.split(anchor_boxes(spec) * 320, 4, axis=1)
    found = {
        "bbox_regression": raw.box_codes,
        "cls_logits": raw.class_logits,
        "anchors_xyxy": np.concatenate([left, top, right, bottom], axis=1),
    }
    for name, expected in reference["outputs"].items():
        ours = np.asarray(found[name])
        assert list(ours.shape) == expected["shape"]
        errors = np.abs(ours.ravel()[expected["index"]] - expected["values"])
        assert errors.max() / expected["std"] < 1e-4, name
        assert ours.mean() == pytest.approx(expected["mean"], abs=1e-4)


@pytest.mark.slow
def test_a_photograph_of_another_size_has_the_boxes_of_the_library(tmp_path):
    """The state of the golden file, its class predictors twice as sharp."""
    name = "detection/torchvision__ssdlite320_mobilenet_v3_large"
    expected, reference = golden(f"{name}__photograph"), golden(f"{name}__320")
    state = rebuilt_state(reference)
    for key in state:
        if "classification_head" in key and key.endswith(".1.weight"):
            state[key] = 2 * state[key]
    network, variables, preprocessing = from_state_dict(
        state, reference["library"], reference["model"]
    )
    description = Description(
        task="detection",
        network=network,
        preprocessing=preprocessing,
        class_names=CLASS_NAMES,
    )
    path = tmp_path / "photograph.png"
    Image.fromarray(rebuilt_photograph()).save(path)
    net = TrainedNet(description, variables)
    (found,) = detect_objects(net, [path], pytest.fail, score=0.0)
    assert len(found.objects) == 300
    corners = [[o.left, o.top, o.right, o.bottom] for o in found.objects]
    scores = [o.score for o in found.objects]
    numbers = [o.number + 1 for o in found.objects]
    best = len(expected["scores"])
    assert numbers[:best] == expected["labels"]
    np.testing.assert_allclose(scores[:best], expected["scores"], atol=1e-5)
    np.testing.assert_allclose(corners[:best], expected["boxes"], atol=0.002)
