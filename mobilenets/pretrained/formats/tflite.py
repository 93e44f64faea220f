"""TFLite files, parsed by TensorFlow's schema of them."""

import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from mobilenets.errors import UserError
from mobilenets.pretrained.formats import tensorflow
from mobilenets.pretrained.formats.arrays import widened

MAGIC = b"TFL3"  # from the fifth byte on

_NONE = -1  # the number of a tensor that is left out

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
      UserError: TensorFlow is not installed, weights are quantised, there are none, or
        batch norm is not folded.
    """
    tensorflow.import_tensorflow(path)
    from tensorflow.lite.python import schema_py_generated as schema

    # Only what is needed is unpacked: in a small file, what is in a list may be the
    # same thing again and again.
    model: Any = schema.Model.GetRootAs(path.read_bytes(), 0)
    graph, operator = model.Subgraphs(0), schema.BuiltinOperator
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    codes = [_code(op, model) for op in operators]
    widening = {
        op.Outputs(0): op.Inputs(0)  # of float16
        for op, code in zip(operators, codes, strict=True)
        if code == operator.DEQUANTIZE
    }
    state = {}
    for op, code in zip(operators, codes, strict=True):
        if code not in (operator.CONV_2D, operator.DEPTHWISE_CONV_2D):
            continue
        scope = _scope(_at(op.Outputs(0), graph.Tensors, graph.TensorsLength()))
        if f"{scope}/weights" in state:
            raise UserError(
                f"{path} has two convolutions called {scope}: convert the network "
                "again."
            )
        numbers = [op.Inputs(i) for i in range(op.InputsLength())][1:3]
        if len(numbers) < 2 or _NONE in numbers:
            raise UserError(
                f"{path} has a convolution without a bias, {scope}: batch norm is not "
                "folded into it, which is not supported. Give the checkpoint."
            )
        kernel, bias = (
            _array(widening.get(i, i), graph, model, schema, path) for i in numbers
        )
        # From [outputs, k, k, inputs] and, depthwise, from [1, k, k, channels].
        kernel = kernel.transpose((1, 2, 3, 0))
        state |= {f"{scope}/weights": kernel, f"{scope}/biases": bias}
    if not state:
        raise UserError(f"{path} has no convolutions: it is no network for images.")
    return state


def _at(index: int, get: Callable[[int], Any], length: int) -> Any:
    """What is at a place in a list, which the parser itself does not check."""
    if not 0 <= index < length:
        raise ValueError(f"number {index} is none of a list of {length}")
    return get(index)


def _code(op: Any, model: Any) -> int:
    """The number of the kind of an operator, which older files have elsewhere."""
    code = _at(op.OpcodeIndex(), model.OperatorCodes, model.OperatorCodesLength())
    return max(code.BuiltinCode(), code.DeprecatedBuiltinCode())


def _scope(output: Any) -> str:
    first = output.Name().decode().partition(";")[0]
    return _OUTPUT.sub("", first)


def _array(
    number: int, graph: Any, model: Any, schema: Any, path: pathlib.Path
) -> np.ndarray:
    dtypes = {
        schema.TensorType.FLOAT32: np.dtype(np.float32),
        schema.TensorType.FLOAT16: np.dtype(np.float16),
    }
    tensor = _at(number, graph.Tensors, graph.TensorsLength())
    if tensor.Type() not in dtypes:
        raise UserError(
            f"{path} has quantised weights: give the file of float16 or float32."
        )
    buffer = _at(tensor.Buffer(), model.Buffers, model.BuffersLength())
    data = np.asarray(buffer.DataAsNumpy(), np.uint8).tobytes()
    shape = [tensor.Shape(i) for i in range(tensor.ShapeLength())]
    return widened(np.frombuffer(data, dtypes[tensor.Type()]).reshape(shape))
