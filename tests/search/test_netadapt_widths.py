"""What NetAdapt may narrow, and what it proposes."""

import dataclasses
import itertools

import pytest

from mobilenets import UserError, get_spec
from mobilenets.networks import complexity
from mobilenets.search import netadapt_widths
from mobilenets.search.netadapt_widths import narrower, proposals, widths, with_width
from tests.search.small_v3 import SPEC

LARGE = get_spec("mobilenet_v3_large")


def test_the_widths_of_v3_large_are_those_of_its_table():
    """Table 1: exp and out; blocks of as many channels and stride 1 are joined.

    The first block has no expansion and adds to the stem, so neither is narrowed.
    """
    # fmt: off
    assert widths(LARGE) == {
        "block1/expand": 64, "block1/project": 24, "block2/expand": 72,
        "block3/expand": 72, "block3/project": 40, "block4/expand": 120,
        "block5/expand": 120,
        "block6/expand": 240, "block6/project": 80, "block7/expand": 200,
        "block8/expand": 184, "block9/expand": 184,
        "block10/expand": 480, "block10/project": 112, "block11/expand": 672,
        "block12/expand": 672, "block12/project": 160, "block13/expand": 960,
        "block14/expand": 960,
    }
    # fmt: on


def test_an_expansion_is_narrowed_in_its_block_alone():
    narrowed = with_width(LARGE, "block14/expand", 952)
    last = narrowed.backbone.blocks[14]
    assert narrowed.backbone.blocks[:14] == LARGE.backbone.blocks[:14]
    # At 7 x 7 pixels 8 channels are read from 160, filtered by 5 x 5, and read to 160;
    # 952 / 4 = 238, which is 240 as before, so its two layers lose 8 x 240 each.
    lost = 8 * 49 * (160 + 25 + 160) + 2 * 8 * 240
    assert complexity.madds(LARGE) - complexity.madds(narrowed) == lost
    assert (last.expanded_channels, last.se.channels) == (952, 240)


def test_a_bottleneck_is_narrowed_in_all_blocks_that_share_it():
    narrowed = with_width(LARGE, "block3/project", 32)
    changed = [
        (i, block.in_channels, block.out_channels)
        for i, block in enumerate(narrowed.backbone.blocks)
        if block != LARGE.backbone.blocks[i]
    ]
    assert changed == [(3, 24, 32), (4, 32, 32), (5, 32, 32), (6, 32, 80)]
    assert [b.residual for b in narrowed.backbone.blocks] == [
        b.residual for b in LARGE.backbone.blocks
    ]
    assert widths(narrowed) == {**widths(LARGE), "block3/project": 32}


@pytest.mark.parametrize(
    ("network", "width", "channels", "squeezed"),
    [
        ("mobilenet_v3_large", "block4/expand", 104, 24),  # 26, rounded to 8
        ("moga_a", "block4/expand", 232, 58),  # a quarter, not rounded
        ("efficientnet_b0", "block4/expand", 136, 10),  # of the block's input
    ],
)
def test_squeeze_and_excitation_follows_by_the_rule_of_the_network(
    network, width, channels, squeezed
):
    narrowed = with_width(get_spec(network), width, channels)
    block = narrowed.backbone.blocks[4]
    assert (block.expanded_channels, block.se.channels) == (channels, squeezed)


def test_narrower_widths_are_multiples_of_8_that_keep_the_layers():
    # The input of block 1 has 8 channels: with 8 it would lose its expansion.
    assert [c for c, _ in narrower(SPEC, "block1/expand")] == [16]
    assert [c for c, _ in narrower(SPEC, "block2/expand")] == [32, 24, 8]
    assert [c for c, _ in narrower(SPEC, "block1/project")] == [8]
    uneven = with_width(SPEC, "block2/expand", 36)
    assert [c for c, _ in narrower(uneven, "block2/expand")] == [32, 24, 8]


def test_a_proposal_is_the_widest_that_saves_enough():
    """With the channels of all widths as the cost; 8 channels cost 8."""

    def cost(network):
        return float(sum(widths(network).values()))

    def found(reduction):
        made = proposals(SPEC, cost, reduction)
        assert all(p.cost == cost(p.network) <= cost(SPEC) - reduction for p in made)
        return {p.width: (p.before, p.channels) for p in made}

    assert found(8.0) == {
        "block1/expand": (24, 16),
        "block1/project": (16, 8),
        "block2/expand": (40, 32),
    }
    assert found(17.0) == {"block2/expand": (40, 8)}  # 16 is its input's width
    assert found(33.0) == {}


def test_a_narrowed_network_is_one_of_ours():
    """Every width narrowed to the least: it fits together, and its layers are few."""
    network = SPEC
    for width in widths(SPEC):
        network = list(narrower(network, width))[-1][1]
    for a, b in itertools.pairwise(network.backbone.blocks):
        assert a.out_channels == b.in_channels
    assert len(network.layers(10)) == len(SPEC.layers(10))
    assert min(widths(network).values()) == 8


@pytest.mark.parametrize("name", ["mobilenet_v1", "resnet50"])
def test_a_network_without_expansions_is_refused(name):
    with pytest.raises(UserError, match="has no expansions: NetAdapt narrows"):
        netadapt_widths.check(get_spec(name))


def test_a_backbone_is_refused():
    with pytest.raises(UserError, match="The weights are a backbone, but"):
        netadapt_widths.check(dataclasses.replace(LARGE.backbone))
