"""ONNX: the file of a network, and ONNX Runtime to run it."""

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_utils,
    quantize_static,
)

from mobilenets.errors import UserError
from mobilenets.export import formats, signature
from mobilenets.export.formats import Call, Options, Scale
from mobilenets.export.onnx_detections import add_detections, is_of_detections
from mobilenets.export.onnx_graph import Graph
from mobilenets.export.onnx_network import add_network
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec

_FIRST_OPSET, _FIRST_IR_VERSION = 14, 7  # of February 2021, with HardSwish


def convert(net: TrainedNet, options: Options) -> bytes:
    """The file of a network whose batch norms are folded.

    All maps in it are [N, C, H, W]. With the layout "nhwc" it begins with a Transpose.

    Raises:
      UserError: the network cannot be written in this version.
    """
    opset = options.opset or formats.DEFAULT_OPSET
    ir_version = options.ir_version or formats.DEFAULT_IR_VERSION
    _check("opset", opset, _FIRST_OPSET, onnx.defs.onnx_opset_version())
    _check("IR version", ir_version, _FIRST_IR_VERSION, onnx.IR_VERSION)
    graph, outputs = _graph(net, options)
    given, *declared = _declared(net, options, outputs)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            net.description.network.name,
            [given],
            declared,
            initializer=list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
        producer_name="mobilenets",
    )
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _graph(net: TrainedNet, options: Options) -> tuple[Graph, list[str]]:
    """The operators of a network, and the names of its outputs."""
    graph, network = Graph(), net.description.network
    channels_last = options.layout == "nhwc"
    image = signature.INPUT
    if channels_last:
        image = graph.node("Transpose", [image], "channels_first", perm=[0, 3, 1, 2])
    params, classes = net.variables["params"], len(net.description.class_names)
    outputs = add_network(graph, network, params, classes, image)
    if isinstance(network, DetectorSpec) and options.detections:
        codes, logits, features = outputs
        found = add_detections(graph, codes, logits, network, classes)
        outputs = [*found, features]
    if isinstance(network, BackboneSpec | SegmenterSpec):
        name, *_ = signature.output_names(network)
        outputs[0] = _map(graph, outputs[0], name, channels_last)
    return graph, outputs


def _declared(
    net: TrainedNet, options: Options, outputs: Sequence[str]
) -> list[onnx.ValueInfoProto]:
    """The input and the outputs, with the shapes that shape inference does not see."""
    network, batch = net.description.network, options.batch or "batch"
    size, classes = network.resolution, len(net.description.class_names)

    def of_pixels(channels: int) -> list[int | str]:
        """The shape of a map as large as the images."""
        if options.layout == "nhwc":
            return [batch, size, size, channels]
        return [batch, channels, size, size]

    shapes = {signature.INPUT: of_pixels(3)}
    if isinstance(network, SegmenterSpec):
        shapes["logits"] = of_pixels(classes)
    elif isinstance(network, DetectorSpec) and options.detections:
        rows = [batch, network.postprocessing.detections]
        shapes |= {"boxes": [*rows, 4], "scores": rows, "classes": rows}
    return [
        helper.make_tensor_value_info(
            name,
            TensorProto.INT32 if name == "classes" else TensorProto.FLOAT,
            shapes.get(name),
        )
        for name in (signature.INPUT, *outputs)
    ]


def _check(what: str, given: int, oldest: int, newest: int) -> None:
    if not oldest <= given <= newest:
        raise UserError(
            f"The {what} is {given}, but must be from {oldest} to {newest}, the newest "
            "of the installed onnx."
        )


def _map(graph: Graph, name: str, output: str, channels_last: bool) -> str:
    """A map as the output of this name, in the layout of the file."""
    if channels_last:
        return graph.node("Transpose", [name], output, perm=[0, 2, 3, 1])
    return graph.node("Identity", [name], output)


def quantize(content: bytes, inputs: Sequence[np.ndarray]) -> bytes:
    """See `formats.Writer`. Maps are unsigned, weights signed.

    Decoding and suppression stay in float32.
    """
    model = onnx.load_from_string(content)
    # Nothing is left to do that the runtime's own preparation would.
    quant_utils.add_pre_process_metadata(model)
    names = [node.name for node in model.graph.node]
    of_detections = [name for name in names if is_of_detections(name)]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "int8.onnx"
        quantize_static(
            model,
            path,
            _Inputs(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=of_detections,
        )
        return path.read_bytes()


class _Inputs(CalibrationDataReader):
    """What ONNX Runtime reads the ranges from."""

    def __init__(self, inputs: Sequence[np.ndarray]):
        self._inputs = iter(inputs)

    def get_next(self) -> Any:
        """The next call, or None."""
        images = next(self._inputs, None)
        return None if images is None else {signature.INPUT: images}


def scales(content: bytes) -> dict[str, Scale]:
    """See `formats.Writer`. An int8 file has float32 at its ends."""
    del content
    return {}


def open_file(content: bytes, outputs: Sequence[str], threads: int) -> Call:
    """A call of ONNX Runtime, see `formats.Writer`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # On CPUs without VNNI a faster instruction cuts the sums of two products of 8 bits
    # to 16 (issue 14642 of ONNX Runtime). Other CPUs ignore this.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()

    def call(images: np.ndarray) -> list[np.ndarray]:
        return [*map(np.asarray, session.run(outputs, {given.name: images}))]

    return call
