"""Specs and their complexity against the figures of the papers and released models."""

import pytest

from mobilenets import complexity
from mobilenets.architectures import ARCHITECTURES, get_spec
from mobilenets.errors import UserError

# Exact parameters and million multiply-adds, to the digit printed, of the released
# models (Keras' and timm's counts); the papers round them further.
# fmt: off
RELEASED = [
    # name, width, resolution, parameters, million MAdds
    ("mobilenet_v1", 1.00, 224, 4_231_976, 568.7),
    ("mobilenet_v1", 0.75, 224, 2_585_560, 325.4),
    ("mobilenet_v1", 0.50, 224, 1_331_592, 149.5),
    ("mobilenet_v1", 0.25, 224,   470_072,  41.0),
    ("mobilenet_v1", 1.00, 192, 4_231_976, 418.1),
    ("mobilenet_v1", 1.00, 160, 4_231_976, 290.7),
    ("mobilenet_v1", 1.00, 128, 4_231_976, 186.4),
    ("mobilenet_v1", 0.75, 192, 2_585_560, 239.3),
    ("mobilenet_v1", 0.75, 160, 2_585_560, 166.4),
    ("mobilenet_v1", 0.75, 128, 2_585_560, 106.8),
    ("mobilenet_v1", 0.50, 192, 1_331_592, 110.0),
    ("mobilenet_v1", 0.50, 160, 1_331_592,  76.5),
    ("mobilenet_v1", 0.50, 128, 1_331_592,  49.2),
    ("mobilenet_v1", 0.25, 192,   470_072,  30.2),
    ("mobilenet_v1", 0.25, 160,   470_072,  21.1),
    ("mobilenet_v1", 0.25, 128,   470_072,  13.6),
    ("mobilenet_v2", 1.40, 224, 6_108_776, 582.2),
    ("mobilenet_v2", 1.30, 224, 5_386_792, 509.4),
    ("mobilenet_v2", 1.00, 224, 3_504_872, 300.8),
    ("mobilenet_v2", 1.00, 192, 3_504_872, 221.3),
    ("mobilenet_v2", 1.00, 160, 3_504_872, 154.1),
    ("mobilenet_v2", 1.00, 128, 3_504_872,  99.1),
    ("mobilenet_v2", 1.00,  96, 3_504_872,  56.3),
    ("mobilenet_v2", 0.75, 224, 2_636_424, 209.1),
    ("mobilenet_v2", 0.75, 192, 2_636_424, 153.9),
    ("mobilenet_v2", 0.75, 160, 2_636_424, 107.3),
    ("mobilenet_v2", 0.75, 128, 2_636_424,  69.1),
    ("mobilenet_v2", 0.75,  96, 2_636_424,  39.4),
    ("mobilenet_v2", 0.50, 224, 1_968_680,  97.1),
    ("mobilenet_v2", 0.50, 192, 1_968_680,  71.7),
    ("mobilenet_v2", 0.50, 160, 1_968_680,  50.2),
    ("mobilenet_v2", 0.50, 128, 1_968_680,  32.6),
    ("mobilenet_v2", 0.50,  96, 1_968_680,  18.9),
    ("mobilenet_v2", 0.35, 224, 1_677_128,  59.3),
    ("mobilenet_v2", 0.35, 192, 1_677_128,  43.9),
    ("mobilenet_v2", 0.35, 160, 1_677_128,  30.9),
    ("mobilenet_v2", 0.35, 128, 1_677_128,  20.2),
    ("mobilenet_v2", 0.35,  96, 1_677_128,  11.9),
]
# fmt: on


@pytest.mark.parametrize(("name", "width", "resolution", "params", "madds"), RELEASED)
def test_complexity_is_that_of_the_released_model(
    name, width, resolution, params, madds
):
    spec = get_spec(name, width_multiplier=width, resolution=resolution)
    assert complexity.params(spec) == params
    assert round(complexity.madds(spec) / 1e6, 1) == madds


def test_every_architecture_has_a_released_model():
    assert {row[0] for row in RELEASED} == set(ARCHITECTURES)


def test_a_stem_of_stride_1_doubles_every_map():
    halved = get_spec("mobilenet_v1", resolution=64)
    spec = get_spec("mobilenet_v1", resolution=32, stem_stride=1)
    assert spec.output_stride == 16
    assert [layer.output_size for layer in complexity.layers(spec)] == [
        layer.output_size for layer in complexity.layers(halved)
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"name": "mobilnet_v2"}, "did you mean 'mobilenet_v2'"),
        ({"widht_multiplier": 1.0}, "did you mean 'width_multiplier'"),
        ({"width_multiplier": 0.0}, "width_multiplier must be above 0, but is 0.0"),
        ({"width_multiplier": "wide"}, "width_multiplier must be above 0"),
        ({"resolution": 31}, "resolution 31 is too small .* output stride is 32"),
        ({"resolution": 224.0}, "resolution must be a positive integer"),
        ({"dropout_rate": 1.0}, "dropout_rate must be at least 0 and below 1"),
        ({"stem_stride": True}, "stem_stride must be 1 or 2"),
        ({"padding": "valid"}, "padding must be 'same' or 'symmetric'"),
    ],
)
def test_a_wrong_option_is_one_clear_sentence(overrides, message):
    with pytest.raises(UserError, match=message):
        get_spec(**({"name": "mobilenet_v2"} | overrides))
