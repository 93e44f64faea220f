"""Real weights say the same of real photographs in every runtime, and in 8 bits."""

import functools

import numpy as np
import pytest
from PIL import Image

from mobilenets.data.preprocessing import prepare_image
from mobilenets.export import exporting
from mobilenets.export.exported import in_runtime
from mobilenets.export.formats import Options
from mobilenets.inference import prediction
from mobilenets.pretrained import importing
from tests.pretrained import packages

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_as_for_users")]

NAMES = ("mobilenet_v2", "efficientnet_lite0")
# Of the twenty, how many have their class first: see `tests/pretrained`.
RIGHT = 18


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twenty photographs of ImageNet's kind, their classes in their names."""
    folder = tmp_path_factory.mktemp("photographs")
    return packages.fetch("foolbox==3.3.4", r"imagenet_.*\.jpg$", folder)


@functools.cache
def net_of(name):
    return importing.fetch(name)


def pixels_of(net, paths):
    photos = prediction.read_photos(paths, net, lambda error: pytest.fail(str(error)))
    return np.stack([photo.pixels for photo in photos])


def crops_of(net, paths):
    """Nine parts of each photograph, every second one mirrored: 180 other images."""
    resolution = net.description.network.resolution
    found = []
    for path in paths:
        image = Image.open(path).convert("RGB")
        width, height = image.size
        for i in range(9):
            left, top = i % 3 * width // 12, i // 3 * height // 12
            part = image.crop((left, top, left + 5 * width // 6, top + 5 * height // 6))
            if i % 2:
                part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            preprocessing = net.description.preprocessing
            found.append(prepare_image(part, resolution, preprocessing))
    return np.stack(found)


def exported(name, format, pixels, calibration=None):
    net = net_of(name)
    content, found = exporting.export(net, format, Options(), pixels, calibration)
    options = Options(found.batch, found.layout)
    print(name, format, found.numbers, found.bytes, found.parity, found.median_seconds)
    return in_runtime(net.description, format, content, options), found


def right(net, pixels, paths):
    """How many photographs have the class in their name first."""
    (found,) = net.compiled(lambda outputs: (outputs[0].argmax(-1),))(pixels)
    labels = [int(path.stem.rpartition("_")[2]) for path in paths]
    return (np.asarray(found) == labels).sum()


@pytest.mark.parametrize("format", ["stablehlo", "onnx", "litert"])
@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_finds_the_same_classes(photographs, name, format):
    _, found = exported(name, format, pixels_of(net_of(name), photographs))
    assert found.parity.images == 20 and found.parity.photographs
    assert found.parity.agreement == 1.0
    assert found.parity.largest_difference < 1e-4


@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize("name", NAMES)
def test_int8_finds_nearly_all_of_the_classes(photographs, name, format):
    """Calibrated on the twenty, compared on them and on parts of them.

    The difference tells more than the agreement of 200 images. Where sums are cut to 16
    bits, as ONNX Runtime does by itself without VNNI, it is twice as large.
    """
    source = net_of(name)
    calibration = pixels_of(source, photographs)
    images = np.concatenate([calibration, crops_of(source, photographs)])
    net, found = exported(name, format, images, calibration)
    assert found.parity.images == 200
    assert found.parity.agreement and found.parity.agreement >= 0.9
    assert found.parity.mean_difference < 0.02
    assert right(net, calibration, photographs) >= RIGHT - 2
