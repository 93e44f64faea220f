"""Which widths NetAdapt narrows, and the networks that it proposes. No JAX.

NetAdapt, Yang et al. 2018, arXiv:1804.03230, as MobileNetV3 uses it, arXiv:1905.02244,
Sec. 4.2. There are two kinds of proposals. One narrows the expansion of a block, the
other a bottleneck: the output of a block and of all blocks that are joined to it by
residuals.

A width is called by the layer that makes it, "block4/expand" or "block4/project"; a
bottleneck by the first of its blocks.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from mobilenets.errors import UserError
from mobilenets.networks.spec import (
    BlockSpec,
    ClassifierSpec,
    SqueezeExciteSpec,
    make_divisible,
    with_backbone,
)

# NetAdapt's code has tables in steps of 8 channels, and MobileNetV3's widths are
# multiples of 8.
MULTIPLE = 8
STEM = "stem"

# How the width of squeeze-and-excitation follows from the expansion's: a quarter,
# rounded as in MobileNetV3 (Sec. 5.3), or not, as in MoGA.
_SQUEEZES: tuple[Callable[[int], int], ...] = (
    lambda expanded: make_divisible(expanded / 4),
    lambda expanded: expanded // 4,
)


@dataclasses.dataclass(frozen=True)
class BlockWidths:
    """What the widths of a block are called.

    Args:
      inputs: of its input.
      expanded: of the map on which its spatial filter works; that of its input, where
        there is no expansion.
      outputs: of its output; that of its input, where there is a residual.
    """

    inputs: str
    expanded: str
    outputs: str


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A narrower network.

    Args:
      width: what is narrowed, "block4/expand".
      before: channels until now.
      channels: what remains of them.
      network: the result.
      cost: of the network.
    """

    width: str
    before: int
    channels: int
    network: ClassifierSpec
    cost: float


def check(network: Any) -> None:
    """Raises UserError unless NetAdapt can narrow the network."""
    if not isinstance(network, ClassifierSpec):
        raise UserError(
            f"The weights are a {network.kind}, but NetAdapt narrows classifiers."
        )
    blocks = network.backbone.blocks
    inverted = [isinstance(b, BlockSpec) and b.has_expansion for b in blocks]
    if not any(inverted) or not all(isinstance(b, BlockSpec) for b in blocks):
        raise UserError(
            f"{network.name} has no expansions: NetAdapt narrows networks of inverted "
            "residuals, such as MobileNetV2, MobileNetV3, MnasNet, MoGA and "
            "EfficientNet."
        )


def blocks_of(network: ClassifierSpec) -> list[BlockSpec]:
    """The blocks of a network that `check` accepts."""
    blocks = [b for b in network.backbone.blocks if isinstance(b, BlockSpec)]
    assert len(blocks) == len(network.backbone.blocks)
    return blocks


def names(network: ClassifierSpec) -> list[BlockWidths]:
    """What the widths of each block are called."""
    result, before = [], STEM
    for i, block in enumerate(blocks_of(network)):
        expanded = f"block{i}/expand" if block.has_expansion else before
        after = before if block.residual else f"block{i}/project"
        result.append(BlockWidths(before, expanded, after))
        before = after
    return result


def widths(network: ClassifierSpec) -> dict[str, int]:
    """The channels of every width that may be narrowed, in the order of execution.

    The stem keeps its width, and so do the blocks that are joined to it by residuals:
    it is no bottleneck.
    """
    result: dict[str, int] = {}
    for name, block in zip(names(network), blocks_of(network), strict=True):
        result[name.expanded] = block.expanded_channels
        result[name.outputs] = block.out_channels
    result.pop(STEM, None)
    return result


def with_width(network: ClassifierSpec, width: str, channels: int) -> ClassifierSpec:
    """The network with other channels in one of its `widths`.

    Squeeze-and-excitation of a quarter of the expansion follows it, rounded as in the
    network; of another width, as in MnasNet and EfficientNet, it stays as it is.
    """
    squeeze = _squeeze(network)
    blocks = []
    for name, block in zip(names(network), blocks_of(network), strict=True):

        def of(its_name: str, its_channels: int) -> int:
            return channels if its_name == width else its_channels

        expanded = of(name.expanded, block.expanded_channels)
        blocks.append(
            dataclasses.replace(
                block,
                in_channels=of(name.inputs, block.in_channels),
                expanded_channels=expanded,
                out_channels=of(name.outputs, block.out_channels),
                se=squeeze(block.se, expanded) if block.se else None,
            )
        )
    return with_backbone(network, blocks=tuple(blocks))


def _squeeze(
    network: ClassifierSpec,
) -> Callable[[SqueezeExciteSpec, int], SqueezeExciteSpec]:
    """Squeeze-and-excitation of a block that has another expansion."""
    squeezed = [
        (b.expanded_channels, b.se.channels) for b in blocks_of(network) if b.se
    ]
    for rule in _SQUEEZES:
        if all(rule(expanded) == channels for expanded, channels in squeezed):
            return lambda se, expanded: dataclasses.replace(se, channels=rule(expanded))
    return lambda se, expanded: se


def narrower(
    network: ClassifierSpec, width: str
) -> Iterator[tuple[int, ClassifierSpec]]:
    """The networks with fewer channels in one width, the widest first.

    They are multiples of `MULTIPLE`. What would give a block an expansion that it does
    not have, or take it away, is left out: the layers stay the same.

    Yields:
      The channels and the network.
    """
    layers = [block.has_expansion for block in blocks_of(network)]
    most = (widths(network)[width] - 1) // MULTIPLE
    for channels in range(most * MULTIPLE, 0, -MULTIPLE):
        found = with_width(network, width, channels)
        if [block.has_expansion for block in blocks_of(found)] == layers:
            yield channels, found


def proposals(
    network: ClassifierSpec, cost: Callable[[ClassifierSpec], float], reduction: float
) -> list[Proposal]:
    """For each width the widest network that costs so much less, where there is one.

    Args:
      network: that of the step before.
      cost: of a network: milliseconds or MAdds.
      reduction: by which a proposal costs less, at least.
    """
    most = cost(network) - reduction
    found = []
    for width, before in widths(network).items():
        for channels, narrowed in narrower(network, width):
            its_cost = cost(narrowed)
            if its_cost <= most:
                found.append(Proposal(width, before, channels, narrowed, its_cost))
                break
    return found
