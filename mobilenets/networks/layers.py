"""What costs something in a network: its convolutions and dense layers, one by one.

A spec lists its layers, and so does each kind of block; `complexity` adds them up.
Multiply-adds (MAdds) are counted as the papers count them: one for each product of a
weight and an activation in convolutions and dense layers, padded taps included; biases,
batch norm, activations, pooling and gates count nothing.
"""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Layer:
    """One convolution or dense layer, with the batch norm behind it if there is one."""

    name: str  # the path of its module in the network, "block3/depthwise"
    operator: Literal["conv", "depthwise", "dense"]
    kernel_size: int
    stride: int
    output_size: int  # height and width of its output in pixels
    channels: int  # of its output
    params: int  # trainable: weights, bias, batch norm's scale and shift
    madds: int  # for one image

    @property
    def weights(self) -> int:
        """Multiply-adds for one pixel of its output."""
        return self.madds // self.output_size**2

    @property
    def activations(self) -> int:
        """Numbers in its output for one image."""
        return self.output_size**2 * self.channels


def conv(
    name: str,
    output_size: int,
    inputs: int,
    outputs: int,
    kernel_size: int = 1,
    stride: int = 1,
) -> Layer:
    """A convolution without bias and its batch norm.

    Args:
      name: the path of its module.
      output_size: height and width of its output in pixels.
      inputs: channels.
      outputs: channels.
      kernel_size: height and width of its filters.
      stride: of height and width.

    >>> conv("stem", 112, 3, 32, kernel_size=3, stride=2).params
    928
    """
    return _conv("conv", name, output_size, inputs, outputs, kernel_size, stride)


def depthwise(
    name: str, output_size: int, channels: int, kernel_size: int, stride: int = 1
) -> Layer:
    """A convolution with one filter a channel, without bias, and its batch norm.

    Args:
      name: the path of its module.
      output_size: height and width of its output in pixels.
      channels: of input and output.
      kernel_size: height and width of its filters.
      stride: of height and width.
    """
    return _conv("depthwise", name, output_size, 1, channels, kernel_size, stride)


def biased_conv(
    name: str, output_size: int, inputs: int, outputs: int, kernel_size: int = 1
) -> Layer:
    """A convolution with bias and without batch norm.

    Args:
      name: the path of its module.
      output_size: height and width of its output in pixels.
      inputs: channels.
      outputs: channels.
      kernel_size: height and width of its filters.
    """
    layer = conv(name, output_size, inputs, outputs, kernel_size)
    return dataclasses.replace(layer, params=layer.params - outputs)


def dense(name: str, inputs: int, outputs: int, bias: bool = True) -> Layer:
    """A dense layer on one vector an image.

    Args:
      name: the path of its module.
      inputs: numbers.
      outputs: numbers.
      bias: whether one is added.
    """
    weights = inputs * outputs
    params = weights + (outputs if bias else 0)
    return Layer(name, "dense", 1, 1, 1, outputs, params, weights)


def divided(size: int, stride: int) -> int:
    """Pixels of a map after a stride: divided, rounded up.

    >>> divided(75, 2)
    38
    """
    return -(-size // stride)


def _conv(operator, name, output_size, inputs_a_filter, filters, kernel_size, stride):
    weights = kernel_size**2 * inputs_a_filter * filters
    return Layer(
        name,
        operator,
        kernel_size,
        stride,
        output_size,
        filters,
        params=weights + 2 * filters,
        madds=weights * output_size**2,
    )
