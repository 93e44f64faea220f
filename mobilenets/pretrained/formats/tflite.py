"""TFLite files, parsed by TensorFlow's schema of them."""

import pathlib
import re
from typing import Any

import numpy as np

from mobilenets.errors import UserError
from mobilenets.pretrained.formats import tensorflow
from mobilenets.pretrained.formats.arrays import widened

MAGIC = b"TFL3"  # from the fifth byte on

# What is behind the scope of a convolution in the name of its output.
_OUTPUT = re.compile(r"/(Relu6?|BiasAdd|Conv2D|depthwise|BatchNorm/FusedBatchNorm\w*)$")


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The kernels and biases of the convolutions in a file.

    Batch norm is folded into them, as the converter does.

    Returns:
      The arrays float32 by the names that the variables had, "SCOPE/weights" and
      "SCOPE/biases". Kernels are [k, k, inputs, outputs] or, of a depthwise
      convolution, [k, k, channels, 1].

    Raises:
      UserError: TensorFlow is not installed, weights are quantised, or there are none.
    """
    tensorflow.import_tensorflow(path)
    from tensorflow.lite.python import schema_py_generated as schema

    content = schema.Model.GetRootAs(path.read_bytes(), 0)
    model: Any = schema.ModelT.InitFromObj(content)
    graph, operator = model.subgraphs[0], schema.BuiltinOperator
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    widening = {
        op.outputs[0]: op.inputs[0]  # of float16
        for op in graph.operators
        if codes[op.opcodeIndex] == operator.DEQUANTIZE
    }
    state = {}
    for op in graph.operators:
        convolutions = (operator.CONV_2D, operator.DEPTHWISE_CONV_2D)
        if codes[op.opcodeIndex] not in convolutions:
            continue
        scope = _scope(graph.tensors[op.outputs[0]])
        kernel, bias = (
            _array(graph.tensors[widening.get(i, i)], model.buffers, schema, path)
            for i in op.inputs[1:3]
        )
        # From [outputs, k, k, inputs] and, depthwise, from [1, k, k, channels].
        kernel = kernel.transpose((1, 2, 3, 0))
        state |= {f"{scope}/weights": kernel, f"{scope}/biases": bias}
    if not state:
        raise UserError(f"{path} has no convolutions: it is no network for images.")
    return state


def _scope(output: Any) -> str:
    first = output.name.decode().partition(";")[0]
    return _OUTPUT.sub("", first)


def _array(tensor: Any, buffers: Any, schema: Any, path: pathlib.Path) -> np.ndarray:
    dtypes = {
        schema.TensorType.FLOAT32: np.dtype(np.float32),
        schema.TensorType.FLOAT16: np.dtype(np.float16),
    }
    if tensor.type not in dtypes:
        raise UserError(
            f"{path} has quantised weights: give the file of float16 or float32."
        )
    data = np.asarray(buffers[tensor.buffer].data, np.uint8).tobytes()
    array = np.frombuffer(data, dtypes[tensor.type]).reshape(tensor.shape)
    return widened(array)
