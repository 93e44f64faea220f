"""Imported segmenters give the logits of torchvision."""

import jax
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from mobilenets import UserError
from mobilenets.data.preprocessing import fit, shown
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.nn.build import build
from mobilenets.pretrained import from_state_dict, importing
from tests.pretrained.rebuilt import (
    golden,
    rebuilt_images,
    rebuilt_photograph,
    rebuilt_state,
)

STATE = "segmentation/torchvision__deeplabv3_mobilenet_v3_large"

# Even and odd, square and not; to compile each takes ten seconds.
SIZES = [
    ("lraspp_mobilenet_v3_large", "129x129"),
    *(
        pytest.param(model, size, marks=pytest.mark.slow)
        for model, size in (
            ("lraspp_mobilenet_v3_large", "64x96"),
            ("deeplabv3_mobilenet_v3_large", "64x96"),
            ("deeplabv3_mobilenet_v3_large", "97x65"),
            ("deeplabv3_resnet50", "64x96"),
            ("deeplabv3_resnet50", "97x65"),
        )
    ),
]


@pytest.mark.parametrize(("model", "size"), SIZES)
def test_the_logits_of_a_segmenter_are_those_of_the_library(model, size):
    reference = golden(f"segmentation/torchvision__{model}")
    spec, variables, preprocessing = from_state_dict(
        rebuilt_state(reference), "torchvision", model
    )
    assert preprocessing.crop_fraction == 1
    height, width = map(int, size.split("x"))
    images = rebuilt_images(max(height, width))[:, :height, :width]
    found, _ = jax.jit(build(spec, 21).apply)(variables, images)
    ours = {"out": found.logits, "aux": found.auxiliary_logits}
    for name, expected in reference["outputs"][size].items():
        logits = np.asarray(ours[name]).transpose(0, 3, 1, 2)
        assert list(logits.shape) == expected["shape"]
        errors = np.abs(logits.ravel()[expected["index"]] - expected["values"])
        assert errors.max() / expected["std"] < 1e-4, name
        assert logits.mean() == pytest.approx(expected["mean"], abs=1e-4)


@pytest.mark.slow
def test_the_logits_of_a_photograph_are_those_after_the_librarys_preprocessing():
    """Torchvision makes the shorter side 520 pixels long and normalises."""
    name = "segmentation/torchvision__lraspp_mobilenet_v3_large"
    reference, expected = golden(name), golden(f"{name}__photograph")
    spec, variables, preprocessing = from_state_dict(
        rebuilt_state(reference), "torchvision", reference["model"]
    )
    image = Image.fromarray(rebuilt_photograph())
    geometry = fit(image.width, image.height, spec.resolution, preprocessing)
    pixels = shown(image, geometry, preprocessing)
    assert pixels.shape == (520, 821, 3)
    net = TrainedNet(
        Description(
            task="segmentation",
            network=spec,
            preprocessing=preprocessing,
            class_names=tuple(map(str, range(21))),
        ),
        variables,
    )
    (logits,) = net.compiled(lambda outputs: (outputs[0].logits,))(pixels[None])
    found = np.asarray(logits[0]).transpose(2, 0, 1)
    output = expected["output"]
    assert list(found.shape) == output["shape"]
    errors = np.abs(found.ravel()[output["index"]] - output["values"])
    assert errors.max() / output["std"] < 1e-4


def test_weights_without_the_auxiliary_head_make_a_segmenter_without_one():
    reference = golden(STATE)
    spec, variables, _ = from_state_dict(
        rebuilt_state(reference), "torchvision", reference["model"]
    )
    assert spec.auxiliary is not None
    state = {
        key: value
        for key, value in rebuilt_state(reference).items()
        if not key.startswith("aux_classifier")
    }
    without, others, _ = from_state_dict(state, "torchvision", reference["model"])
    assert without.auxiliary is None
    params = dict(variables["params"])
    del params["auxiliary"]
    jax.tree.map(np.testing.assert_array_equal, others["params"], params)


def test_a_prefix_and_another_number_of_classes_are_recognized():
    reference = golden(STATE)
    reference["state"] = {
        f"module.{key}": [3, *shape[1:]]
        if ".4." in key and shape[:1] == [21]
        else shape
        for key, shape in dict(reference["state"]).items()
    }
    spec, variables, _ = from_state_dict(
        rebuilt_state(reference), "torchvision", reference["model"]
    )
    assert spec.auxiliary is not None
    assert variables["params"]["logits"]["bias"].shape == (3,)
    assert variables["params"]["auxiliary"]["logits"]["bias"].shape == (3,)


def test_a_file_becomes_a_segmenter_with_the_classes_of_voc(tmp_path):
    state = rebuilt_state(golden(STATE))
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(
        {key: np.ascontiguousarray(value) for key, value in state.items()}, path
    )
    net = importing.from_file(str(path), "torchvision", "deeplabv3_mobilenet_v3_large")
    assert net.description.task == "segmentation"
    names = net.description.class_names
    assert (len(names), names[0], names[15]) == (21, "background", "person")
    assert net.description.preprocessing.std == pytest.approx((58.395, 57.12, 57.375))
    trained.save(net, str(tmp_path / "weights"))
    assert trained.describe(str(tmp_path / "weights")) == net.description


@pytest.mark.parametrize(
    "key", ["classifier.0.convs.2.0.weight", "aux_classifier.1.running_mean"]
)
def test_a_missing_key_of_a_head_is_named(key):
    reference = golden(STATE)
    state = rebuilt_state(reference)
    del state[key]
    with pytest.raises(UserError, match=f"lack the key {key}"):
        from_state_dict(state, "torchvision", reference["model"])


def test_weights_of_another_segmenter_are_refused():
    with pytest.raises(UserError, match="are they those of another model"):
        from_state_dict(
            rebuilt_state(golden(STATE)), "torchvision", "lraspp_mobilenet_v3_large"
        )
