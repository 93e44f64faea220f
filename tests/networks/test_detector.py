"""Specs of detectors against the counts of papers and of released models."""

import dataclasses
import math

import pytest

from mobilenets import UserError, get_spec
from mobilenets.networks import complexity
from mobilenets.networks.architectures.ssd import DETECTORS, get_detector, ssd, ssdlite
from mobilenets.networks.detector import PredictorSpec


def without_batch_norm(spec, num_classes):
    """Parameters of convolutions and dense layers alone, biases included."""
    total = 0
    for layer in spec.layers(num_classes):
        weights = layer.madds // layer.output_size**2
        has_batch_norm = layer.params - weights == 2 * layer.channels
        total += weights if has_batch_norm else layer.params
    return total


# Parameters in millions with and without batch norm's, and billions of multiply-adds,
# to the digit that the source prints: MobileNetV3, Table 6, counts 90 classes and no
# batch norm; its rows of MobileNetV1 and V2, from MobileNetV2's Table 6, 80 classes and
# all; MobileNetV1's Table 13 the detector of 300 pixels.
WIDE, HALF = {}, {"width_multiplier": 0.5}
THIRD = {"width_multiplier": 0.35}


@pytest.mark.parametrize(
    ("name", "options", "num_classes", "counted", "parameters", "madds"),
    [
        ("ssd_mobilenet_v1", WIDE, 90, "all", "6.8", "1.2"),
        ("ssdlite_mobilenet_v1", WIDE, 80, "all", "5.1", "1.3"),
        ("ssdlite_mobilenet_v2", WIDE, 80, "all", "4.3", "0.8"),
        ("ssdlite_mobilenet_v2", HALF, 90, "no BN", "1.54", "0.27"),
        ("ssdlite_mobilenet_v2", THIRD, 90, "no BN", "0.93", "0.17"),  # prints 0.16
        ("ssdlite_mobilenet_v3_large", WIDE, 90, "no BN", "4.97", "0.61"),  # 0.62
        ("ssdlite_mobilenet_v3_large_halved", WIDE, 90, "no BN", "3.22", "0.51"),
        ("ssdlite_mobilenet_v3_small", WIDE, 90, "no BN", "2.49", "0.21"),
        ("ssdlite_mobilenet_v3_small_halved", WIDE, 90, "no BN", "1.77", "0.16"),
        ("ssdlite320_mobilenet_v3_large", WIDE, 90, "all", "3.44", "0.58"),
    ],
)
def test_the_counts_are_those_that_the_papers_print(
    name, options, num_classes, counted, parameters, madds
):
    spec = get_detector(name, **options)
    count = complexity.params if counted == "all" else without_batch_norm
    digits, digits_of_madds = (len(s.partition(".")[2]) for s in (parameters, madds))
    assert f"{count(spec, num_classes) / 1e6:.{digits}f}" == parameters
    found = complexity.madds(spec, num_classes) / 1e9
    assert f"{found:.{digits_of_madds}f}" == madds


# In millions for 91 slots, all and without batch norm, counted apart from this code.
@pytest.mark.parametrize(
    ("name", "options", "everything", "without", "madds"),
    [
        ("ssdlite_mobilenet_v1", WIDE, "5.247", "5.210", "1.32"),
        ("ssdlite_mobilenet_v2", WIDE, "4.501", "4.450", "0.80"),
        ("ssdlite_mobilenet_v2", HALF, "1.562", "1.537", "0.27"),
        ("ssdlite_mobilenet_v2", THIRD, "0.948", "0.930", "0.17"),
        ("ssdlite_mobilenet_v3_large", WIDE, "5.007", "4.967", "0.61"),
        ("ssdlite_mobilenet_v3_large_halved", WIDE, "3.248", "3.215", "0.51"),
        ("ssdlite_mobilenet_v3_small", WIDE, "2.518", "2.493", "0.21"),
        ("ssdlite_mobilenet_v3_small_halved", WIDE, "1.786", "1.765", "0.16"),
        ("ssdlite_mnasnet_a1", WIDE, "4.912", "4.862", "0.84"),
        ("ssdlite_mnasnet_a1", HALF, "1.690", "1.665", "0.29"),
        ("ssdlite_mnasnet_a1", THIRD, "1.032", "1.014", "0.18"),
    ],
)
def test_the_counts_for_coco_are_exact(name, options, everything, without, madds):
    spec = get_detector(name, **options)
    found = complexity.params(spec, 90), without_batch_norm(spec, 90)
    assert [f"{count / 1e6:.3f}" for count in found] == [everything, without]
    assert f"{complexity.madds(spec, 90) / 1e9:.2f}" == madds


