"""Compound scaling against EfficientNet's tables, and against its own promises."""

import dataclasses
import math

import pytest

from mobilenets import get_spec
from mobilenets.errors import UserError
from mobilenets.networks import complexity, scaling
from mobilenets.networks.architectures.efficientnet import RELEASED
from mobilenets.networks.scaling import METHODS, Coefficients, Multipliers
from mobilenets.networks.spec import with_backbone

# What the paper scaled (1905.11946: Tables 3 and 7, the coefficients of Figs. 3 and 4),
# with exact costs by a counter that is not ours, which agrees with timm and Keras
# wherever they have the network.
# fmt: off
PUBLISHED = [
    # family, d, w, pixels, parameters, million MAdds
    # Table 3
    ("mobilenet_v1", 1.0, 1.0, 224,   4_231_976,   568.7),
    ("mobilenet_v1", 1.0, 2.0, 224,  14_742_120,  2216.5),
    ("mobilenet_v1", 1.0, 1.0, 448,   4_231_976,  2271.9),
    ("mobilenet_v1", 1.4, 1.2, 288,   8_677_512,  2243.0),
    ("mobilenet_v2", 1.0, 1.0, 224,   3_504_872,   300.8),
    ("mobilenet_v2", 4.0, 1.0, 224,  12_051_800,  1219.6),
    ("mobilenet_v2", 1.0, 1.0, 448,   3_504_872,  1199.3),
    ("mobilenet_v2", 1.4, 1.2, 288,   7_987_552,  1284.4),
    ("resnet50",     1.0, 1.0, 224,  25_557_032,  4089.2),
    ("resnet50",     4.0, 1.0, 224,  89_824_040, 14570.7),
    ("resnet50",     1.0, 2.0, 224,  98_004_072, 16116.6),
    ("resnet50",     1.0, 1.0, 448,  25_557_032, 16350.6),
    ("resnet50",     1.4, 1.2, 300,  54_804_824, 16335.5),
    # Table 7 and Fig. 8
    ("efficientnet", 1.0, 1.0, 224,   5_288_548,   385.8),
    ("efficientnet", 4.0, 1.0, 224,  20_091_856,  1575.1),
    ("efficientnet", 1.0, 2.0, 224,  18_122_720,  1450.0),
    ("efficientnet", 1.0, 1.0, 448,   5_288_548,  1537.5),
    ("efficientnet", 1.4, 1.2, 300,  12_233_232,  1827.1),
    # Fig. 3, left
    ("efficientnet", 1.0, 1.4, 224,   9_670_210,   743.8),
    ("efficientnet", 1.0, 1.8, 224,  14_847_064,  1175.6),
    ("efficientnet", 1.0, 2.6, 224,  29_166_590,  2391.1),
    ("efficientnet", 1.0, 3.8, 224,  60_022_096,  5059.7),
    ("efficientnet", 1.0, 5.0, 224, 101_904_980,  8712.4),
    # Fig. 3, middle
    ("efficientnet", 2.0, 1.0, 224,  10_222_984,   782.3),
    ("efficientnet", 3.0, 1.0, 224,  15_157_420,  1178.7),
    ("efficientnet", 6.0, 1.0, 224,  29_960_728,  2368.0),
    ("efficientnet", 8.0, 1.0, 224,  39_829_600,  3160.9),
    # Fig. 4: the four networks whose width it scales
    ("efficientnet", 1.0, 1.0, 299,   5_288_548,   729.9),
    ("efficientnet", 2.0, 1.0, 299,  10_222_984,  1487.1),
]
# Fig. 3, right: EfficientNet-B0 at r times its resolution.
RESOLUTIONS = [
    # r, pixels, million MAdds
    (1.3, 291,  718.4),
    (1.5, 336,  893.3),
    (1.7, 381, 1128.9),
    (1.9, 426, 1457.8),
    (2.2, 493, 1923.1),
    (2.5, 560, 2446.9),
]
# fmt: on


@pytest.mark.parametrize(
    ("family", "depth", "width", "pixels", "params", "million_madds"), PUBLISHED
)
def test_the_papers_networks_cost_what_they_should(
    family, depth, width, pixels, params, million_madds
):
    spec = scaling.scaled_spec(family, Multipliers(depth, width, pixels / 224))
    assert spec.resolution == pixels
    assert complexity.params(spec) == params
    assert round(complexity.madds(spec) / 1e6, 1) == million_madds


@pytest.mark.parametrize(("r", "pixels", "million_madds"), RESOLUTIONS)
def test_a_resolution_is_rounded_to_the_nearest_pixel(r, pixels, million_madds):
    spec = scaling.scaled_spec("efficientnet", Multipliers(1, 1, r))
    assert spec.resolution == pixels
    assert round(complexity.madds(spec) / 1e6, 1) == million_madds


