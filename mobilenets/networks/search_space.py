"""What a search may choose from, as plain data. No JAX.

A `SearchSpace` is a classifier in which some blocks are open (`ChoiceSpec`). Genes, the
number of a choice for each open block, make a `ClassifierSpec` of it. A file of the
user's own that returns a `SearchSpace` is a space like ours.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

from mobilenets.errors import UserError
from mobilenets.networks.layers import Layer, divided
from mobilenets.networks.spec import (
    BackboneSpec,
    ChoiceSpec,
    ClassifierSpec,
    FixedBlock,
    with_backbone,
)

Genes = tuple[int, ...]  # the choice at each position


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """A classifier with open blocks; the head is that of a `ClassifierSpec`.

    A position is one of the open blocks, counted from the input.
    """

    backbone: BackboneSpec  # some of its blocks are a `ChoiceSpec`
    dropout_rate: float
    head_dense_channels: int = 0
    head_dense_bias: bool = True
    kind: Literal["search_space"] = "search_space"  # of network, in files

    @property
    def name(self) -> str:
        """The name of the backbone."""
        return self.backbone.name

    @property
    def resolution(self) -> int:
        """Height and width of the input in pixels."""
        return self.backbone.resolution

    @property
    def feature_channels(self) -> int:
        """Width of the vector from which the logits are computed."""
        return self.supernet.feature_channels

    @property
    def supernet(self) -> ClassifierSpec:
        """The network that has all choices, as a classifier with open blocks."""
        return ClassifierSpec(
            self.backbone,
            self.dropout_rate,
            self.head_dense_channels,
            self.head_dense_bias,
        )

    @property
    def positions(self) -> tuple[int, ...]:
        """The numbers of the open blocks in the backbone."""
        blocks = self.backbone.blocks
        return tuple(i for i, b in enumerate(blocks) if isinstance(b, ChoiceSpec))

    @property
    def choices(self) -> tuple[tuple[FixedBlock, ...], ...]:
        """What the block at each position can be."""
        blocks = self.backbone.blocks
        return tuple(block.choices for block in blocks if isinstance(block, ChoiceSpec))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many choices each position has."""
        return tuple(map(len, self.choices))

    @property
    def size(self) -> int:
        """How many networks the space has."""
        return math.prod(self.counts)

    def layers(self, num_classes: int = 1000) -> list[Layer]:
        """Every layer of the supernet, with those of all choices.

        Args:
          num_classes: number of logits; 0 leaves them out.
        """
        return self.supernet.layers(num_classes)

    def network(self, genes: Sequence[int], name: str = "") -> ClassifierSpec:
        """The network of some genes.

        Args:
          genes: the choice at each position.
          name: of the network; by default the genes are in it, "moga-0-3-11".

        Raises:
          UserError: there is no such choice.
        """
        self.check_genes(genes)
        blocks = list(self.backbone.blocks)
        for position, choices, gene in zip(
            self.positions, self.choices, genes, strict=True
        ):
            blocks[position] = choices[gene]
        name = name or "-".join([self.name, *map(str, genes)])
        return with_backbone(self.supernet, name=name, blocks=tuple(blocks))

    def genes(self, network: ClassifierSpec) -> Genes:
        """The genes of a network; its name does not matter.

        Raises:
          UserError: it is no network of the space.
        """
        blocks = network.backbone.blocks
        genes = []
        for position, choices in zip(self.positions, self.choices, strict=True):
            block = blocks[position] if position < len(blocks) else None
            if block not in choices:
                raise UserError(
                    f"{network.name} is no network of the space {self.name}: its block"
                    f"{position} is none of the {len(choices)} choices."
                )
            genes.append(choices.index(block))
        if self.network(genes, name=network.name) != network:
            raise UserError(
                f"{network.name} is no network of the space {self.name}: it differs "
                "in what no search changes, such as the resolution or the head."
            )
        return tuple(genes)

    def check_genes(self, genes: Sequence[int]) -> None:
        """Raises UserError unless the genes are those of a network of the space."""
        if len(genes) != len(self.counts):
            raise UserError(
                f"The space {self.name} has {len(self.counts)} open blocks, but "
                f"{len(genes)} genes are given."
            )
        for position, gene, count in zip(
            self.positions, genes, self.counts, strict=True
        ):
            if not 0 <= gene < count:
                raise UserError(
                    f"The gene of block{position} is {gene}, but must be from 0 to "
                    f"{count - 1}."
                )

    def extremes(self, cost: Callable[[Layer], int]) -> tuple[Genes, Genes]:
        """The genes of the network that costs least, and of that which costs most.

        Costs are added up over the layers, so each position has its own extremes.

        Args:
          cost: of a layer, such as `lambda layer: layer.madds`.
        """
        sizes = block_sizes(self.backbone)
        least, most = [], []
        for position, choices in zip(self.positions, self.choices, strict=True):
            costs = [
                sum(map(cost, choice.layers("", sizes[position]))) for choice in choices
            ]
            least.append(costs.index(min(costs)))
            most.append(costs.index(max(costs)))
        return tuple(least), tuple(most)


def block_sizes(backbone: BackboneSpec) -> list[int]:
    """Height and width of the input of each block in pixels."""
    size = divided(backbone.resolution, backbone.stem_stride)
    if backbone.stem_max_pool:
        size = divided(size, 2)
    sizes = []
    for block in backbone.blocks:
        sizes.append(size)
        size = divided(size, block.stride)
    return sizes