@pytest.mark.parametrize(
    "name", ["ssdlite_mobilenet_v1", "ssdlite_mobilenet_v3_small", "ssdlite_moga_a"]
)
def test_a_width_scales_backbone_and_extra_layers(name):
    if name == "ssdlite_moga_a":  # whose paper has one width
        with pytest.raises(UserError, match="width_multiplier"):
            get_detector(name, width_multiplier=0.5)
        return
    spec = get_detector(name, width_multiplier=0.5)
    architecture = name.removeprefix("ssdlite_")
    backbone = get_spec(architecture, width_multiplier=0.5).backbone
    assert spec.backbone.blocks == backbone.blocks
    assert spec.backbone.head_conv_channels == backbone.head_conv_channels
    assert [extra.out_channels for extra in spec.extras] == [256, 128, 128, 64]
    assert get_detector(name, width_multiplier=1.0) == get_detector(name)


def test_the_released_detectors_have_exactly_their_parameters():
    torchvision = get_detector("ssdlite320_mobilenet_v3_large")
    assert complexity.params(torchvision, 90) == 3_440_060
    # A frozen graph of TensorFlow for pedestrians, at 300 pixels.
    lite = get_detector("ssdlite_mobilenet_v2", resolution=300)
    assert complexity.params(lite, 1) == 3_045_126
    # A TFLite file for 23 classes: full extra layers and 1x1 predictors. Its batch norm
    # is folded: 4,970,780 parameters before that.
    full = ssd(get_spec("mobilenet_v2", resolution=300))
    full = dataclasses.replace(full, predictor=PredictorSpec(1, separable=False))
    assert complexity.params(full, 23) == 4_970_780


def test_the_head_of_ssdlite_is_a_seventh_of_ssds():
    # MobileNetV2, Table 5: 14.8 and 2.1 million parameters for 80 classes.
    network = get_spec("mobilenet_v2", resolution=320)
    of_backbone = complexity.params(network.backbone)
    heads = [
        complexity.params(make(network), 80) - of_backbone for make in (ssd, ssdlite)
    ]
    assert [f"{head / 1e6:.1f}" for head in heads] == ["14.8", "2.1"]


@pytest.mark.parametrize(
    ("name", "resolution", "sizes", "anchors"),
    [
        ("ssdlite_mobilenet_v2", 300, [19, 10, 5, 3, 2, 1], 1917),
        ("ssdlite_mobilenet_v2", 320, [20, 10, 5, 3, 2, 1], 2034),
        ("ssdlite320_mobilenet_v3_large", 320, [20, 10, 5, 3, 2, 1], 3234),
    ],
)
def test_the_maps_and_anchors_are_as_many_as_published(
    name, resolution, sizes, anchors
):
    spec = get_detector(name, resolution=resolution)
    assert [size for size, _ in spec.maps] == sizes
    assert spec.num_anchors == anchors


@pytest.mark.parametrize(
    ("name", "features", "channels"),
    [
        ("ssd_mobilenet_v1", ("block10", "block12"), [512, 1024]),
        ("ssdlite_mobilenet_v2", ("block13/expand", "head_conv"), [576, 1280]),
        ("ssdlite_mobilenet_v3_large", ("block12/expand", "head_conv"), [672, 960]),
        (
            "ssdlite_mobilenet_v3_large_halved",
            ("block12/expand", "head_conv"),
            [672, 480],
        ),
        ("ssdlite_mobilenet_v3_small", ("block8/expand", "head_conv"), [288, 576]),
        (
            "ssdlite_mobilenet_v3_small_halved",
            ("block8/expand", "head_conv"),
            [288, 288],
        ),
    ],
)
def test_c4_and_c5_are_the_published_ones(name, features, channels):
    spec = get_detector(name)
    assert spec.features == features
    assert [width for _, width in spec.maps] == [*channels, 512, 256, 256, 128]


