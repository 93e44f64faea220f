"""Imported weights give the logits of `keras.applications`, from the same pixels."""

import functools
import importlib
import os
import re
import zlib

import jax
import numpy as np
import pytest

import mobilenets
from mobilenets.pretrained import from_state_dict, importing

CLASSES = 20


@pytest.fixture(scope="module")
def applications():
    os.environ["KERAS_BACKEND"] = "jax"
    keras = importlib.import_module("keras")
    assert keras.backend.backend() == "jax", "Keras was imported before this file."

    def zeros(self, shape, dtype=None):
        return np.zeros(shape, np.float32)

    # XLA would compile a random generator for each shape, to be overwritten after that.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
        yield keras.applications


def random_value(path, shape, gain):
    """A function of the name, with which activations neither vanish nor explode."""
    path = re.sub(r"^normalization_\d+/", "normalization/", path)  # by session
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    layer, leaf = path.rsplit("/", 1)
    if layer == "normalization":
        return rng.uniform(*{"mean": (0.4, 0.6), "variance": (0.05, 0.1)}[leaf], shape)
    if leaf == "kernel":
        is_depthwise = shape[-1] == 1
        inputs = np.prod(shape[:2] if is_depthwise else shape[:-1])
        return gain * rng.standard_normal(shape) / np.sqrt(inputs)
    if leaf in ("gamma", "moving_variance"):
        return rng.uniform(0.8, 1.2, shape)
    return 0.1 * rng.standard_normal(shape)


def build(applications, name, resolution, gain, **arguments):
    """A Keras model with random weights."""
    model = getattr(applications, name)(
        weights=None,
        input_shape=(resolution, resolution, 3),
        classes=CLASSES,
        classifier_activation=None,
        **arguments,
    )
    for weight in model.weights:
        if not weight.path.endswith("/count"):
            weight.assign(random_value(weight.path, weight.shape, gain))
    for layer in model.layers:
        if layer.name.startswith("normalization"):
            layer.finalize_state()  # it computes with copies
    return model


@pytest.fixture(scope="module")
def small(applications):
    """The Keras model of that name at 32 pixels, built once; not to be changed."""
    return functools.cache(lambda name: build(applications, name, 32, gain=1.0))


def state_of(model):
    return {weight.path: np.asarray(weight) for weight in model.weights}


def pixels(resolution):
    rng = np.random.default_rng(resolution)
    coarse = rng.uniform(0, 255, (2, 8, 8, 3))
    cells = np.arange(resolution) * 8 // resolution
    fine = rng.uniform(0, 255, (2, resolution, resolution, 3))
    return (0.7 * coarse[:, cells][:, :, cells] + 0.3 * fine).astype(np.float32)


def keras_logits(preprocess, model, images):
    """What Keras makes of raw pixels, by its own preprocessing."""
    variables = model.trainable_variables, model.non_trainable_variables
    values = jax.tree.map(lambda variable: variable.value, variables)

    @jax.jit
    def apply(values, inputs):
        return model.stateless_call(*values, inputs, training=False)[0]

    return np.asarray(apply(values, preprocess(images.copy())))