def test_twice_the_width_of_mobilenet_v2_with_the_last_convolution_kept():
    """Table 3's w = 2 as the other counter has it: the 1280 channels not widened.

    The paper's "1.1B" fits both. For w > 1 MobileNetV2 itself widens them.
    """
    spec = scaling.scaled_spec("mobilenet_v2", Multipliers(1, 2, 1))
    assert spec.backbone.head_conv_channels == 2560
    kept = with_backbone(spec, head_conv_channels=1280)
    assert complexity.params(kept) == 9_156_328
    assert round(complexity.madds(kept) / 1e6, 1) == 1096.0


@pytest.mark.parametrize(
    ("method", "row"),
    [("depth", (4, 1, 1)), ("width", (1, 2, 1)), ("resolution", (1, 1, 2))],
)
def test_phi_2_along_one_dimension_is_the_row_of_table_3(method, row):
    assert scaling.multipliers(2, METHODS[method]) == Multipliers(*row)


def test_equation_3_by_hand():
    by = scaling.multipliers(3)
    assert by == Multipliers(1.728, 1.331, 1.520875)
    assert by.pixels == 341  # 340.676
    assert scaling.multipliers(0) == Multipliers(1, 1, 1)
    assert scaling.multipliers(-1, Coefficients(2, 1.25, 1)) == Multipliers(0.5, 0.8, 1)
    assert METHODS["compound"].growth == pytest.approx(1.2 * 1.21 * 1.3225)


def test_rounding_noise_adds_no_layer():
    """The square of sqrt(2) is 2.0000000000000004, and repeats are rounded up."""
    net = scaling.scaled_net("efficientnet", 2, Coefficients(math.sqrt(2), 1, 1))
    assert net.params == 10_222_984  # of d = 2, above


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", scaling.FAMILIES)
def test_phi_0_is_the_baseline_and_phi_5_about_32_times_its_madds(family, method):
    coefficients = METHODS[method]
    baseline, net = (scaling.scaled_net(family, p, coefficients) for p in (0, 5))
    name = "efficientnet_b0" if family == "efficientnet" else family
    assert with_backbone(baseline.spec, name=name) == get_spec(name)
    assert 0.8 < net.madds / baseline.madds / coefficients.growth**5 < 1.3


@pytest.mark.parametrize("variant", RELEASED)
def test_released_multipliers_give_the_released_network(variant):
    spec = scaling.scaled_spec("efficientnet", scaling.released(variant))
    released = get_spec(f"efficientnet_{variant}")
    assert released == dataclasses.replace(
        with_backbone(spec, name=released.name), dropout_rate=released.dropout_rate
    )
    assert scaling.nearest_released(complexity.madds(spec) + 1) == variant


# By hand: B4's are log 1.8 / log 1.2, log 1.4 / log 1.1 and log(380 / 224) / log 1.15.
@pytest.mark.parametrize(
    ("variant", "depth", "width", "resolution"),
    [
        ("b1", 0.5, 0.0, 0.5),
        ("b2", 1.0, 1.0, 1.1),
        ("b3", 1.8, 1.9, 2.1),
        ("b4", 3.2, 3.5, 3.8),
        ("b7", 6.2, 7.3, 7.0),
    ],
)
def test_released_networks_are_not_of_one_phi(variant, depth, width, resolution):
    phis = scaling.implied_phi(scaling.released(variant))
    rounded = {name: round(phi, 1) for name, phi in phis.items()}
    assert rounded == {"depth": depth, "width": width, "resolution": resolution}


def test_the_phi_of_a_scaled_network_is_the_one_it_was_scaled_by():
    phis = scaling.implied_phi(scaling.multipliers(2.5))
    assert list(phis.values()) == pytest.approx([2.5] * 3)
    assert scaling.implied_phi(Multipliers(4, 1, 1), METHODS["depth"]) == {"depth": 2}


def test_dropout_grows_from_b0_to_b7_and_stays_there():
    rates = [scaling.dropout_rate(phi) for phi in (-3, 0, 3.5, 7, 9)]
    assert rates == pytest.approx([0.2, 0.2, 0.35, 0.5, 0.5])
    assert scaling.scaled_net("efficientnet", 3.5).spec.dropout_rate == rates[2]
    assert scaling.scaled_net("mobilenet_v1", 3.5).spec.dropout_rate == 0.001


def test_the_grid_holds_the_papers_point_and_only_what_doubles_the_cost():
    grid = scaling.grid("efficientnet")
    points = [dataclasses.astuple(net.coefficients) for net in grid]
    assert (1.2, 1.1, 1.15) in points
    assert len(set(points)) == len(points)
    assert all(1.9 <= a * b**2 * g**2 <= 2.1 for a, b, g in points)
    assert {net.phi for net in grid} == {1}
    paper = grid[points.index((1.2, 1.1, 1.15))]
    assert paper == scaling.scaled_net("efficientnet", 1)
    # By the other counter: w = 1.1 and d = 1.2 are B2's.
    assert paper.params == 9_109_994


def test_a_small_grid_by_hand():
    """Of {1, 1.5, 2}**3 only 2 * 1 * 1 is 2 exactly; 1.5 squared is 2.25."""
    points = {
        dataclasses.astuple(net.coefficients)
        for net in scaling.grid("resnet50", step=0.5, tolerance=0.0)
    }
    assert points == {(2, 1, 1)}
    points = {
        dataclasses.astuple(net.coefficients)
        for net in scaling.grid("resnet50", step=0.5, tolerance=0.25)
    }
    assert points == {(2, 1, 1), (1, 1.5, 1), (1, 1, 1.5)}


