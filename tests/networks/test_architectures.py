"""Specs and their complexity against the figures of the papers and released models."""

import dataclasses
import math

import pytest

from mobilenets.errors import UserError
from mobilenets.networks import complexity
from mobilenets.networks.architectures import ARCHITECTURES, get_spec, replace
from mobilenets.networks.architectures.mobilenet_v3 import halve_last_stage
from mobilenets.networks.published import ROWS
from mobilenets.networks.spec import with_backbone, with_output_stride


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_complexity_is_that_of_the_released_model(row):
    spec = row.spec()
    assert complexity.params(spec) == int(row.parameters)
    if row.million_madds:
        assert f"{complexity.madds(spec) / 1e6:.1f}" == row.million_madds


def test_activations_are_the_outputs_of_table_1():
    # MobileNetV1's, Table 1: per size the channels of all maps, added by hand.
    maps = 112**2 * (32 + 32 + 64) + 56**2 * (64 + 128 * 3) + 28**2 * (128 + 256 * 3)
    maps += 14**2 * (256 + 512 * 11) + 7**2 * (512 + 1024 * 3) + 1000
    assert complexity.activations(get_spec("mobilenet_v1")) == maps == 5_043_688


def test_every_architecture_has_a_released_model():
    # Without options, but for the ResNets that SENet's table has as v1 only.
    plain = {row.architecture for row in ROWS if not row.options}
    assert plain | {"resnet101", "resnet152"} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_listed_accuracy_is_that_of_its_source(name):
    architecture = ARCHITECTURES[name]
    source, _, note = architecture.source.partition(" (")
    assert note in ("", "not checked)", "v1)")
    options = "version=v1" if note == "v1)" else ""
    published = [
        float(row.published_top1)
        for row in ROWS
        if (row.architecture, row.source) == (name, source)
        and row.options == options
        and int(row.resolution) == get_spec(name).resolution
    ]
    assert published == [architecture.top1]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_blocks_fit_together(name):
    spec = get_spec(name)
    assert spec.name == name
    channels = spec.backbone.stem_channels
    for block in spec.backbone.blocks:
        assert block.in_channels == channels
        channels = block.out_channels


def expansions(spec):
    return [block.expanded_channels for block in spec.backbone.blocks]


def squeezed(spec):
    return [block.se.channels if block.se else 0 for block in spec.backbone.blocks]


def test_mobilenet_v3_scales_the_expansion_as_a_ratio_of_its_input():
    # By hand: 0.75 * 80 = 60, so 64 channels; 64 * 184 / 80 = 147.2, so 144.
    spec = get_spec("mobilenet_v3_large", width_multiplier=0.75)
    assert [b.out_channels for b in spec.backbone.blocks[6:10]] == [64, 64, 64, 64]
    assert expansions(spec)[6:10] == [192, 160, 144, 144]


def test_each_family_squeezes_by_its_own_rule():
    # MobileNetV3: a quarter of the expansion, in multiples of 8: 72 / 4 = 18 -> 24.
    assert squeezed(get_spec("mobilenet_v3_large"))[3:6] == [24, 32, 32]
    # MoGA: a quarter of the expansion as it is: 240 / 4 and 120 / 4.
    assert squeezed(get_spec("moga_a"))[3:6] == [0, 60, 30]
    # EfficientNet: a quarter of the block's input: 32, 16, 24, 24, 40 channels.
    assert squeezed(get_spec("efficientnet_b0"))[:5] == [8, 4, 6, 6, 10]
    # MnasNet-A1: the same, where it has any.
    assert squeezed(get_spec("mnasnet_a1"))[:6] == [0, 0, 0, 6, 10, 10]
    # SENet: a sixteenth of the output.
    assert squeezed(get_spec("se_resnet50"))[:4] == [16, 16, 16, 32]
    assert squeezed(get_spec("se_mobilenet_v1"))[:4] == [4, 8, 8, 16]


@pytest.mark.parametrize(
    ("name", "act", "gate"),
    [
        ("mobilenet_v3_large", {"relu"}, "hard_sigmoid"),
        ("moga_a", {"relu", "hard_swish"}, "hard_sigmoid"),
        ("efficientnet_b0", {"swish"}, "sigmoid"),
        ("mnasnet_a1", {"relu"}, "sigmoid"),
        ("se_resnet50", {"relu"}, "sigmoid"),
    ],
)
def test_each_family_has_its_own_activation_and_gate(name, act, gate):
    squeezes = [b.se for b in get_spec(name).backbone.blocks if b.se]
    assert {se.act for se in squeezes} == act
    assert {se.gate for se in squeezes} == {gate}


