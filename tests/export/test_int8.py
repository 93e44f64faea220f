"""Files of 8 bits: their ranges, what is in them, how far they are off."""

import collections

import numpy as np
import onnx
import pytest

from mobilenets.export import exporting, onnx_file
from mobilenets.export.exported import in_runtime
from mobilenets.export.formats import Options, Scale
from mobilenets.export.onnx_graph import Graph, Map
from tests.export import small

SIDE = 33


def photographs(count):
    """Patches of colours, as photographs have them."""
    rng = np.random.default_rng(0)
    cells = np.arange(SIDE) * 5 // SIDE
    coarse = rng.uniform(0, 255, (count, 5, 5, 3))[:, cells][:, :, cells]
    return (coarse + 10 * rng.standard_normal(coarse.shape)).clip(0, 255).astype("u1")


def exported(format, calibration, **options):
    net = small.net("inverted residual")
    chosen = Options(**options)
    pixels = photographs(16)
    return net, *exporting.export(net, format, chosen, pixels, calibration)


@pytest.mark.parametrize("format", ["onnx", small.LITERT])
def test_the_outputs_are_near_those_of_float32(format):
    _, content, found = exported(format, photographs(16))
    assert found.numbers == "int8"
    # Far from equal, so that it is no float32 file, but close.
    assert 1e-4 < found.parity.mean_difference < 0.02
    assert found.parity.largest_difference < 0.1
    _, float32, _ = exported(format, None)
    assert len(content) < 0.6 * len(float32)


def test_an_onnx_file_quantises_maps_without_sign_and_weights_by_channel():
    _, content, _ = exported("onnx", photographs(4), batch=2)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    assert len(convolutions) == 13
    for convolution in convolutions:
        map_, kernel = (producers[name] for name in convolution.input[:2])
        assert map_.op_type == kernel.op_type == "DequantizeLinear"
        assert constants[map_.input[2]].dtype == np.uint8
        values, scale = constants[kernel.input[0]], constants[kernel.input[1]]
        assert values.dtype == np.int8 and scale.shape == (len(values),)


@pytest.mark.slow
def test_a_litert_file_is_int8_from_end_to_end():
    net, content, found = exported("litert", photographs(16))
    assert {array.dtype for array in (*found.inputs, *found.outputs)} == {"int8"}
    # The input's range is that of the pixels, -1 to 1, in 255 steps.
    assert found.inputs[0].scale == pytest.approx(2 / 255, rel=0.02)
    again = in_runtime(net.description, "litert", content, Options(1, "nhwc"))
    assert again.run(np.zeros((2, SIDE, SIDE, 3), np.float32))[0].dtype == np.float32
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_content=content).get_tensor_details()
    kinds = collections.Counter(np.dtype(detail["dtype"]).name for detail in details)
    assert set(kinds) <= {"int8", "int32"}  # the biases are int32


@pytest.mark.parametrize("format", ["onnx", small.LITERT])
def test_the_range_is_from_the_least_to_the_largest_value(format):
    """One bright image among dark ones counts as much as many: it is no average."""
    pixels = photographs(8) // 8 + 120
    pixels[3] = photographs(4)[3]
    # The preprocessing is the default: from 0 to 255 it becomes -1 to 1.
    widest = np.ptp(pixels.astype(float)) / 127.5
    _, content, found = exported(format, pixels)
    if format == "litert":
        scale = found.inputs[0].scale
    else:
        graph = onnx.load_from_string(content).graph
        (node,) = (node for node in graph.node if "images" in node.input)
        (constant,) = (c for c in graph.initializer if c.name == node.input[1])
        scale = onnx.numpy_helper.to_array(constant)
    assert scale == pytest.approx(widest / 255, rel=1e-4)


def test_sums_of_products_are_not_cut():
    """255 * 127 twice is more than 16 bits hold: without VNNI a half would be lost."""
    graph = Graph()
    kernel, images = np.ones((1, 1, 64, 8), "f"), np.ones((1, 64, 4, 4), "f")
    graph.conv(Map("images", 64, (4, 4)), "sums", kernel, np.zeros(8, "f"), "same")
    given, found = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("images", [1, 64, 4, 4]), ("sums", [1, 8, 4, 4]))
    )
    constants = [*graph.constants.values()]
    parts = onnx.helper.make_graph(graph.nodes, "sums", [given], [found], constants)
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(parts, opset_imports=opsets, ir_version=8)
    content = onnx_file.quantize(model.SerializeToString(), [images])
    (sums,) = onnx_file.open_file(content, ["sums"], 1)(images)
    np.testing.assert_allclose(sums, 64, rtol=0.01)


def test_numbers_of_8_bits_mean_what_their_scale_says():
    scale = Scale(0.5, -3)
    numbers = np.array([0.0, 1.0, 1.1, 1000.0, -1000.0])
    # By hand: 0 is -3, 1 is -1, 1.1 rounds to that; the ends are cut.
    assert scale.quantized(numbers).tolist() == [-3, -1, -1, 127, -128]
    assert scale.numbers(np.array([-3, -1, 127], np.int8)).tolist() == [0.0, 1.0, 65.0]
