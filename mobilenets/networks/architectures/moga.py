"""MoGA, Chu et al. 2019, arXiv:1908.01314: found by a search for mobile GPUs."""

from typing import Literal

from mobilenets.networks.spec import (
    Activation,
    BackboneSpec,
    BlockSpec,
    ClassifierSpec,
    SqueezeExciteSpec,
    inverted_residual,
)

RE: Activation = "relu"
HS: Activation = "hard_swish"

# The layers that the search leaves alone: output channels, stride and activation.
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
    first = BlockSpec("inverted_residual", 16, 16, 16, 3, 1, RE)  # not residual
    blocks = [first]
    for (out, s, nl), (e, k, has_se) in zip(LAYERS, CHOICES[variant], strict=True):
        in_channels = blocks[-1].out_channels
        expanded = e * in_channels
        squeeze = SqueezeExciteSpec(expanded // 4, act=nl, gate="hard_sigmoid")
        blocks.append(
            inverted_residual(
                in_channels, expanded, out, k, s, nl, squeeze if has_se else None
            )
        )
    backbone = BackboneSpec(
        name=f"moga_{variant}",
        resolution=resolution,
        stem_channels=16,
        act=HS,
        blocks=tuple(blocks),
        head_conv_channels=960,
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        initialization="moga",
        padding="symmetric",
    )
    return ClassifierSpec(
        backbone, head_dense_channels=1280, head_dense_bias=False, dropout_rate=0.2
    )