def test_the_residuals_are_those_of_the_papers_code():
    def residuals(name):
        return [
            i
            for i, block in enumerate(get_spec(name).backbone.blocks)
            if block.residual
        ]

    assert residuals("mobilenet_v3_large")[:2] == [0, 2]  # the first block has one
    assert residuals("moga_a")[:2] == [2, 4]  # the first, of the same shape, has none
    assert residuals("mobilenet_v1") == []
    assert residuals("mobilenet_v2") == [2, 4, 5, 7, 8, 9, 11, 12, 14, 15]


def test_stochastic_depth_grows_linearly_over_the_blocks_of_an_efficientnet():
    rates = [
        block.drop_path_rate for block in get_spec("efficientnet_b0").backbone.blocks
    ]
    assert rates == pytest.approx([0.2 * i / 16 for i in range(16)])
    deeper = get_spec("efficientnet_b3", drop_path_rate=0.3).backbone.blocks
    assert deeper[-1].drop_path_rate == pytest.approx(0.3 * 25 / 26)
    for name in ("mobilenet_v3_large", "mnasnet_a1", "moga_a"):
        assert not any(block.drop_path_rate for block in get_spec(name).backbone.blocks)


def test_dropout_grows_with_the_variant():
    names = [f"efficientnet_b{i}" for i in range(8)]
    rates = [get_spec(name).dropout_rate for name in names]
    assert rates == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]


# What parameters and MAdds do not tell: of the papers' text and the authors' code.
# fmt: off
CONSTANTS = [
    # name, activation, dropout, momentum, epsilon, padding, initialisation
    ("mobilenet_v1",       "relu6",      0.001, 0.9997, 1e-3, "same",      "slim"),
    ("se_mobilenet_v1",    "relu6",      0.001, 0.9997, 1e-3, "same",      "slim"),
    ("mobilenet_v2",       "relu6",      0.2,   0.997,  1e-3, "same",      "slim"),
    ("mobilenet_v3_large", "hard_swish", 0.2,   0.99,   1e-3, "same",      "slim"),
    ("mobilenet_v3_small_minimalistic", "relu", 0.2, 0.99, 1e-3, "same",   "slim"),
    ("efficientnet_b0",    "swish",      0.2,   0.99,   1e-3, "same",  "efficientnet"),
    ("efficientnet_b7",    "swish",      0.5,   0.99,   1e-3, "same",  "efficientnet"),
    ("efficientnet_lite0", "relu6",      0.2,   0.99,   1e-3, "same",  "efficientnet"),
    ("efficientnet_lite4", "relu6",      0.3,   0.99,   1e-3, "same",  "efficientnet"),
    ("mnasnet_a1",         "relu",       0.2,   0.99,   1e-3, "same",  "efficientnet"),
    ("mnasnet_b1",         "relu",       0.2,   0.99,   1e-3, "same",  "efficientnet"),
    ("moga_a",             "hard_swish", 0.2,   0.9,    1e-5, "symmetric", "moga"),
    ("moga_c",             "hard_swish", 0.2,   0.9,    1e-5, "symmetric", "moga"),
    ("resnet50",           "relu",       0.0,   0.9,    1e-5, "symmetric", "resnet"),
    ("se_resnet152",       "relu",       0.0,   0.9,    1e-5, "symmetric", "resnet"),
]
# fmt: on


@pytest.mark.parametrize("row", CONSTANTS, ids=lambda row: row[0])
def test_the_constants_are_those_of_the_family(row):
    spec = get_spec(row[0])
    found = (
        *(
            spec.name,
            spec.backbone.act,
            spec.dropout_rate,
            spec.backbone.bn_momentum,
            spec.backbone.bn_epsilon,
        ),
        *(spec.backbone.padding, spec.backbone.initialization),
    )
    assert found == row


def test_the_activations_of_moga_and_mobilenet_v3_change_where_the_papers_say():
    def activations(name):
        return [block.act for block in get_spec(name).backbone.blocks]

    # MoGA: the first block and L1 to L5 have ReLU, L6 to L14 h-swish.
    for name in ("moga_a", "moga_b", "moga_c"):
        assert activations(name) == ["relu"] * 6 + ["hard_swish"] * 9
    # MobileNetV3: h-swish from the first block of 80 channels on, of 40 in Small.
    assert activations("mobilenet_v3_large") == ["relu"] * 6 + ["hard_swish"] * 9
    assert activations("mobilenet_v3_small") == ["relu"] * 3 + ["hard_swish"] * 8
    assert set(activations("mobilenet_v3_large_minimalistic")) == {"relu"}


def test_a_stem_of_stride_1_doubles_every_map():
    halved = get_spec("mobilenet_v1", resolution=64)
    spec = get_spec("mobilenet_v1", resolution=32, stem_stride=1)
    assert spec.backbone.output_stride == 16
    assert [layer.output_size for layer in complexity.layers(spec)] == [
        layer.output_size for layer in complexity.layers(halved)
    ]