@pytest.mark.parametrize("family", scaling.FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_the_largest_network_fits_and_the_next_does_not(family, method):
    coefficients = METHODS[method]
    budget = 2.5 * scaling.scaled_net(family, 0).madds
    net = scaling.largest(family, coefficients, max_madds=budget)
    assert net == scaling.scaled_net(family, net.phi, coefficients)
    assert net.madds <= budget
    following = scaling.scaled_net(family, net.phi + scaling.PHI_STEP, coefficients)
    assert following.madds > budget


@pytest.mark.parametrize("family", scaling.FAMILIES)
def test_parameters_limit_too_and_the_stricter_limit_holds(family):
    by_madds = scaling.largest(family, max_madds=3e9)
    by_params = scaling.largest(family, max_params=4e6)
    both = scaling.largest(family, max_madds=3e9, max_params=4e6)
    assert by_params.phi < by_madds.phi
    assert both == by_params
    following = scaling.scaled_net(family, both.phi + scaling.PHI_STEP)
    assert following.params > 4e6


def test_a_budget_that_equals_a_networks_cost_is_met():
    net = scaling.scaled_net("mobilenet_v2", 1)
    found = scaling.largest("mobilenet_v2", max_madds=net.madds)
    assert found.madds == net.madds
    assert found.phi >= 1


def test_a_small_budget_scales_the_baseline_down():
    net = scaling.largest("efficientnet", max_madds=50e6)
    assert net.phi < 0
    assert net.spec.resolution < 224
    assert net.spec.dropout_rate == 0.2
    smallest = scaling.largest(
        "mobilenet_v1", METHODS["resolution"], max_madds=13_000_000
    )
    assert smallest.spec.resolution == smallest.spec.backbone.output_stride == 32


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", scaling.FAMILIES)
def test_cost_never_shrinks_with_phi(family, method):
    phis = [i / 20 for i in range(-60, 100)]
    nets = [scaling.scaled_net(family, phi, METHODS[method]) for phi in phis]
    assert [net.madds for net in nets] == sorted(net.madds for net in nets)
    assert [net.params for net in nets] == sorted(net.params for net in nets)


# fmt: off
MISTAKES = [
    (lambda: scaling.scaled_net("eficientnet", 1),
     "Unknown family 'eficientnet': did you mean 'efficientnet'"),
    (lambda: scaling.grid("resnet"), "Unknown family 'resnet': did you mean"),
    (lambda: scaling.largest("vgg", max_madds=1e9), "Unknown family 'vgg'"),
    (lambda: scaling.method("dept"), "Unknown scaling method 'dept': did you mean 'd"),
    (lambda: scaling.released("b9"), "Unknown EfficientNet 'b9'"),
    (lambda: scaling.multipliers(math.nan), "phi must be .* from -10 to 10, but is n"),
    (lambda: scaling.multipliers(math.inf), "phi must be .* but is inf"),
    (lambda: scaling.scaled_net("resnet50", -11), "phi must be .* but is -11"),
    (lambda: Coefficients(0.9, 1, 1), "alpha must be from 1 to 2, but is 0.9"),
    (lambda: Coefficients(1, math.nan, 1), "beta must be from 1 to 2, but is nan"),
    (lambda: Coefficients(1, 1, 2.1), "gamma must be from 1 to 2, but is 2.1"),
    (lambda: Multipliers(0, 1, 1), "multiplier of depth must be above 0"),
    (lambda: Multipliers(1, math.inf, 1), "multiplier of width must be above 0 and at"),
    (lambda: Multipliers(1, 1, math.nan), "multiplier of resolution must be above 0"),
    (lambda: scaling.scaled_spec("resnet50", Multipliers(1, 1, 0.1)),
     "resolution 22 is too small for resnet50"),
    (lambda: scaling.largest("efficientnet"), "A budget is needed"),
    (lambda: scaling.largest("efficientnet", max_madds=0), "fits into 0 MAdds"),
    (lambda: scaling.largest("efficientnet", max_madds=1e6),
     "No efficientnet fits into 1,000,000 MAdds: the smallest is phi = -10 at 55 pix"),
    (lambda: scaling.largest("efficientnet", max_madds=math.nan), "No efficientnet fi"),
    (lambda: scaling.largest("mobilenet_v1", METHODS["resolution"], max_params=5e6),
     "5,000,000 parameters do not limit mobilenet_v1: even phi = 10 at 7168 pixels"),
    (lambda: scaling.grid("resnet50", step=0), "step must be from 0.01 to 1, but is 0"),
    (lambda: scaling.grid("resnet50", tolerance=-1), "tolerance must be from 0 to 1"),
]
# fmt: on


@pytest.mark.parametrize(("wrong", "message"), MISTAKES)
def test_a_mistake_is_one_clear_sentence(wrong, message):
    with pytest.raises(UserError, match=message):
        wrong()
