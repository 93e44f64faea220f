"""From the spec of a network and its weights to a graph of ONNX.

This reads the spec as the modules of `nn` do, and the parameters by the same paths. All
maps are [N, C, H, W]; only the outputs of detectors are transposed here.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mobilenets.errors import UserError
from mobilenets.export.onnx_graph import Graph, Map
from mobilenets.networks.detector import DetectorSpec, outputs_of_anchor
from mobilenets.networks.segmenter import ASPPSpec, LRASPPSpec, SegmenterSpec
from mobilenets.networks.spec import (
    Activation,
    BackboneSpec,
    BasicSpec,
    BlockSpec,
    BottleneckSpec,
    ClassifierSpec,
    Padding,
    SqueezeExciteSpec,
)
from mobilenets.nn.build import Network
from mobilenets.nn.detector import RawDetections

Params = Mapping[str, Any]  # of a module, by the names of its own


@dataclasses.dataclass(frozen=True)
class _Network:
    """A graph, and what all layers of a network share."""

    graph: Graph
    params: Params  # folded
    padding: Padding

    def conv(
        self,
        x: Map,
        name: str,
        stride: int = 1,
        dilation: int = 1,
        act: Activation | None = None,
        padding: Padding | None = None,
    ) -> Map:
        """A convolution by the path of its module, and its activation."""
        kernel, bias = _weights(self.params, name)
        y = self.graph.conv(
            x, name, kernel, bias, padding or self.padding, stride, dilation
        )
        return self.graph.act(y, act)

    def squeeze_excite(self, x: Map, name: str, spec: SqueezeExciteSpec) -> Map:
        """Its dense layers are convolutions of one pixel: nothing is reshaped."""
        graph = self.graph
        means = graph.mean(x, f"{name}/mean")
        squeezed = self.conv(means, f"{name}/reduce", act=spec.act)
        gates = graph.act(self.conv(squeezed, f"{name}/expand"), spec.gate)
        graph.node("Mul", [x.name, gates.name], name)
        return dataclasses.replace(x, name=name)

    def add(self, a: Map, b: Map, name: str) -> Map:
        """The sum of two maps."""
        self.graph.node("Add", [a.name, b.name], name)
        return dataclasses.replace(a, name=name)


def add_network(
    graph: Graph, network: Network, params: Params, num_classes: int, image: str
) -> list[str]:
    """Adds a network to a graph.

    Args:
      graph: in which the image is.
      network: its spec.
      params: of its module, folded.
      num_classes: its outputs; 0 for a backbone.
      image: the name of the input, [N, 3, resolution, resolution].

    Returns:
      The names of the outputs, in the order of `signature.output_names`. The first of
      a backbone and of a segmenter is a map, which is the output in some layout.

    Raises:
      UserError: the network has a kind of block that is not known here.
    """
    size = (network.resolution, network.resolution)
    images = Map(image, 3, size)
    if isinstance(network, BackboneSpec):
        net = _Network(graph, params, network.padding)
        return [_backbone(net, network, images)["features"].name]
    net = _Network(graph, params, network.backbone.padding)
    if isinstance(network, DetectorSpec):
        return _detector(net, network, images, num_classes)
    if isinstance(network, SegmenterSpec):
        return _segmenter(net, network, images)
    assert isinstance(network, ClassifierSpec), "see `signature.check`"
    return _classifier(net, network, images)


def _weights(params: Params, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel, [k, k, inputs, outputs], and bias of a layer by its module's path."""
    layer = functools.reduce(lambda values, name: values[name], path.split("/"), params)
    if "conv" in layer:
        return layer["conv"]["kernel"], layer["bn"]["bias"]
    kernel = np.asarray(layer["kernel"])
    bias = layer.get("bias", np.zeros(kernel.shape[-1], kernel.dtype))
    return (kernel if kernel.ndim == 4 else kernel[None, None]), np.asarray(bias)


