"""Exact parameters, multiply-adds (MAdds) and feature maps of a `NetSpec`. No JAX.

MAdds are counted as the papers count them: one for each product of a weight and an
activation in convolutions and dense layers, padded taps included; biases, batch norm,
activations, pooling and gates count nothing. FLOPs, where a paper means them, are twice
that.
"""

import dataclasses
from typing import Literal

from mobilenets.networks.spec import (
    BlockSpec,
    BottleneckSpec,
    NetSpec,
    SqueezeExciteSpec,
)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One convolution or dense layer, with the batch norm behind it if there is one."""

    name: str  # the path of its module in `ConvNet`, "block3/depthwise"
    operator: Literal["conv", "depthwise", "dense"]
    kernel_size: int
    stride: int
    output_size: int  # height and width of its output in pixels
    channels: int  # of its output
    params: int  # trainable: weights, bias, batch norm's scale and shift
    madds: int  # for one image

    @property
    def activations(self) -> int:
        """Numbers in its output for one image."""
        return self.output_size**2 * self.channels


def layers(spec: NetSpec, num_classes: int = 1000) -> list[Layer]:
    """Every layer of the network that has parameters, in the order of execution.

    Args:
      spec: the network.
      num_classes: width of the logits; 0 leaves them out.
    """
    size = _divide(spec.resolution, spec.stem_stride)
    result = [
        _conv(
            "stem", size, spec.stem_kernel_size, spec.stem_stride, 3, spec.stem_channels
        )
    ]
    if spec.stem_max_pool:
        size = _divide(size, 2)
    for i, block in enumerate(spec.blocks):
        if isinstance(block, BottleneckSpec):
            result += _bottleneck_layers(f"block{i}", size, block)
        else:
            result += _block_layers(f"block{i}", size, block)
        size = _divide(size, block.stride)
    channels = spec.blocks[-1].out_channels
    if spec.head_conv_channels:
        result.append(_conv("head_conv", size, 1, 1, channels, spec.head_conv_channels))
        channels = spec.head_conv_channels
    if spec.head_dense_channels:
        result.append(
            _dense(
                "head_dense", channels, spec.head_dense_channels, spec.head_dense_bias
            )
        )
    if num_classes:
        result.append(_dense("logits", spec.feature_channels, num_classes))
    return result


def params(spec: NetSpec, num_classes: int = 1000) -> int:
    """Trainable parameters; the running statistics of batch norm are not."""
    return sum(layer.params for layer in layers(spec, num_classes))


def madds(spec: NetSpec, num_classes: int = 1000) -> int:
    """Multiply-adds for one image of `spec.resolution` squared."""
    return sum(layer.madds for layer in layers(spec, num_classes))


def _divide(size: int, stride: int) -> int:
    return -(-size // stride)


def _block_layers(name: str, size: int, block: BlockSpec) -> list[Layer]:
    """The layers of one block whose input has `size` pixels a side."""
    expanded, k, stride = block.expanded_channels, block.kernel_size, block.stride
    result = []
    if block.has_expansion:
        result.append(_conv(f"{name}/expand", size, 1, 1, block.in_channels, expanded))
    size = _divide(size, stride)
    result.append(_conv(f"{name}/depthwise", size, k, stride, 1, expanded))
    project = _conv(f"{name}/project", size, 1, 1, expanded, block.out_channels)
    if block.op == "depthwise_separable":
        return [*result, project, *_se_layers(name, block.out_channels, block.se)]
    return [*result, *_se_layers(name, expanded, block.se), project]


def _bottleneck_layers(name: str, size: int, block: BottleneckSpec) -> list[Layer]:
    """The layers of one bottleneck whose input has `size` pixels a side."""
    inner, out, stride = block.inner_channels, block.out_channels, block.stride
    strides = (stride, 1) if block.stride_in == "1x1" else (1, stride)
    output_size = _divide(size, stride)
    reduced_size = _divide(size, strides[0])
    result = [
        _conv(f"{name}/reduce", reduced_size, 1, strides[0], block.in_channels, inner),
        _conv(f"{name}/spatial", output_size, 3, strides[1], inner, inner),
        _conv(f"{name}/restore", output_size, 1, 1, inner, out),
        *_se_layers(name, out, block.se),
    ]
    if block.projection:
        result.append(
            _conv(f"{name}/shortcut", output_size, 1, stride, block.in_channels, out)
        )
    return result


def _se_layers(name: str, channels: int, se: SqueezeExciteSpec | None) -> list[Layer]:
    if se is None:
        return []
    return [
        _dense(f"{name}/se/reduce", channels, se.channels),
        _dense(f"{name}/se/expand", se.channels, channels),
    ]


def _conv(
    name: str,
    output_size: int,
    kernel_size: int,
    stride: int,
    inputs_a_filter: int,
    filters: int,
) -> Layer:
    """A convolution without bias and its batch norm."""
    weights = kernel_size**2 * inputs_a_filter * filters
    return Layer(
        name,
        "depthwise" if name.endswith("/depthwise") else "conv",
        kernel_size,
        stride,
        output_size,
        filters,
        params=weights + 2 * filters,
        madds=weights * output_size**2,
    )


def _dense(name: str, inputs: int, outputs: int, bias: bool = True) -> Layer:
    weights = inputs * outputs
    return Layer(
        name, "dense", 1, 1, 1, outputs, weights + (outputs if bias else 0), weights
    )
