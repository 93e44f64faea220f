"""What is in the files: operations, shapes, names, versions, platforms."""

import collections
import dataclasses
import functools
import hashlib
from unittest import mock

import jax
import numpy as np
import onnx
import pytest

from mobilenets import UserError
from mobilenets.export import exporting, formats, record, signature
from mobilenets.export.exported import in_runtime
from mobilenets.export.folding import fold
from mobilenets.export.formats import Options
from mobilenets.export.onnx_graph import Graph, _factor
from mobilenets.export.onnx_network import add_network
from mobilenets.networks.architectures import get_search_space
from tests.export import small


def written(name, format, **options):
    chosen = formats.checked(format, Options(**options), int8=False)
    return formats.writer(format).convert(fold(small.net(name)), chosen)


@functools.cache
def onnx_of(name, **options):
    return onnx.load_from_string(written(name, "onnx", **options))


def operators(model):
    return collections.Counter(node.op_type for node in model.graph.node)


def litert_operators(content):
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_content=content)._get_ops_details()
    return collections.Counter(detail["op_name"] for detail in details)


# By hand from the specs. Every convolution and its batch norm are one operator; swish
# alone needs two.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("inverted residual", {"Conv": 13, "Clip": 9, "Add": 1}),
        ("v1 bottleneck", {"Conv": 15, "Relu": 13, "Add": 4, "MaxPool": 1}),
    ],
)
def test_an_onnx_file_has_an_operator_for_each_layer(name, expected):
    head = {"GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}
    assert operators(onnx_of(name)) == expected | head


def test_gates_of_an_onnx_file_need_no_reshape():
    found = operators(onnx_of("hard gates"))
    assert set(found) == {
        *("Conv", "Relu", "HardSwish", "HardSigmoid", "Mul", "Add"),
        *("GlobalAveragePool", "Flatten", "Gemm"),
    }


@pytest.mark.parametrize("name", small.SPECS)
def test_the_checker_accepts_every_onnx_file(name):
    model = onnx_of(name)
    onnx.checker.check_model(model, full_check=True)
    # Of its 64 pixels, for aligned corners; the other paddings are the convolutions'.
    assert ("Pad" in operators(model)) == (name == "LR-ASPP")
    if "SSD" not in name:
        assert "Transpose" not in operators(model)


def shape_of(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_input_and_outputs_of_an_onnx_file():
    graph = onnx_of("inverted residual").graph
    assert [(v.name, shape_of(v)) for v in [*graph.input, *graph.output]] == [
        ("images", ["batch", 3, 33, 33]),
        ("logits", ["batch", 5]),
        ("features", ["batch", 24]),
    ]
    graph = onnx_of("backbone", batch=3, layout="nhwc").graph
    assert shape_of(graph.input[0]) == [3, 32, 32, 3]
    # The third block of MobileNetV2 has stride 2: 32 pixels / 4.
    assert shape_of(graph.output[0]) == [3, 8, 8, 24]


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


@pytest.mark.parametrize(
    ("name", "mode", "sizes"),
    [
        # The maps at stride 16, 8 and 1; with aligned corners, 64 pixels are padded.
        ("LR-ASPP", b"align_corners", [5, 9, 65]),
        ("LR-ASPP of torchvision", b"half_pixel", [5, 9, 65]),
        ("R-ASPP", b"align_corners", [5, 65]),
        ("DeepLabv3 of torchvision", b"half_pixel", [4, 64]),
    ],
)
def test_a_segmenter_in_an_onnx_file_is_enlarged_as_it_says(name, mode, sizes):
    model = onnx.shape_inference.infer_shapes(onnx_of(name))
    shapes = {value.name: shape_of(value) for value in model.graph.value_info}
    resized = [node for node in model.graph.node if node.op_type == "Resize"]
    assert len(resized) == len(sizes) - 1
    for node, before, after in zip(resized, sizes[:-1], sizes[1:], strict=True):
        assert attributes(node)["coordinate_transformation_mode"] == mode
        assert attributes(node)["mode"] == b"linear"
        assert shapes[node.input[0]][2:] == [before, before]
        assert shapes[node.output[0]][2:] == [after, after]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_segmenter_gives_logits_of_pixels_in_both_layouts(layout):
    shape = ["batch", 65, 65, 5] if layout == "nhwc" else ["batch", 5, 65, 65]
    outputs = onnx_of("R-ASPP", layout=layout).graph.output
    # The third stage of MobileNetV2, which is the last here, has 64 channels.
    assert [(output.name, shape_of(output)) for output in outputs] == [
        ("logits", shape),
        ("features", ["batch", 64]),
    ]
    chosen = formats.checked("onnx", Options(layout=layout), int8=False)
    net = small.net("R-ASPP")
    content, found = exporting.export(net, "onnx", chosen)
    assert list(found.outputs[0].shape) == shape
    assert found.parity.largest_difference < 1e-5
    assert found.parity.agreement and found.parity.agreement > 0.999
    exported = in_runtime(net.description, "onnx", content, chosen)
    assert exported.run(np.zeros((3, 65, 65, 3), "f"))[0].shape == (3, 65, 65, 5)


def test_the_head_that_is_for_training_alone_is_in_no_file():
    """Its 3x3 convolution has 9 * 64 * 8 weights of 4 bytes."""
    name = "DeepLabv3 of torchvision"
    weights = [c.name for c in onnx_of(name).graph.initializer]
    assert "refine/kernel" in weights
    assert not any(weight.startswith("auxiliary") for weight in weights)
    net = small.net(name)
    spec = dataclasses.replace(net.description.network, auxiliary=None)
    description = net.description.model_copy(update={"network": spec})
    options = formats.checked("stablehlo", Options(batch=1), int8=False)
    with_head, without = (
        len(formats.writer("stablehlo").convert(fold(n), options))
        for n in (net, dataclasses.replace(net, description=description))
    )
    assert abs(with_head - without) < 1000


def test_a_map_becomes_exactly_as_large_as_wanted():
    """A size times the float32 factor, in float32, is cut to a whole number."""
    for size in range(1, 70):
        for out in range(1, 1100, 7):
            assert int(np.float32(size) * _factor(size, out)) == out


def test_the_versions_of_an_onnx_file_are_options():
    model = onnx_of("inverted residual")
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    model = onnx_of("hard gates", opset=14, ir_version=7)
    assert (model.opset_import[0].version, model.ir_version) == (14, 7)
    newest = onnx.defs.onnx_opset_version()
    assert onnx_of("hard gates", opset=newest).opset_import[0].version == newest
    for options in ({"opset": 13}, {"opset": newest + 1}, {"ir_version": 99}):
        with pytest.raises(UserError, match=r"(opset|IR version) is \d+, but must be"):
            onnx_of("hard gates", **options)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_backbone_gives_its_map_in_both_layouts(layout):
    chosen = formats.checked("onnx", Options(layout=layout), int8=False)
    net = small.net("backbone")
    content = written("backbone", "onnx", layout=layout)
    exported = in_runtime(net.description, "onnx", content, chosen)
    images = np.random.default_rng(0).standard_normal((3, 32, 32, 3)).astype("f")
    endpoints = jax.jit(net.model.apply)(net.variables, images)
    (found,) = exported.run(images)
    np.testing.assert_allclose(found, endpoints["features"], atol=1e-4)


@pytest.mark.slow
def test_a_litert_file_has_the_operators_of_phones():
    hard = litert_operators(written("hard gates", "litert"))
    assert hard["DEPTHWISE_CONV_2D"] == 5
    # By the paper's Table 2 the first three blocks have ReLU: there are the stem, two
    # maps of each other block, the last convolution and the dense layer.
    assert hard["HARD_SWISH"] == 7
    assert set(hard) <= {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "HARD_SWISH"),
        *("MEAN", "MUL", "ADD", "RESHAPE"),
    }
    plain = litert_operators(written("depthwise separable", "litert"))
    assert plain == {
        "CONV_2D": 5,  # the stem, 3 blocks and the last one
        "DEPTHWISE_CONV_2D": 3,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
    }


def test_a_stablehlo_file_is_for_all_platforms_and_any_batch():
    exported = jax.export.deserialize(
        bytearray(written("depthwise separable", "stablehlo"))
    )
    assert exported.platforms == ("cpu", "cuda", "tpu")
    (shape,) = exported.in_avals
    assert str(shape.shape[0]) == "batch" and shape.shape[1:] == (33, 33, 3)
    # On a CPU the depthwise convolution is a sum of taps; elsewhere it is native.
    assert "feature_group_count = 32" in exported.mlir_module()


def test_the_record_says_all_that_is_needed(tmp_path):
    net = small.net("inverted residual")
    content, found = exporting.export(net, "onnx", Options())
    path = tmp_path / "net.onnx"
    exporting.write(path, content, found)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.json"]
    again = record.read(path, content)
    assert again == found
    assert again.network == net.description
    assert again.bytes == len(content)
    assert again.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.inputs[0].shape == ("batch", 3, 33, 33)
    assert [output.name for output in again.outputs] == ["logits", "features"]
    assert again.batch is None and again.opset == 17
    assert 0 < again.parity.mean_difference < again.parity.largest_difference < 1e-5
    assert again.parity.agreement == 1.0 and not again.parity.photographs


def test_parity_is_a_comparison_with_these_weights():
    """With other weights in the file its outputs differ by much."""
    net = small.net("inverted residual")
    other = jax.tree.map(lambda x: 1.1 * x, net.variables)
    chosen = formats.checked("onnx", Options(), int8=False)
    content = written("inverted residual", "onnx")
    exported = in_runtime(net.description, "onnx", content, chosen)
    images = np.random.default_rng(0).integers(0, 255, (4, 33, 33, 3)).astype(np.uint8)
    changed = type(net)(net.description, other)
    parity = exporting.parity(changed, exported, images, photographs=False)
    assert parity.largest_difference > 0.01


def test_a_block_that_a_format_cannot_hold_is_named():
    from tests.nn.test_own_block import TwoConvs

    net = small.net("backbone")
    own = (TwoConvs(16, 24, 2),)
    spec = dataclasses.replace(net.description.network, blocks=own)
    graph = Graph()
    params = fold(net).variables["params"]
    with pytest.raises(UserError, match="ONNX files have no TwoConvs: write StableHLO"):
        add_network(graph, spec, params, 0, "images")


def test_a_supernet_is_refused():
    with pytest.raises(UserError, match="moga is a supernet: give the weights of a"):
        signature.check(get_search_space("moga"))


def test_a_file_with_a_fixed_batch_is_measured_with_it_alone():
    net = small.net("backbone")
    chosen = formats.checked("onnx", Options(batch=2), int8=False)
    content = written("backbone", "onnx", batch=2)
    exported = in_runtime(net.description, "onnx", content, chosen)
    with pytest.raises(UserError, match="takes 2 images a call: give --batch 2"):
        exported.timed(1)
    exported.timed(2)()
    # Any number of images is computed nevertheless.
    images = np.random.default_rng(0).standard_normal((3, 32, 32, 3)).astype("f")
    (found,) = exported.run(images)
    (alone,) = exported.run(images[2:])
    assert len(found) == 3
    np.testing.assert_allclose(found[2:], alone, atol=1e-6)


def test_what_litert_s_converter_refuses_is_one_sentence(monkeypatch):
    litert_file = pytest.importorskip("mobilenets.export.litert_file")

    def refusing(*_):
        raise ValueError("Failed: linear.py:287:8: error: 'op' is wrong\n  note: here")

    converter = mock.MagicMock(run_convert_to_tfl_passes=refusing)
    monkeypatch.setattr(formats, "needed", lambda *_: converter)
    net = fold(small.net("basic"))
    name = net.description.network.name
    message = rf"^LiteRT's converter cannot write {name} at \d+ pixels: 'op' is wrong\."
    with pytest.raises(UserError, match=message):
        litert_file.convert(net, Options())