def _backbone(net: _Network, spec: BackboneSpec, images: Map) -> dict[str, Map]:
    """The maps of `nn.backbone.Backbone` by name."""
    x = net.conv(images, "stem", spec.stem_stride, act=spec.act)
    maps = {"stem": x}
    if spec.stem_max_pool:
        padding = "same" if spec.stem_max_pool == "same" else spec.padding
        x = net.graph.max_pool(x, "stem/max_pool", padding)
    for i, block in enumerate(spec.blocks):
        name = f"block{i}"
        x, inner = _block_of(block)(net, block, name, x)
        maps |= {f"{name}/{key}": y for key, y in inner.items()}
        maps[name] = x
    if spec.head_conv_channels:
        x = maps["head_conv"] = net.conv(x, "head_conv", act=spec.act)
    return {**maps, "features": x}


def _classifier(net: _Network, spec: ClassifierSpec, images: Map) -> list[str]:
    graph, features = net.graph, _backbone(net, spec.backbone, images)["features"]
    x = graph.mean(features, "mean")
    if spec.head_dense_channels:
        x = net.conv(x, "head_dense", act=spec.backbone.act)
    vector = graph.node("Flatten", [x.name], "features")
    kernel, bias = _weights(net.params, "logits")
    return [graph.dense(vector, "logits", kernel[0, 0], bias), vector]


def _detector(
    net: _Network, spec: DetectorSpec, images: Map, num_classes: int
) -> list[str]:
    found = _backbone(net, spec.backbone, images)
    maps = [found[name] for name in spec.features]
    for i, extra in enumerate(spec.extras):
        name = f"extra{i}"
        x = net.conv(maps[-1], f"{name}/reduce", act=spec.act)
        if extra.separable:
            x = net.conv(x, f"{name}/depthwise", 2, act=spec.act)
            x = net.conv(x, f"{name}/project", act=spec.act)
        else:
            x = net.conv(x, f"{name}/spatial", 2, act=spec.act)
        maps.append(x)
    kinds = zip(
        RawDetections._fields, outputs_of_anchor(num_classes).items(), strict=True
    )
    raw = [_predictions(net, spec, maps, *kind, output) for output, kind in kinds]
    return [*raw, _features(net, found[spec.feature_map])]


def _features(net: _Network, x: Map) -> str:
    """The means of a map."""
    mean = net.graph.mean(x, "features/mean")
    return net.graph.node("Flatten", [mean.name], "features")


def _predictions(
    net: _Network,
    spec: DetectorSpec,
    maps: list[Map],
    kind: str,
    numbers: int,
    output: str,
) -> str:
    """What the predictors of one kind say of all anchors, [N, anchors, numbers]."""
    graph = net.graph
    rows = []
    for i, x in enumerate(maps):
        name = f"{kind}_predictor{i}"
        if spec.predictor.separable:
            x = net.conv(x, f"{name}/depthwise", act=spec.act)
        x = net.conv(x, f"{name}/output", padding="same")
        last = graph.node(
            "Transpose", [x.name], f"{name}/channels_last", perm=[0, 2, 3, 1]
        )
        shape = graph.constant(f"anchors_of_{numbers}", np.array([0, -1, numbers]))
        rows.append(graph.node("Reshape", [last, shape], name))
    return graph.node("Concat", rows, output, axis=1)


def _segmenter(net: _Network, spec: SegmenterSpec, images: Map) -> list[str]:
    """The logits of every pixel of the images, and the features."""
    height, width = images.size
    padded = net.graph.pad(images, "padded", (spec.padded(height), spec.padded(width)))
    maps = _backbone(net, spec.backbone, padded)
    if isinstance(spec.head, LRASPPSpec):
        logits = _lraspp(net, spec, spec.head, maps)
    else:
        logits = _aspp(net, spec.head, maps["features"])
    enlarged = net.graph.resize(logits, "logits/enlarged", padded.size, spec.resizing)
    of_pixels = net.graph.cut(enlarged, "logits/cut", images.size)
    return [of_pixels.name, _features(net, maps["features"])]


