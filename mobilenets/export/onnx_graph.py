"""A graph of ONNX as it is built: maps, and the nodes that compute them.

Maps are [N, C, H, W]. Height and width are known, the batch need not be.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mobilenets.networks.segmenter import Resizing
from mobilenets.networks.spec import Activation, Gate, Padding
from mobilenets.nn.depthwise import explicit_padding


@dataclasses.dataclass(frozen=True)
class Map:
    """A value of the graph, [N, channels, *size]."""

    name: str
    channels: int
    size: tuple[int, int]  # height and width


class Graph:
    """Nodes and constants, in the order in which they were added."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, operator: str, inputs: Sequence[str], name: str, **values) -> str:
        """Adds a node; the name of its only output, which is the node's own."""
        return self.node_of_several(operator, inputs, [name], **values)[0]

    def node_of_several(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **values
    ) -> list[str]:
        """Adds a node that is named for the first of its outputs; their names."""
        name = outputs[0]
        self.nodes.append(
            helper.make_node(operator, inputs, outputs, name=name, **values)
        )
        return [*outputs]

    def constant(self, name: str, value: Any) -> str:
        """Adds an array, once for each name; its name."""
        if name not in self.constants:
            array = np.array(value, order="C")  # which keeps a number a scalar
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def conv(
        self,
        x: Map,
        name: str,
        kernel: np.ndarray,
        bias: np.ndarray,
        padding: Padding,
        stride: int = 1,
        dilation: int = 1,
    ) -> Map:
        """A convolution with bias.

        Args:
          x: what is convolved.
          name: of the node.
          kernel: [k, k, inputs, outputs], inputs being x's channels, or 1 for one
            filter a channel.
          bias: [outputs].
          padding: see `explicit_padding`.
          stride: of height and width.
          dilation: pixels from one tap to the next.
        """
        k, _, inputs, outputs = kernel.shape
        pads = explicit_padding(x.size, k, stride, padding, dilation)
        weights = [
            self.constant(f"{name}/kernel", kernel.transpose(3, 2, 0, 1)),
            self.constant(f"{name}/bias", bias),
        ]
        self.node(
            "Conv",
            [x.name, *weights],
            name,
            kernel_shape=[k, k],
            pads=_flat(pads),
            strides=[stride, stride],
            dilations=[dilation, dilation],
            group=x.channels // inputs,
        )
        reach = dilation * (k - 1) + 1
        return Map(name, outputs, _after(x.size, pads, reach, stride))

    def max_pool(self, x: Map, name: str, padding: Padding) -> Map:
        """The largest of 3x3 pixels at stride 2."""
        pads = explicit_padding(x.size, 3, 2, padding)
        self.node(
            "MaxPool",
            [x.name],
            name,
            kernel_shape=[3, 3],
            pads=_flat(pads),
            strides=[2, 2],
        )
        return Map(name, x.channels, _after(x.size, pads, 3, 2))

    def act(self, x: Map, act: Activation | Gate | None) -> Map:
        """An activation, which is named for what it follows."""
        if act is None:
            return x
        name = f"{x.name}/{act}"
        if act == "relu6":
            ends = [
                self.constant("zero", np.float32(0)),
                self.constant("six", np.float32(6)),
            ]
            self.node("Clip", [x.name, *ends], name)
        elif act == "swish":
            gate = self.node("Sigmoid", [x.name], f"{x.name}/sigmoid")
            self.node("Mul", [x.name, gate], name)
        elif act == "hard_sigmoid":
            self.node("HardSigmoid", [x.name], name, alpha=1 / 6, beta=0.5)
        else:
            operators = {"relu": "Relu", "hard_swish": "HardSwish"}
            self.node(operators.get(act, "Sigmoid"), [x.name], name)
        return dataclasses.replace(x, name=name)

    def mean(self, x: Map, name: str) -> Map:
        """Over height and width, which become 1."""
        self.node("GlobalAveragePool", [x.name], name)
        return Map(name, x.channels, (1, 1))

    def resize(
        self, x: Map, name: str, size: tuple[int, int], resizing: Resizing
    ) -> Map:
        """Bilinear interpolation, see `segmentation.resizing`; none to its own size."""
        if x.size == size:
            return x
        # Not the sizes themselves: those would be of the batch, too, which is any.
        factors = [_factor(*pair) for pair in zip(x.size, size, strict=True)]
        scales = np.array([1, 1, *factors], np.float32)
        self.node(
            "Resize",
            [x.name, "", self.constant(f"{name}/scales", scales)],
            name,
            mode="linear",
            coordinate_transformation_mode=resizing,
        )
        return Map(name, x.channels, size)

    def pad(self, x: Map, name: str, size: tuple[int, int]) -> Map:
        """With zeros at the bottom and on the right; nothing where it has the size."""
        if x.size == size:
            return x
        ends = [new - old for old, new in zip(x.size, size, strict=True)]
        pads = np.array([0, 0, 0, 0, 0, 0, *ends], np.int64)
        self.node("Pad", [x.name, self.constant(f"{name}/pads", pads)], name)
        return Map(name, x.channels, size)

    def cut(self, x: Map, name: str, size: tuple[int, int]) -> Map:
        """The upper left part; nothing where it is all."""
        if x.size == size:
            return x
        bounds = {"starts": [0, 0], "ends": [*size], "axes": [2, 3]}
        constants = [
            self.constant(f"{name}/{key}", np.array(values, np.int64))
            for key, values in bounds.items()
        ]
        self.node("Slice", [x.name, *constants], name)
        return Map(name, x.channels, size)

    def dense(self, x: str, name: str, kernel: np.ndarray, bias: np.ndarray) -> str:
        """[N, inputs] -> [N, outputs]; the kernel is [inputs, outputs]."""
        weights = [
            self.constant(f"{name}/kernel", kernel),
            self.constant(f"{name}/bias", bias),
        ]
        return self.node("Gemm", [x, *weights], name)


def _factor(size: int, out: int) -> np.float32:
    """The least number by which a size becomes another when the rest is cut."""
    factor = np.float32(out / size)
    if float(factor) * size < out:
        factor = np.nextafter(factor, np.float32(np.inf))
    return factor


def _flat(pads: Sequence[tuple[int, int]]) -> list[int]:
    """Top, left, bottom, right, as ONNX has them."""
    (top, bottom), (left, right) = pads
    return [top, left, bottom, right]


def _after(
    size: tuple[int, int], pads: Sequence[tuple[int, int]], reach: int, stride: int
) -> tuple[int, int]:
    height, width = (
        (n + sum(pad) - reach) // stride + 1 for n, pad in zip(size, pads, strict=True)
    )
    return height, width
