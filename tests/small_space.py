"""A search space so small that its supernet compiles in seconds."""

from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.spec import (
    BackboneSpec,
    BlockSpec,
    ChoiceSpec,
    SqueezeExciteSpec,
    inverted_residual,
    with_backbone,
)

CLASSES = 10


def choices(in_channels, out_channels, stride, act):
    """A small one, one with a large kernel, one with squeeze-and-excitation."""
    wide = 3 * in_channels
    se = SqueezeExciteSpec(wide // 4, act, "hard_sigmoid")
    options = ((2 * in_channels, 3, None), (wide, 5, None), (wide, 3, se))
    return ChoiceSpec(
        tuple(
            inverted_residual(in_channels, width, out_channels, kernel, stride, act, se)
            for width, kernel, se in options
        )
    )


SPACE = SearchSpace(
    BackboneSpec(
        name="small",
        resolution=16,
        stem_channels=8,
        act="hard_swish",
        blocks=(
            BlockSpec("inverted_residual", 8, 8, 8, 3, 1, "relu"),
            choices(8, 12, 2, "relu"),
            choices(12, 12, 1, "hard_swish"),
        ),
        bn_momentum=0.9,
        bn_epsilon=1e-3,
        initialization="moga",
        head_conv_channels=24,
    ),
    dropout_rate=0.0,
)


def space():
    return SPACE


def classifier():
    return SPACE.network((0, 0))


def uneven():
    """The first position has two choices, the second three."""
    blocks = list(SPACE.backbone.blocks)
    blocks[1] = ChoiceSpec(blocks[1].choices[:2])
    return with_backbone(SPACE, name="uneven", blocks=tuple(blocks))