def test_any_backbone_has_a_detector():
    spec = ssdlite(get_spec("resnet50", resolution=320))
    assert spec.features == ("block12", "block15")
    assert spec.maps[:2] == [(20, 1024), (10, 2048)]


def test_anchors_of_tensorflow_are_those_of_its_generator():
    lowest, second, *_ = get_detector("ssdlite_mobilenet_v2").anchors
    root = math.sqrt(2)
    # By hand: the scales .1, .2 and .2 with the aspect ratios 1, 2 and 1/2.
    expected = [(0.1, 0.1), (0.2 / root, 0.2 * root), (0.2 * root, 0.2 / root)]
    assert [pytest.approx(shape) for shape in lowest] == expected
    assert len(second) == 6
    assert second[4] == pytest.approx((0.35 / 0.3333**0.5, 0.35 * 0.3333**0.5), 1e-9)
    assert second[5] == pytest.approx((math.sqrt(0.35 * 0.5),) * 2)


def test_anchors_of_torchvision_are_no_longer_than_the_image():
    anchors = get_detector("ssdlite320_mobilenet_v3_large").anchors
    assert [len(shapes) for shapes in anchors] == [6] * 6
    assert anchors[0][1] == pytest.approx((math.sqrt(0.2 * 0.35),) * 2)
    # .95 * sqrt(2) is cut to the image's width.
    assert anchors[5][2] == pytest.approx((0.95 / math.sqrt(2), 1.0))


def test_another_resolution_is_another_number_of_anchors():
    spec = get_detector("ssdlite_mobilenet_v2", resolution=96)
    assert spec.resolution == 96
    # By hand: maps of 6, 3, 2, 1, 1 and 1 pixels.
    assert spec.num_anchors == 3 * 36 + 6 * (9 + 4 + 1 + 1 + 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_detector("ssdlite_mobilnet_v2"), "mean 'ssdlite_mobilenet_v2'"),
        (
            lambda: get_detector("ssdlite_mobilenet_v2", width_multiplier=0),
            "width_multiplier must be above 0",
        ),
        (
            lambda: get_detector("ssd_mobilenet_v1", width_multiplier=0.5),
            "Unknown option of ssd_mobilenet_v1 'width_multiplier'",
        ),
        (
            lambda: get_detector("ssd_mobilenet_v1", resolution=16),
            "The resolution 16 is too small",
        ),
        (
            lambda: (
                dataclasses.replace(
                    get_detector("ssd_mobilenet_v1"), features=("block10", "block99")
                ).maps
            ),
            "mobilenet_v1 has no feature map 'block99'",
        ),
        (
            lambda: (
                dataclasses.replace(
                    get_detector("ssd_mobilenet_v1"), extras=()
                ).num_anchors
            ),
            "anchors for 6 feature maps, but 2 maps",
        ),
    ],
)
def test_a_detector_that_cannot_be_is_one_clear_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()


@pytest.mark.parametrize("name", DETECTORS)
def test_the_name_of_a_detector_is_its_key(name):
    assert get_detector(name).name == name


def test_scores_are_chosen_with_a_bias_that_suits_them():
    spec = get_detector("ssdlite_mobilenet_v3_small", scores="softmax")
    assert spec.postprocessing.scores == "softmax"
    assert spec.predictor.class_bias == 0
    same = get_detector("ssdlite_mobilenet_v3_small", scores="sigmoid")
    assert same == get_detector("ssdlite_mobilenet_v3_small")
    with pytest.raises(UserError, match="Unknown scores 'sofmax'"):
        get_detector("ssdlite_mobilenet_v3_small", scores="sofmax")
