"""Specs of segmenters against the counts of papers and of released models."""

import dataclasses

import pytest

from mobilenets import UserError, get_spec
from mobilenets.networks import complexity
from mobilenets.networks.architectures.deeplab import (
    PUBLISHED_MIOU,
    SEGMENTERS,
    deeplabv3,
    get_segmenter,
    lraspp,
)
from mobilenets.networks.architectures.mobilenet_v3 import reduce_last_block
from mobilenets.networks.spec import with_backbone
from studies.make_tables import PRINTED_SEGMENTERS, as_tensorflow_counts

BLOCKS = get_spec("mobilenet_v1").backbone.blocks[:3]  # to output stride 4
PLAIN, WIDE, REDUCED = {}, {"filters": 256}, {"reduced": True}


# MobileNetV2, Table 7 (21 classes), and MobileNetV3, Table 7 (19 classes): parameters
# in millions as printed, and all of them where they were counted apart from this code.
@pytest.mark.parametrize(
    ("name", "options", "num_classes", "printed", "exact"),
    [
        ("deeplabv3_mobilenet_v1", PLAIN, 21, "11.15", None),
        ("deeplabv3_mobilenet_v2", PLAIN, 21, "4.52", 4_523_541),
        ("raspp_mobilenet_v2", PLAIN, 21, "2.11", None),
        ("raspp_mobilenet_v2", PLAIN, 19, "2.11", 2_113_043),
        ("raspp_mobilenet_v3_large", PLAIN, 19, "3.60", None),
        ("raspp_mobilenet_v3_large", REDUCED, 19, "1.76", 1_762_435),
        ("lraspp_mobilenet_v3_large", WIDE, 19, "1.63", 1_632_638),
        ("lraspp_mobilenet_v3_large", PLAIN, 19, "1.51", 1_507_070),
        ("lraspp_mobilenet_v2", {"width_multiplier": 0.5}, 19, "0.28", None),
        ("lraspp_mobilenet_v3_small", PLAIN, 19, "0.47", 468_702),
    ],
)
def test_the_parameters_are_those_that_the_papers_print(
    name, options, num_classes, printed, exact
):
    found = complexity.params(get_segmenter(name, **options), num_classes)
    assert f"{found / 1e6:.2f}" == printed
    assert exact in (None, found)


@pytest.mark.parametrize(
    ("options", "printed", "counted"),
    [
        ({"filters": 256}, 1.02, "1.031"),
        ({"filters": 128}, 0.98, "0.987"),
        ({"width_multiplier": 0.35}, 0.16, "0.168"),
    ],
)
def test_half_a_mobilenet_v2_is_within_a_hundredth_of_the_print(
    options, printed, counted
):
    found = complexity.params(get_segmenter("lraspp_mobilenet_v2", **options), 19)
    assert f"{found / 1e6:.3f}" == counted
    assert found / 1e6 == pytest.approx(printed, abs=0.011)
    whole = complexity.params(get_segmenter("raspp_mobilenet_v2", **REDUCED), 19)
    assert f"{whole / 1e6:.3f}" == "1.159"  # prints 1.15


def test_the_released_segmenters_have_exactly_their_parameters_and_madds():
    # As torchvision 0.29.1 says, in billions of multiply-adds at 520 pixels.
    for name, parameters, billions in (
        ("lraspp_mobilenet_v3_large_torchvision", 3_221_538, "2.086"),
        ("deeplabv3_mobilenet_v3_large_torchvision", 11_029_328, "10.452"),
        ("deeplabv3_resnet50_torchvision", 42_004_074, "178.722"),
    ):
        spec = get_segmenter(name)
        assert complexity.params(spec, 21) == parameters
        assert f"{complexity.madds(spec, 21) / 1e9:.3f}" == billions


def test_deeplabv3_on_resnet_101_lacks_three_small_convolutions():
    # The paper's 58.16 million are those of a stem of three 3x3 convolutions of 64, 64
    # and 128 channels in place of the 7x7, and of the wider first block behind it.
    spec = deeplabv3(get_spec("resnet101", resolution=513))
    stem = 27 * 64 + 9 * 64 * 64 + 9 * 64 * 128 - 49 * 3 * 64 + 2 * (64 + 128)
    first_block = 64 * 64 + 64 * 256
    found = complexity.params(spec, 21) + stem + first_block
    assert f"{found / 1e6:.2f}" == "58.16"


# Billions of multiply-adds as the papers print them.
@pytest.mark.parametrize("row", PRINTED_SEGMENTERS, ids=lambda row: row.in_words)
def test_the_multiply_adds_are_those_that_the_papers_print(row):
    # If what TensorFlow counts beside is added.
    found = as_tensorflow_counts(row) / 1e9
    assert found == pytest.approx(float(row.billion_madds), rel=0.007)
    # What is counted here is less, but never by much.
    assert 0.88 * found < row.madds / 1e9 <= found