def our_logits(state, name, images):
    spec, variables, preprocessing = from_state_dict(state, "keras", name)
    images = (images - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    model = mobilenets.create_model(spec, num_classes=CLASSES)
    return np.asarray(jax.jit(model.apply)(variables, images.astype(np.float32))[0])


LARGE, SMALL = "MobileNetV3Large", "MobileNetV3Small"
MINIMALISTIC = {"minimalistic": True}

# An even and an odd resolution, at which SAME padding is symmetric. Keras' MobileNet
# pads its depthwise convolutions as if their inputs had an even size; at 95 pixels all
# of them do: 48, 24, 12, 6.
BOTH = (64, 95)

# To compile. Of each way to build a network one is enough at every change.
FAST = {("MobileNet", 64), (SMALL, 64), ("MobileNetV2", 95), ("ResNet50", 64)}

# Our name, Keras' module and function, arguments, gain, resolutions.
# fmt: off
CASES = [
    ("MobileNet", "mobilenet", "MobileNet", {}, 1.5, BOTH),
    ("MobileNetV2", "mobilenet_v2", "MobileNetV2", {}, 1.3, BOTH),
    ("MobileNetV2(alpha=1.4)", "mobilenet_v2", "MobileNetV2", {"alpha": 1.4}, 1.3,
     (95,)),
    (LARGE, "mobilenet_v3", LARGE, {}, 1.32, BOTH),
    (SMALL, "mobilenet_v3", SMALL, {}, 1.52, BOTH),
    (f"{LARGE}(minimalistic=True)", "mobilenet_v3", LARGE, MINIMALISTIC, 1.25, (64,)),
    (f"{SMALL}(minimalistic=True)", "mobilenet_v3", SMALL, MINIMALISTIC, 1.25, (95,)),
    ("EfficientNetB0", "efficientnet", "EfficientNetB0", {}, 1.55, BOTH),
    ("EfficientNetB3", "efficientnet", "EfficientNetB3", {}, 1.48, (64,)),
    ("EfficientNetB7", "efficientnet", "EfficientNetB7", {}, 1.36, (95,)),
    ("ResNet50", "resnet", "ResNet50", {}, 0.9, BOTH),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "module", "function", "arguments", "gain", "resolution"),
    [
        pytest.param(
            *case,
            resolution,
            id=f"{case[0]}-{resolution}",
            marks=[] if (case[0], resolution) in FAST else [pytest.mark.slow],
        )
        for *case, resolutions in CASES
        for resolution in resolutions
    ],
)
def test_logits_are_those_of_keras(
    applications, name, module, function, arguments, gain, resolution
):
    model = build(applications, function, resolution, gain, **arguments)
    images = pixels(resolution)
    preprocess = getattr(applications, module).preprocess_input
    theirs = keras_logits(preprocess, model, images)
    ours = our_logits(state_of(model), name, images)
    assert np.abs(ours - theirs).max() / theirs.std() < 1e-4


@pytest.mark.parametrize("suffix", ["keras", "weights.h5", "h5"])
@pytest.mark.parametrize("name", ["MobileNet", SMALL, "EfficientNetB0", "ResNet50"])
def test_what_keras_saves_is_imported(small, tmp_path, name, suffix):
    model = small(name)
    path = tmp_path / f"model.{suffix}"
    if suffix == "weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
    net = importing.from_file(str(path), "keras", name)
    _, expected, preprocessing = from_state_dict(state_of(model), "keras", name)
    jax.tree.map(np.testing.assert_array_equal, net.variables, expected)
    assert net.description.preprocessing == preprocessing


def in_a_sequence(keras, base):
    return keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            base,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7, name="mine"),
        ]
    )


def as_a_layer(keras, base):
    images = keras.Input((64, 64, 3))
    x = keras.layers.GlobalAveragePooling2D()(base(images, training=False))
    return keras.Model(images, keras.layers.Dense(7, name="mine")(x))


def behind_its_output(keras, base):
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    return keras.Model(base.input, keras.layers.Dense(7, name="mine")(x))


def with_two_layers(keras, base):
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    x = keras.layers.Dense(9, "relu", name="first")(x)
    return keras.Model(base.input, keras.layers.Dense(7, name="second")(x))


def with_a_batch_norm(keras, base):
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    x = keras.layers.BatchNormalization(name="normed")(x)
    return keras.Model(base.input, keras.layers.Dense(7, name="second")(x))


def on_a_map(keras, base):
    x = keras.layers.Flatten()(base.output)
    return keras.Model(base.input, keras.layers.Dense(7, name="second")(x))


def without_a_top(keras, base):
    return base


@pytest.fixture(scope="module")
def base_of(applications):
    """Builds the base of a small network, each of its weights by its name."""

    def make(function, alpha):
        base = getattr(applications, function)(
            weights=None, include_top=False, input_shape=(64, 64, 3), alpha=alpha
        )
        for weight in base.weights:
            weight.assign(random_value(weight.path, weight.shape, 1.0))
        return base

    return make


# The logits of the first are a convolution, those of the second a dense layer.
V1, V2 = ("MobileNet", 0.25), ("MobileNetV2", 0.35)


