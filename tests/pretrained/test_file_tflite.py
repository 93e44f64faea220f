"""TFLite files made by hand from TensorFlow's schema."""

import random
import tracemalloc

import flatbuffers
import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema

from mobilenets import UserError
from mobilenets.pretrained.formats import read_state

KERNEL = np.arange(2 * 1 * 1 * 3).reshape(2, 1, 1, 3)  # outputs, k, k, inputs
DEPTHWISE = np.arange(1 * 3 * 3 * 2).reshape(1, 3, 3, 2)  # 1, k, k, channels
BIAS = np.array([0.5, -2.0])


class File:
    """A graph to which tensors and operators are added."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name, array=None):
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.name, tensor.buffer = name, len(self.model.buffers)
        if array is not None:
            types = {"f": schema.TensorType.FLOAT32, "e": schema.TensorType.FLOAT16}
            tensor.type = types.get(array.dtype.char, schema.TensorType.INT8)
            tensor.shape = list(array.shape)
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code, inputs, outputs):
        entry, operator = schema.OperatorCodeT(), schema.OperatorT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        operator.opcodeIndex = len(self.model.operatorCodes)
        operator.inputs, operator.outputs = inputs, outputs
        self.model.operatorCodes.append(entry)
        self.graph.operators.append(operator)

    def convolution(self, code, output, kernel, bias):
        inputs = [self.tensor("x"), *(self.constant(a) for a in (kernel, bias))]
        self.operator(code, inputs, [self.tensor(output)])

    def constant(self, array):
        number = self.tensor("constant", array)
        if array.dtype.char != "e":
            return number
        wide = self.tensor("wide")
        self.operator(schema.BuiltinOperator.DEQUANTIZE, [number], [wide])
        return wide

    def write(self, path):
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_kernels_and_biases_have_the_names_of_their_variables(tmp_path, dtype):
    file, operator = File(), schema.BuiltinOperator
    kernel, depthwise, bias = (a.astype(dtype) for a in (KERNEL, DEPTHWISE, BIAS))
    file.convolution(operator.CONV_2D, "net/a/Relu6;net/b/Conv2D", kernel, bias)
    file.convolution(
        operator.DEPTHWISE_CONV_2D, "net/b/BatchNorm/FusedBatchNormV3", depthwise, bias
    )
    file.convolution(operator.CONV_2D, "net/c/BiasAdd", kernel, bias)
    state = read_state(file.write(tmp_path / "net.tflite"))
    scopes = ("net/a", "net/b", "net/c")
    assert set(state) == {f"{s}/{v}" for s in scopes for v in ("weights", "biases")}
    assert {array.dtype for array in state.values()} == {np.dtype("float32")}
    np.testing.assert_array_equal(state["net/a/biases"], BIAS)
    # By hand: input 1 of output 0 is 1, of output 1 it is 4.
    np.testing.assert_array_equal(state["net/c/weights"][0, 0, 1], [1, 4])
    assert state["net/b/weights"].shape == (3, 3, 2, 1)
    np.testing.assert_array_equal(state["net/b/weights"][0, 2, :, 0], [4, 5])


def written(path, kernel=KERNEL, bias=BIAS):
    file = File()
    file.convolution(schema.BuiltinOperator.CONV_2D, "a/Relu6", kernel, bias)
    return file.write(path)


def test_quantised_weights_are_one_clear_sentence(tmp_path):
    path = written(tmp_path / "net.tflite", KERNEL.astype(np.int8))
    with pytest.raises(UserError, match="quantised weights: give the file of float16"):
        read_state(path)


def test_a_file_without_convolutions_is_one_clear_sentence(tmp_path):
    with pytest.raises(UserError, match="has no convolutions: it is no network"):
        read_state(File().write(tmp_path / "net.tflite"))


def test_two_convolutions_of_one_name_are_refused(tmp_path):
    file = File()
    for name in ("a/Relu6", "a/BiasAdd"):
        kernel, bias = KERNEL.astype("f"), BIAS.astype("f")
        file.convolution(schema.BuiltinOperator.CONV_2D, name, kernel, bias)
    with pytest.raises(UserError, match="has two convolutions called a:"):
        read_state(file.write(tmp_path / "net.tflite"))


@pytest.mark.parametrize("bias", [[], [-1]])
def test_a_convolution_without_a_bias_is_refused(tmp_path, bias):
    """Its batch norm is elsewhere. The number -1 is none, not that of the last one."""
    file = File()
    inputs = [file.tensor("x"), file.constant(KERNEL.astype("f")), *bias]
    file.operator(schema.BuiltinOperator.CONV_2D, inputs, [file.tensor("a/Relu6")])
    file.constant(BIAS.astype("f"))
    with pytest.raises(UserError, match="a convolution without a bias, a: batch norm"):
        read_state(file.write(tmp_path / "net.tflite"))


@pytest.mark.parametrize("number", [-2, 3, 10**6])
def test_a_number_of_no_tensor_is_refused(tmp_path, number):
    file = File()
    inputs = [file.tensor("x"), file.constant(KERNEL.astype("f")), number]
    file.operator(schema.BuiltinOperator.CONV_2D, inputs, [file.tensor("a/Relu6")])
    with pytest.raises(UserError, match="is none of a list of 3"):
        read_state(file.write(tmp_path / "net.tflite"))


def test_a_list_of_one_thing_again_and_again_is_not_unpacked(tmp_path):
    """A thousand times the same graph, of a thousand times the same tensor."""
    builder = flatbuffers.Builder()

    def many(offset, start):
        start(builder, 1000)
        for _ in range(1000):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    tensor = schema.TensorT().Pack(builder)
    tensors = many(tensor, schema.SubGraphStartTensorsVector)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graphs = many(schema.SubGraphEnd(builder), schema.ModelStartSubgraphsVector)
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    path = tmp_path / "net.tflite"
    path.write_bytes(bytes(builder.Output()))
    tracemalloc.start()
    with pytest.raises(UserError, match="has no convolutions"):
        read_state(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


def test_a_damaged_file_is_read_or_refused(tmp_path):
    path = written(tmp_path / "net.tflite", KERNEL.astype("f"), BIAS.astype("f"))
    content, rng = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content[: rng.choice([len(content), rng.randrange(100)])])
        for _ in range(rng.choice([1, 3, 10]) if damaged else 0):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 255, 1])
        path.write_bytes(damaged)
        try:
            arrays = read_state(path).values()
            assert all(array.size <= KERNEL.size for array in arrays)
        except UserError:
            refused += 1
    assert 30 < refused < 300
