"""Files of detectors that decode and suppress by themselves."""

import dataclasses
import functools

import jax
import numpy as np
import onnx
import pytest

from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.postprocessing import NO_CLASS, detect
from mobilenets.errors import UserError
from mobilenets.export import exporting, formats
from mobilenets.export.exported import in_runtime
from mobilenets.export.formats import Options
from mobilenets.export.onnx_detections import add_detections, is_of_detections
from mobilenets.export.onnx_graph import Graph
from tests.export import small

FLOAT = onnx.TensorProto.FLOAT


def spec_of(name, **rule):
    spec = small.SPECS[name]
    postprocessing = dataclasses.replace(spec.postprocessing, **rule)
    return dataclasses.replace(spec, postprocessing=postprocessing)


def in_onnx(spec, classes, codes, logits):
    """The detections in raw outputs, by ONNX Runtime."""
    graph = Graph()
    outputs = add_detections(graph, "codes", "logits", spec, classes)
    arrays = {"codes": codes, "logits": logits}
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "detections",
            [
                onnx.helper.make_tensor_value_info(name, FLOAT, [None, *x.shape[1:]])
                for name, x in arrays.items()
            ],
            [onnx.helper.make_tensor_value_info(o, 0, None) for o in outputs],
            initializer=list(graph.constants.values()),
        ),
        opset_imports=[onnx.helper.make_opsetid("", formats.DEFAULT_OPSET)],
        ir_version=formats.DEFAULT_IR_VERSION,
    )
    for value in model.graph.output:
        kind = onnx.TensorProto.INT32 if value.name == "classes" else FLOAT
        value.type.tensor_type.elem_type = kind
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(outputs, arrays)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        # TensorFlow's form, and torchvision's: softmax, candidates, sizes cut.
        ("SSDLite", {"score_threshold": 0.4, "detections": 40}),
        ("SSD", {"scores": "softmax", "candidates_per_class": 9, "clip_first": True}),
        # Few are kept of a class, and there are more rows than boxes of all classes.
        (
            "SSDLite",
            {"detections_per_class": 2, "iou_threshold": 0.1, "detections": 2000},
        ),
    ],
)
def test_onnx_finds_what_jax_finds(name, rule):
    spec = spec_of(name, **rule)
    if rule.get("scores") == "softmax":
        coder = dataclasses.replace(spec.box_coder, order="xywh", most_log_ratio=1.0)
        spec = dataclasses.replace(spec, box_coder=coder)
    rng = np.random.default_rng(0)
    shape = (3, spec.num_anchors)
    # Some boxes are outside the image, some have other sizes than their anchors.
    codes = 8 * rng.standard_normal((*shape, 4)).astype(np.float32)
    logits = 2 * rng.standard_normal((*shape, 1 + 4)).astype(np.float32)
    logits[2, :, 1:] -= 30  # nothing is in the last image
    anchors = anchor_boxes(spec)
    wanted = jax.jit(functools.partial(detect, spec=spec))(codes, logits, anchors)
    found = in_onnx(spec, 4, codes, logits)
    counts = (wanted.classes != NO_CLASS).sum(1)
    assert min(counts[:2]) > 4 and counts[2] == 0
    np.testing.assert_array_equal(found[2], wanted.classes)
    np.testing.assert_allclose(found[1], wanted.scores, atol=1e-6)
    np.testing.assert_allclose(found[0], wanted.boxes, atol=1e-5)


@pytest.mark.parametrize("format", ["stablehlo", "onnx"])
def test_a_file_gives_the_detections_of_its_weights(format):
    net = small.net("SSDLite")
    content, found = exporting.export(net, format, Options(2, detections=True))
    assert [(array.name, array.shape, array.dtype) for array in found.outputs] == [
        ("boxes", (2, 100, 4), "float32"),
        ("scores", (2, 100), "float32"),
        ("classes", (2, 100), "int32"),
        ("features", (2, 24), "float32"),
    ]
    assert found.detections and found.parity.agreement > 0.99
    options = Options(found.batch, found.layout, detections=True)
    exported = in_runtime(net.description, format, content, options)
    side = net.description.network.resolution
    pixels = np.random.default_rng(0).integers(0, 255, (2, side, side, 3), np.uint8)
    wanted = net.detect(pixels)
    found = exported.compiled(lambda outputs: tuple(outputs[0]))(pixels)
    assert (wanted.classes != NO_CLASS).sum() > 20
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_int8_leaves_decoding_in_float32():
    net = small.net("SSDLite")
    side = net.description.network.resolution
    pixels = np.random.default_rng(0).integers(0, 255, (8, side, side, 3), np.uint8)
    options = Options(detections=True)
    content, found = exporting.export(net, "onnx", options, pixels, pixels)
    assert found.numbers == "int8" and found.outputs[0].name == "boxes"
    graph = onnx.load_from_string(content).graph
    quantised = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    of_detections = [n for n in graph.node if is_of_detections(n.name)]
    assert quantised and len(of_detections) > 30
    # The raw outputs alone are of 8 bits, just before.
    given = {name for node in of_detections for name in node.input}
    assert {name.partition("_Deq")[0] for name in given & quantised} <= {
        *("box_codes", "class_logits")
    }


def test_what_cannot_find_objects_is_refused():
    with pytest.raises(UserError, match="not a detector and finds no objects: leave"):
        exporting.export(small.net("backbone"), "onnx", Options(detections=True))
    with pytest.raises(
        UserError, match=r"no loops, .*: give --format stablehlo or onnx"
    ):
        formats.checked("litert", Options(detections=True), int8=False)