def test_a_picture_that_is_not_square_costs_as_its_layers_say():
    spec = get_segmenter("lraspp_mobilenet_v2")
    square = complexity.madds_of_image(spec, 513, 513, 19)
    assert square == complexity.madds(with_backbone(spec, resolution=513), 19)
    backbone = get_spec("resnet50").backbone
    tall = complexity.madds_of_image(backbone, 513, 1025)
    assert tall == complexity.madds_of_image(backbone, 1025, 513)
    assert 1.9 < tall / complexity.madds_of_image(backbone, 513, 513) < 2.0


@pytest.mark.parametrize("name", SEGMENTERS)
def test_the_name_of_a_segmenter_is_its_key(name):
    assert get_segmenter(name).name == name
    assert set(PUBLISHED_MIOU) <= set(SEGMENTERS)


def test_the_rates_double_with_half_the_output_stride():
    # DeepLabv3, Sec. 4.
    coarse, fine = (
        get_segmenter("deeplabv3_mobilenet_v1", output_stride=s) for s in (16, 8)
    )
    assert (coarse.head.rates, fine.head.rates) == ((6, 12, 18), (12, 24, 36))
    assert fine.backbone.output_stride == 8


@pytest.mark.parametrize(
    ("architecture", "low_level"),
    [
        # TensorFlow's "layer_7/depthwise_output", "layer_4/depthwise_output": its stem
        # is layer 1.
        ("mobilenet_v2", "block5/depthwise"),
        ("mobilenet_v3_large", "block5/depthwise"),
        ("mobilenet_v3_small", "block2/depthwise"),
        ("resnet50", "block6"),
    ],
)
def test_lr_aspp_reads_the_last_map_of_stride_8(architecture, low_level):
    for output_stride in (8, 16, 32):
        spec = lraspp(get_spec(architecture), output_stride)
        assert spec.head.low_level == low_level
        assert spec.backbone.output_stride == output_stride


def test_torchvision_dilates_the_block_that_has_lost_its_stride():
    ours = get_segmenter("lraspp_mobilenet_v3_large").backbone.blocks
    theirs = get_segmenter("lraspp_mobilenet_v3_large_torchvision").backbone.blocks
    assert [block.dilation for block in ours[11:]] == [1, 1, 2, 2]
    assert [block.dilation for block in theirs[11:]] == [1, 2, 2, 2]


def test_half_the_last_block_is_all_behind_the_last_stride():
    large = reduce_last_block(get_spec("mobilenet_v3_large").backbone)
    widths = [(b.expanded_channels, b.out_channels) for b in large.blocks[11:]]
    assert widths == [(672, 112), (336, 80), (480, 80), (480, 80)]
    assert large.head_conv_channels == 480
    v2 = reduce_last_block(get_spec("mobilenet_v2").backbone)
    widths = [(b.expanded_channels, b.out_channels) for b in v2.blocks[12:]]
    assert widths == [(576, 96), (576, 80), (480, 80), (480, 80), (480, 160)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_segmenter("lrasp_mobilenet_v2"), "mean 'lraspp_mobilenet_v2'"),
        (
            lambda: get_segmenter("lraspp_mobilenet_v2", output_stride=4),
            "output_stride must be 8 or 16 or 32, but is 4",
        ),
        (
            lambda: get_segmenter("raspp_mobilenet_v2", output_stride=16.0),
            "output_stride must be 8 or 16 or 32, but is 16.0",
        ),
        (
            lambda: get_segmenter("raspp_mobilenet_v2", reduced="yes"),
            "reduced must be False or True, but is 'yes'",
        ),
        (
            lambda: get_segmenter("deeplabv3_mobilenet_v2", filters=0),
            "head.filters must be a whole number from 1",
        ),
        (
            lambda: get_segmenter("deeplabv3_mobilenet_v2", width_multiplier=0),
            "width_multiplier must be above 0",
        ),
        (
            lambda: get_segmenter("deeplabv3_resnet50_torchvision", filters=64),
            "Unknown option of deeplabv3_resnet50_torchvision 'filters'",
        ),
        (
            lambda: get_segmenter("lraspp_mobilenet_v1", resolution=8),
            "The resolution 8 is too small",
        ),
        (
            lambda: lraspp(get_spec("mobilenet_v1"), output_stride=5),
            "mobilenet_v1 has no output stride 5",
        ),
        (
            lambda: lraspp(with_backbone(get_spec("mobilenet_v1"), blocks=BLOCKS)),
            "mobilenet_v1 has no map at output stride 8",
        ),
        (
            lambda: reduce_last_block(get_spec("resnet50").backbone),
            "resnet50 has no variant with half its last block",
        ),
        (
            lambda: dataclasses.replace(
                get_segmenter("lraspp_mobilenet_v3_large_torchvision"),
                backbone=get_spec("mobilenet_v1").backbone,
                head=dataclasses.replace(
                    get_segmenter("lraspp_mobilenet_v2").head, low_level="block99"
                ),
            ).layers(),
            "mobilenet_v1 has no feature map 'block99'",
        ),
    ],
)
def test_a_segmenter_that_cannot_be_is_one_clear_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()
