"""MoGA, Chu et al. 2019, arXiv:1908.01314: found by a search for mobile GPUs."""

from collections.abc import Sequence
from typing import Any, Literal

from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.spec import (
    Activation,
    BackboneSpec,
    BlockSpec,
    ChoiceSpec,
    ClassifierSpec,
    SqueezeExciteSpec,
    inverted_residual,
    make_divisible,
)

RE: Activation = "relu"
HS: Activation = "hard_swish"

STEM = 16  # channels of the stem and of the first block

# What the search leaves alone of its 14 layers: output channels, stride and activation.
# fmt: off
LAYERS: tuple[tuple[int, int, Activation], ...] = (
    # out, s, NL      input
    (  24, 2, RE),  # 112 x 112 x 16
    (  24, 1, RE),  #  56 x 56 x 24
    (  40, 2, RE),  #  56 x 56 x 24
    (  40, 1, RE),  #  28 x 28 x 40
    (  40, 1, RE),  #  28 x 28 x 40
    (  80, 2, HS),  #  28 x 28 x 40
    (  80, 1, HS),  #  14 x 14 x 80
    (  80, 1, HS),  #  14 x 14 x 80
    (  80, 1, HS),  #  14 x 14 x 80
    ( 112, 1, HS),  #  14 x 14 x 80
    ( 112, 1, HS),  #  14 x 14 x 112
    ( 160, 2, HS),  #  14 x 14 x 112
    ( 160, 1, HS),  #   7 x 7 x 160
    ( 160, 1, HS),  #   7 x 7 x 160
)

# What each of them may be. That every layer has all of these is inferred from the
# twelve choices that the authors speak of, and from the values in their three networks.
# The order is ours.
OPTIONS = tuple((e, k, se) for e in (3, 6) for k in (3, 5, 7) for se in (0, 1))

# What it chose for each: E: expansion, k: kernel, S: squeeze-and-excitation. From the
# authors' models/MoGA_{A,B,C}.py.
CHOICES = {
    "a": (
        # E, k, S
        (6, 5, 0), (6, 7, 0),
        (6, 3, 0), (6, 3, 1), (3, 3, 1),
        (6, 3, 1), (6, 3, 0), (6, 7, 0), (3, 7, 1),
        (6, 7, 0), (6, 3, 0),
        (6, 3, 0), (6, 5, 1), (6, 5, 1),
    ),
    # The paper's Figure 8 has the squeeze-and-excitation of A's sixth layer in its
    # third; the numbers of the paper's Table 3 do not tell the two apart.
    "a_figure": (
        (6, 5, 0), (6, 7, 0),
        (6, 3, 1), (6, 3, 1), (3, 3, 1),
        (6, 3, 0), (6, 3, 0), (6, 7, 0), (3, 7, 1),
        (6, 7, 0), (6, 3, 0),
        (6, 3, 0), (6, 5, 1), (6, 5, 1),
    ),
    "b": (
        (3, 3, 0), (3, 3, 0),
        (6, 7, 0), (3, 3, 0), (6, 5, 0),
        (6, 3, 1), (6, 5, 1), (3, 3, 0), (6, 7, 1),
        (6, 7, 0), (3, 5, 0),
        (6, 7, 1), (6, 7, 1), (6, 3, 1),
    ),
    "c": (
        (3, 5, 0), (3, 3, 0),
        (3, 5, 0), (3, 3, 0), (3, 5, 0),
        (3, 5, 0), (6, 5, 1), (3, 5, 0), (3, 5, 0),
        (6, 3, 0), (6, 3, 1),
        (6, 3, 1), (6, 3, 1), (6, 3, 1),
    ),
}
# fmt: on


def moga_a(
    resolution: int = 224, layout: Literal["code", "figure"] = "code"
) -> ClassifierSpec:
    """MoGA-A.

    Args:
      resolution: input height and width in pixels.
      layout: of the released code, or of the paper's Figure 8, which differs.
    """
    return moga("a" if layout == "code" else "a_figure", resolution)


def moga(
    variant: Literal["a", "a_figure", "b", "c"], resolution: int = 224
) -> ClassifierSpec:
    """MoGA-A, -B or -C.

    Args:
      variant: which of them, a key of `CHOICES`.
      resolution: input height and width in pixels.

    As in the authors' PyTorch code: padding, batch norm, an unrounded quarter of the
    expansion as the squeezed width, a first block without its residual, and a dense
    layer without bias before the logits.
    """
    blocks = []
    before = STEM
    for (out, s, nl), (e, k, has_se) in zip(LAYERS, CHOICES[variant], strict=True):
        blocks.append(_block(before, out, s, nl, e, k, has_se))
        before = out
    return ClassifierSpec(
        _backbone(f"moga_{variant}", resolution, blocks), **_head(1.0)
    )


def moga_space(
    resolution: int = 224,
    width_multiplier: float = 1.0,
    open_layers: Literal["all", "residual"] = "all",
) -> SearchSpace:
    """The space that MoGA searches: 14 layers with 12 choices each.

    Args:
      resolution: input height and width in pixels.
      width_multiplier: scales the channels of all layers, rounded by `make_divisible`.
        Ours, for small machines: the paper has none.
      open_layers: which are open; "residual" leaves those that change the size or the
        channels of the map as they are in MoGA-A. Ours, for supernets that are trained
        for minutes.
    """

    def scaled(channels: int) -> int:
        if width_multiplier == 1:
            return channels
        return make_divisible(channels * width_multiplier)

    blocks = []
    before = scaled(STEM)
    for (out, s, nl), of_moga_a in zip(LAYERS, CHOICES["a"], strict=True):
        fixed = _block(before, scaled(out), s, nl, *of_moga_a)
        if open_layers == "residual" and not fixed.residual:
            blocks.append(fixed)
        else:
            choices = [_block(before, scaled(out), s, nl, *way) for way in OPTIONS]
            blocks.append(ChoiceSpec(tuple(choices)))
        before = scaled(out)
    name = "moga" if open_layers == "all" else "moga_residual"
    backbone = _backbone(name, resolution, blocks, scaled(STEM), scaled(960))
    return SearchSpace(backbone, **_head(width_multiplier))


def _block(
    in_channels: int, out: int, s: int, nl: Activation, e: int, k: int, has_se: int
) -> BlockSpec:
    """A layer of the tables: E, k and S of it are chosen."""
    expanded = e * in_channels
    squeeze = SqueezeExciteSpec(expanded // 4, act=nl, gate="hard_sigmoid")
    return inverted_residual(
        in_channels, expanded, out, k, s, nl, squeeze if has_se else None
    )


def _backbone(
    name: str,
    resolution: int,
    blocks: Sequence[BlockSpec | ChoiceSpec],
    stem: int = STEM,
    last: int = 960,
) -> BackboneSpec:
    """The layers that all networks of the space share, around the blocks."""
    first = BlockSpec("inverted_residual", stem, stem, stem, 3, 1, RE)  # not residual
    return BackboneSpec(
        name=name,
        resolution=resolution,
        stem_channels=stem,
        act=HS,
        blocks=(first, *blocks),
        head_conv_channels=last,
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        initialization="moga",
        padding="symmetric",
    )


def _head(width_multiplier: float) -> dict[str, Any]:
    """Of a classifier; a narrow network has a narrow dense layer."""
    width = 1280 if width_multiplier == 1 else make_divisible(1280 * width_multiplier)
    return {
        "head_dense_channels": width,
        "head_dense_bias": False,
        "dropout_rate": 0.2,
    }
