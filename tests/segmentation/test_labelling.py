"""The classes of an image's own pixels, and of large images in parts."""

import jax
import numpy as np
import pytest
from PIL import Image

from mobilenets import get_spec
from mobilenets.config.schema import Preprocessing
from mobilenets.data.preprocessing import fit
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.backbone import Backbone
from mobilenets.nn.initialization import init_variables
from mobilenets.segmentation.labelling import classes_of_image
from mobilenets.segmentation.tiles import classes_by_tiles

TO_IMAGE = jax.jit(classes_of_image, static_argnums=2)


@pytest.mark.parametrize("resize", ["pad", "squash", "short_side"])
@pytest.mark.parametrize("size", [(61, 40), (50, 90)])  # larger than the input
def test_classes_are_those_of_logits_that_pillow_enlarges(resize, size):
    """Where the network's input shows the image, which `pad` does in its middle."""
    rng = np.random.default_rng(0)
    preprocessing = Preprocessing(resize=resize, crop_fraction=1.0)
    geometry = fit(*size, 24, preprocessing)
    left, top, right, bottom = geometry.window
    logits = rng.normal(size=(bottom - top, right - left, 3)).astype(np.float32)
    w, h = geometry.size
    shown = logits[-top : -top + h, -left : -left + w]
    enlarged = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(shown[..., i])).resize(
                size, Image.Resampling.BILINEAR
            )
        )
        for i in range(3)
    ]
    found = TO_IMAGE(logits[None], geometry.to_image[None], size[::-1])[0]
    expected = np.stack(enlarged, -1).argmax(-1)
    # Beyond the outermost centres of the image, `pad` goes on to what is around it.
    inner = slice(2, -2), slice(2, -2)
    assert (np.asarray(found)[inner] == expected[inner]).mean() > 0.995


def test_at_the_same_size_they_are_the_highest_logits():
    logits = np.random.default_rng(0).normal(size=(2, 37, 21, 4)).astype(np.float32)
    to_image = np.array([[[37, 21], [0, 0]]] * 2, np.float32)
    found = TO_IMAGE(logits, to_image, (37, 21))
    np.testing.assert_array_equal(found, logits.argmax(-1))


# Parts. The network is a mean over 11 x 11 pixels around each, at every fourth pixel.


def local_network(image):
    padded = np.pad(image.astype(np.float64), ((5, 5), (5, 5), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (11, 11), axis=(0, 1))
    means = windows.mean((-2, -1))[::4, ::4]
    classes = means.argmax(-1).astype(np.uint8)
    enlarged = np.kron(classes, np.ones((4, 4), np.uint8))
    return enlarged[: image.shape[0], : image.shape[1]]


@pytest.mark.parametrize("size", [(256, 384), (128, 600), (90, 70), (130, 129)])
def test_parts_give_what_the_whole_gives_to_a_network_that_sees_no_further(size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    seen = []

    def of_part(part):
        seen.append(part.shape[:2])
        return local_network(part)

    found = classes_by_tiles(of_part, image, 128)
    np.testing.assert_array_equal(found, local_network(image))
    assert max(max(shape) for shape in seen) <= 128
    assert len({*seen}) <= 4  # that the network is compiled for


def test_parts_of_an_image_go_through_a_backbone_as_the_whole_does():
    """Each pixel of its map sees less than 32 pixels around, a quarter of a part."""
    spec = get_spec("mobilenet_v2", width_multiplier=0.35, resolution=96)
    spec = with_backbone(
        spec.backbone, blocks=spec.backbone.blocks[:4], head_conv_channels=0
    )
    model = Backbone(spec)
    variables = init_variables(model, jax.random.key(0))
    run = jax.jit(lambda x: model.apply(variables, x)["features"].argmax(-1))

    def classes_of(part):
        found = np.asarray(run(part[None] / np.float32(128) - 1)[0])
        return np.kron(found, np.ones((8, 8))).astype(np.uint8)

    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (20, 24, 3)), np.ones((8, 8, 1)))
    found = classes_by_tiles(classes_of, image.astype(np.uint8), 128)
    whole = classes_of(image.astype(np.uint8))
    assert len(np.unique(whole)) > 3
    # Up to rounding, where two channels are nearly equal.
    assert (found == whole).mean() > 0.998
