"""The name that was meant is found, as other libraries and hasty fingers write it."""

import pytest

from mobilenets import ARCHITECTURES
from mobilenets.errors import close, closest, unknown

# fmt: off
NETWORKS = [
    # timm, torchvision, Keras, other writings
    ("mobilenetv2_100", "mobilenet_v2"), ("tf_efficientnet_b0", "efficientnet_b0"),
    ("mobilenetv3_large_100", "mobilenet_v3_large"), ("mnasnet_100", "mnasnet_b1"),
    ("seresnet50", "se_resnet50"), ("resnet50.a1_in1k", "resnet50"),
    ("tf_mobilenetv3_small_minimal_100", "mobilenet_v3_small_minimalistic"),
    ("mnasnet1_0", "mnasnet_b1"),
    ("MobileNetV2", "mobilenet_v2"), ("EfficientNetB0", "efficientnet_b0"),
    ("MobileNetV3Small", "mobilenet_v3_small"),
    ("MobileNetV3Large(minimalistic=True)", "mobilenet_v3_large_minimalistic"),
    ("efficientnet-b0", "efficientnet_b0"), ("RESNET-50", "resnet50"),
    ("mobilnet_v2", "mobilenet_v2"),
]
# fmt: on


@pytest.mark.parametrize(("given", "ours"), NETWORKS)
def test_a_network_is_found_by_its_name_elsewhere(given, ours):
    assert closest(given, ARCHITECTURES) == ours


def test_a_name_with_more_behind_it_is_no_other_one():
    assert close("mobilenetv2_100", ARCHITECTURES) == ["mobilenet_v2"]


def test_a_part_of_a_name_is_met_with_all_that_begin_so_at_most_five():
    assert close("moga", ARCHITECTURES) == ["moga_a", "moga_b", "moga_c"]
    assert close("efficientnet", ARCHITECTURES) == [
        f"efficientnet_b{i}" for i in range(5)
    ]
    assert close("multiplier", ["depth_multiplier", "seed"]) == ["depth_multiplier"]


def test_what_is_like_no_name_is_met_with_none():
    for given in ("transformer", "b", ""):
        assert close(given, ARCHITECTURES) == []


def test_a_long_list_is_not_told_but_where_it_is():
    names = [f"class {i}" for i in range(21)]
    assert str(unknown("class", "dog", names, "mobilenets classes")) == (
        "Unknown class 'dog'. `mobilenets classes` prints all 21."
    )
    assert str(unknown("class", "dog", names)) == (
        "Unknown class 'dog'. There are 21, such as class 0, class 1, class 10, "
        "class 11, class 12."
    )
    assert str(unknown("class", "dog", names[:2])).endswith(
        "Choose from: class 0, class 1."
    )


def test_of_no_names_it_is_said_that_there_are_none():
    assert str(unknown("split", "val", [])) == "Unknown split 'val'. There are none."