@pytest.mark.parametrize(
    ("function", "alpha", "build_on"),
    [
        *[(*V1, in_a_sequence), (*V1, as_a_layer), (*V1, behind_its_output)],
        *[(*V1, with_two_layers), (*V1, without_a_top), (*V2, behind_its_output)],
        *[(*V2, with_two_layers), (*V2, with_a_batch_norm), (*V2, on_a_map)],
    ],
)
def test_a_model_with_a_head_of_its_own_is_the_same_from_each_format(
    base_of, tmp_path, function, alpha, build_on
):
    keras = importlib.import_module("keras")
    base = base_of(function, alpha)
    name = f"{function}(alpha={alpha})"
    weights = state_of(base)
    model = build_on(keras, base)
    nets = []
    for suffix in ("keras", "weights.h5", "h5"):
        path = tmp_path / f"x.{suffix}"
        (model.save_weights if suffix == "weights.h5" else model.save)(path)
        nets.append(importing.from_file(str(path), "keras", name))
    for net in nets[1:]:
        assert net.description == nets[0].description
        jax.tree.map(np.testing.assert_array_equal, net.variables, nets[0].variables)
    params = nets[0].variables["params"]
    logits = params.pop("logits", None)
    _, expected, _ = from_state_dict(weights, "keras", name)
    jax.tree.map(np.testing.assert_array_equal, nets[0].variables, expected)
    if build_on not in (in_a_sequence, as_a_layer, behind_its_output):
        assert logits is None and nets[0].description.class_names == ()
    else:
        own = np.asarray(model.get_layer("mine").kernel)
        np.testing.assert_array_equal(logits["kernel"], own)


def test_imagenet_weights_of_an_efficientnet_expect_imagenet_statistics(small):
    """They store the deviation as variance, and their network makes up for it."""
    state = state_of(small("EfficientNetB0"))
    layer = next(key for key in state if key.endswith("/variance")).split("/")[0]
    state[f"{layer}/mean"] = np.array([0.485, 0.456, 0.406])
    state[f"{layer}/variance"] = np.array([0.229, 0.224, 0.225])
    _, _, preprocessing = from_state_dict(state, "keras", "EfficientNetB0")
    np.testing.assert_allclose(preprocessing.mean, (123.675, 116.28, 103.53), 1e-5)
    np.testing.assert_allclose(preprocessing.std, (58.395, 57.12, 57.375), 1e-5)


def test_of_two_normalizations_none_is_taken_in_silence(small):
    """One may be the user's own, before the network and its own."""
    state = state_of(small("EfficientNetB0"))
    more = {
        "normalization_99/mean": np.zeros(3),
        "normalization_99/variance": np.ones(3),
    }
    with pytest.raises(mobilenets.UserError, match="two layers that normalise images"):
        from_state_dict(more | state, "keras", "EfficientNetB0")


@pytest.fixture(scope="module")
def resnet_state(small):
    return state_of(small("ResNet50"))


@pytest.mark.parametrize(
    "key", ["conv3_block2_2_conv/bias", "conv1_bn/gamma", "predictions/bias"]
)
def test_a_missing_key_is_named(resnet_state, key):
    state = {k: v for k, v in resnet_state.items() if k != key}
    with pytest.raises(mobilenets.UserError, match=f"lack the key {key}"):
        from_state_dict(state, "keras", "ResNet50")


def test_a_missing_normalization_is_named(small):
    state = state_of(small("EfficientNetB0"))
    state = {k: v for k, v in state.items() if not k.startswith("normalization")}
    with pytest.raises(mobilenets.UserError, match="lack the key normalization/mean"):
        from_state_dict(state, "keras", "EfficientNetB0")


def test_a_key_too_many_is_named(resnet_state):
    state = resnet_state | {"dense/kernel": np.zeros((3, 3))}
    with pytest.raises(mobilenets.UserError, match="ResNet50 lacks: dense/kernel"):
        from_state_dict(state, "keras", "ResNet50")


@pytest.mark.parametrize(
    ("key", "array", "shapes"),
    [
        ("conv1_conv/bias", np.zeros(1), r"\(1,\).*\(64,\)"),  # would broadcast
        ("conv1_conv/kernel", np.zeros((7, 7, 64, 3)), "64, 3.*3, 64"),
        ("predictions/kernel", np.zeros((CLASSES, 2048)), "20, 2048.*2048, 20"),
    ],
)
def test_an_array_of_another_shape_is_named_with_both(resnet_state, key, array, shapes):
    with pytest.raises(mobilenets.UserError, match=f"{key} .*{shapes}"):
        from_state_dict(resnet_state | {key: array}, "keras", "ResNet50")