def test_the_halved_last_stage_of_mobilenet_v3_is_that_of_the_detection_model():
    # slim's V3_LARGE_DETECTION: 80, 80, 80, 480; V3_SMALL_DETECTION: 48, 48, 48, 288.
    large = halve_last_stage(get_spec("mobilenet_v3_large"))
    assert [b.out_channels for b in large.backbone.blocks[12:]] == [80, 80, 80]
    assert expansions(large)[12:] == [672, 480, 480]
    assert squeezed(large)[12:] == [168, 120, 120]
    assert large.backbone.head_conv_channels == 480
    small = halve_last_stage(get_spec("mobilenet_v3_small"))
    assert [b.out_channels for b in small.backbone.blocks[8:]] == [48, 48, 48]
    assert expansions(small)[8:] == [288, 288, 288]
    assert small.backbone.head_conv_channels == 288
    assert (
        large.backbone.blocks[:12]
        == get_spec("mobilenet_v3_large").backbone.blocks[:12]
    )
    # For segmentation, in whichever order.
    spec = get_spec("mobilenet_v3_large")
    assert halve_last_stage(with_output_stride(spec, 16)) == with_output_stride(
        large, 16
    )
    with pytest.raises(UserError, match="mobilenet_v2 has no variant"):
        halve_last_stage(get_spec("mobilenet_v2"))


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "resnet50"]
)
def test_a_finer_output_stride_keeps_the_parameters(name, output_stride):
    spec = get_spec(name)
    finer = with_output_stride(spec, output_stride)
    assert finer.backbone.output_stride == output_stride
    assert complexity.params(finer) == complexity.params(spec)
    assert (complexity.madds(finer) > complexity.madds(spec)) == (output_stride < 32)
    assert max(block.dilation for block in finer.backbone.blocks) == 32 // output_stride


def test_output_strides_compose():
    spec = get_spec("mobilenet_v3_large")
    assert with_output_stride(spec, 32) == spec
    assert with_output_stride(with_output_stride(spec, 16), 8) == with_output_stride(
        spec, 8
    )


@pytest.mark.parametrize("output_stride", [1, 12, 64])
def test_an_output_stride_that_is_not_there_is_one_clear_sentence(output_stride):
    message = f"no output stride {output_stride}: it must be one of 2, 4, 8, 16, 32"
    with pytest.raises(UserError, match=message):
        with_output_stride(get_spec("mobilenet_v2"), output_stride)


def test_a_spec_takes_the_same_replacements_as_a_name():
    spec = get_spec("mobilenet_v2", width_multiplier=0.5)
    changed = replace(spec, dropout_rate=0.4, stem_stride=1)
    assert changed == dataclasses.replace(
        with_backbone(spec, stem_stride=1), dropout_rate=0.4
    )
    with pytest.raises(UserError, match="Unknown option 'width_mult"):
        replace(spec, width_multiplier=0.5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"name": "mobilnet_v2"}, "did you mean 'mobilenet_v2'"),
        ({"name": "efficientnet_b8"}, "did you mean 'efficientnet_b"),
        ({"widht_multiplier": 1.0}, "did you mean 'width_multiplier'"),
        ({"width_multiplier": 0.0}, "must be above 0 and at most 1024, but is 0.0"),
        ({"width_multiplier": "wide"}, "width_multiplier must be above 0"),
        ({"depth_multiplier": 2000.0}, "must be above 0 and at most 1024, but is 2000"),
        ({"resolution": 31}, "resolution 31 is too small .* output stride is 32"),
        ({"resolution": 224.0}, "resolution must be a positive integer"),
        ({"dropout_rate": 1.0}, "dropout_rate must be at least 0 and below 1"),
        ({"stem_stride": True}, "stem_stride must be 1 or 2"),
        ({"stem_stride": 1.0}, "stem_stride must be 1 or 2, but is 1.0"),
        ({"resolution": 10**9}, "a positive integer of at most 16384"),
        ({"bn_epsilon": math.inf}, "bn_epsilon must be at least 1e-16 and at most 1"),
        ({"padding": "valid"}, "padding must be 'same' or 'symmetric'"),
        ({"name": "moga_a", "layout": "paper"}, "layout must be 'code' or 'figure'"),
        ({"name": "moga_b", "layout": "code"}, "Unknown option 'layout' of moga_b"),
        ({"name": "resnet50", "version": "v2"}, "version must be 'v1' or 'v1.5'"),
        ({"name": "se_resnet50", "reduction": 0}, "reduction must be a positive int"),
        ({"name": "efficientnet_b0", "drop_path_rate": 1}, "drop_path_rate must be"),
    ],
)
def test_a_wrong_option_is_one_clear_sentence(overrides, message):
    with pytest.raises(UserError, match=message):
        get_spec(**({"name": "mobilenet_v2"} | overrides))
