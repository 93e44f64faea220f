"""Exact parameters and multiply-adds (MAdds) of a `NetSpec`. No JAX.

MAdds are counted as the papers count them: one for each product of a weight and an
activation in convolutions and dense layers, padded taps included; biases, batch norm,
activations and pooling count nothing. FLOPs, where a paper means them, are twice that.
"""

import dataclasses

from mobilenets.spec import BlockSpec, NetSpec


@dataclasses.dataclass(frozen=True)
class Layer:
    """One convolution or dense layer, with the batch norm behind it if there is one."""

    name: str  # the path of its module in `ConvNet`, "block3/depthwise"
    output_size: int  # height and width of its output in pixels
    params: int  # trainable: weights, bias, batch norm's scale and shift
    madds: int  # for one image


def layers(spec: NetSpec, num_classes: int = 1000) -> list[Layer]:
    """Every layer of the network that has parameters, in the order of execution.

    Args:
      spec: the network.
      num_classes: width of the logits; 0 leaves them out.
    """
    size = -(-spec.resolution // spec.stem_stride)
    result = [_conv("stem", size, 3, 3, spec.stem_channels)]
    for i, block in enumerate(spec.blocks):
        result += _block_layers(f"block{i}", size, block)
        size = result[-1].output_size
    if spec.head_conv_channels:
        channels = spec.blocks[-1].out_channels
        result.append(_conv("head_conv", size, 1, channels, spec.head_conv_channels))
    if num_classes:
        madds = spec.feature_channels * num_classes
        result.append(Layer("logits", 1, madds + num_classes, madds))
    return result


def params(spec: NetSpec, num_classes: int = 1000) -> int:
    """Trainable parameters; the running statistics of batch norm are not."""
    return sum(layer.params for layer in layers(spec, num_classes))


def madds(spec: NetSpec, num_classes: int = 1000) -> int:
    """Multiply-adds for one image of `spec.resolution` squared."""
    return sum(layer.madds for layer in layers(spec, num_classes))


def _block_layers(name: str, size: int, block: BlockSpec) -> list[Layer]:
    """The layers of one block whose input has `size` pixels a side."""
    expanded = block.expanded_channels
    result = []
    if block.has_expansion:
        result.append(_conv(f"{name}/expand", size, 1, block.in_channels, expanded))
    size = -(-size // block.stride)
    result.append(_conv(f"{name}/depthwise", size, block.kernel_size, 1, expanded))
    result.append(_conv(f"{name}/project", size, 1, expanded, block.out_channels))
    return result


def _conv(
    name: str, output_size: int, kernel_size: int, inputs_a_filter: int, filters: int
) -> Layer:
    """A convolution without bias and its batch norm."""
    weights = kernel_size**2 * inputs_a_filter * filters
    return Layer(name, output_size, weights + 2 * filters, weights * output_size**2)
