"""ONNX: the file of a network, and ONNX Runtime to run it."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from mobilenets.errors import UserError
from mobilenets.export import formats, signature
from mobilenets.export.formats import Call, Options
from mobilenets.export.onnx_graph import Graph
from mobilenets.export.onnx_network import add_network
from mobilenets.inference.trained import TrainedNet
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
    if isinstance(network, BackboneSpec):
        outputs = [_map(graph, outputs[0], channels_last)]
    shape = [batch, size, size, 3] if channels_last else [batch, 3, size, size]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            [helper.make_tensor_value_info(signature.INPUT, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
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


def _map(graph: Graph, name: str, channels_last: bool) -> str:
    """The output of a backbone."""
    if channels_last:
        return graph.node("Transpose", [name], "features", perm=[0, 2, 3, 1])
    return graph.node("Identity", [name], "features")


def open_file(content: bytes, outputs: Sequence[str], threads: int) -> Call:
    """A call of ONNX Runtime, see `formats.Writer`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return lambda images: session.run(outputs, {given.name: images})
