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
    batch, channels_last = options.batch or "batch", options.layout == "nhwc"
    description = net.description
    graph, network = Graph(), description.network
    size = network.resolution
    image = signature.INPUT
    if channels_last:
        image = graph.node("Transpose", [image], "channels_first", perm=[0, 3, 1, 2])
    params, classes = net.variables["params"], len(description.class_names)
    outputs = add_network(graph, network, params, classes, image)
    if isinstance(network, DetectorSpec) and options.detections:
        codes, logits = outputs
        outputs = add_detections(graph, codes, logits, network, classes)
    if isinstance(network, BackboneSpec | SegmenterSpec):
        (output,) = signature.output_names(network)
        outputs = [_map(graph, outputs[0], output, channels_last)]

    def array(name: str, channels: int) -> onnx.ValueInfoProto:
        """A map as large as the images."""
        shape = [channels, size, size]
        shape = [size, size, channels] if channels_last else shape
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])

    if isinstance(network, SegmenterSpec):
        # Shape inference does not see that a map keeps its batch when it is resized.
        declared = [array(name, classes) for name in outputs]
    elif isinstance(network, DetectorSpec) and options.detections:
        rows = [batch, network.postprocessing.detections]
        declared = [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [*rows, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, rows),
            helper.make_tensor_value_info("classes", TensorProto.INT32, rows),
        ]
    else:
        declared = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in outputs
        ]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            [array(signature.INPUT, 3)],
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
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()

    def call(images: np.ndarray) -> list[np.ndarray]:
        return [*map(np.asarray, session.run(outputs, {given.name: images}))]

    return call