def _aspp(net: _Network, spec: ASPPSpec, x: Map) -> Map:
    """See `nn.segmenter.ASPP`."""
    graph = net.graph
    branches = [net.conv(x, "aspp0", act="relu")]
    for i, rate in enumerate(spec.rates):
        branches.append(net.conv(x, f"aspp{i + 1}", dilation=rate, act="relu"))
    mean = graph.mean(x, "image_pooling/mean")
    pooled = net.conv(mean, "image_pooling", act="relu")
    shape = graph.constant("image_pooling/shape", np.array([1, 1, *x.size]))
    names = [branch.name for branch in branches]
    names.append(graph.node("Expand", [pooled.name, shape], "image_pooling/everywhere"))
    graph.node("Concat", names, "branches", axis=1)
    joined = Map("branches", len(names) * spec.filters, x.size)
    y = net.conv(joined, "concat_projection", act="relu")
    if spec.refined:
        y = net.conv(y, "refine", act="relu")
    return _logits(net, y, "logits")


def _lraspp(
    net: _Network, spec: SegmenterSpec, head: LRASPPSpec, maps: Mapping[str, Map]
) -> Map:
    """See `nn.segmenter.LRASPP`.

    At the network's resolution, the only one of a file, a pooling window is the map.
    """
    graph, x, low_level = net.graph, maps["features"], maps[head.low_level]
    y = net.conv(x, "aspp0", act="relu")
    means = graph.mean(x, "image_pooling/mean")
    gates = graph.act(net.conv(means, "image_pooling"), head.gate)
    graph.node("Mul", [y.name, gates.name], "gated")
    gated = dataclasses.replace(y, name="gated")
    fine = graph.resize(gated, "gated/enlarged", low_level.size, spec.resizing)
    return net.add(
        _logits(net, fine, "logits"),
        _logits(net, low_level, "low_level_logits"),
        "logits/sum",
    )


def _logits(net: _Network, x: Map, path: str) -> Map:
    """Of a map's own pixels."""
    kernel, bias = _weights(net.params, path)
    return net.graph.conv(x, f"{path}/coarse", kernel, bias, net.padding)


Made = tuple[Map, dict[str, Map]]


def _block(net: _Network, spec: BlockSpec, name: str, x: Map) -> Made:
    separable = spec.op == "depthwise_separable"
    shortcut = x
    if spec.has_expansion:
        x = net.conv(x, f"{name}/expand", act=spec.act)
    maps = {"expand": x}
    x = net.conv(x, f"{name}/depthwise", spec.stride, spec.dilation, spec.act)
    maps["depthwise"] = x
    if spec.se and not separable:
        x = net.squeeze_excite(x, f"{name}/se", spec.se)
    x = net.conv(x, f"{name}/project", act=spec.act if separable else None)
    if spec.se and separable:
        x = net.squeeze_excite(x, f"{name}/se", spec.se)
    if spec.residual:
        x = net.add(shortcut, x, name)
    return x, maps


def _bottleneck(net: _Network, spec: BottleneckSpec, name: str, x: Map) -> Made:
    first, second = spec.strides
    y = net.conv(x, f"{name}/reduce", first, act=spec.act)
    y = net.conv(y, f"{name}/spatial", second, spec.dilation, spec.act)
    y = net.conv(y, f"{name}/restore")
    return _joined(net, spec, name, x, y), {}


def _basic(net: _Network, spec: BasicSpec, name: str, x: Map) -> Made:
    y = net.conv(x, f"{name}/first", spec.stride, spec.dilation, spec.act)
    y = net.conv(
        y, f"{name}/second", dilation=spec.second_dilation, act=spec.second_act
    )
    return _joined(net, spec, name, x, y), {}


def _joined(
    net: _Network, spec: BottleneckSpec | BasicSpec, name: str, x: Map, y: Map
) -> Map:
    """The branch y of a residual block on x, gated and added to the shortcut."""
    if spec.se:
        y = net.squeeze_excite(y, f"{name}/se", spec.se)
    if spec.projection:
        x = net.conv(x, f"{name}/shortcut", spec.stride)
    return net.graph.act(net.add(y, x, name), spec.act)


BLOCKS: dict[type, Callable[[_Network, Any, str, Map], Made]] = {
    BlockSpec: _block,
    BottleneckSpec: _bottleneck,
    BasicSpec: _basic,
}


def _block_of(block: Any) -> Callable[[_Network, Any, str, Map], Made]:
    if type(block) not in BLOCKS:
        raise UserError(
            f"ONNX files have no {type(block).__name__}: write StableHLO or LiteRT, "
            "which are made of the network's own module."
        )
    return BLOCKS[type(block)]
