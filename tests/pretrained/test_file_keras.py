"""Files that Keras 3 saves here, and files laid out as those of Keras 2."""

import concurrent.futures
import functools
import json
import multiprocessing
import zipfile

import h5py
import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.pretrained.formats import read_state, rename_keras_variables


@pytest.fixture(scope="module")
def in_keras():
    """Runs a function where Keras has the backend that builds models the fastest.

    That is a process of its own, since the first import of Keras fixes the backend. The
    files do not depend on it.
    """
    context = multiprocessing.get_context("spawn")
    with (
        pytest.MonkeyPatch.context() as patch,
        concurrent.futures.ProcessPoolExecutor(1, context) as pool,
    ):
        patch.setenv("KERAS_BACKEND", "numpy")
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def save(model, path):
    """Saves a model in the format of the suffix; returns its weights.

    Each weight is given a value of its own first.
    """
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0, 100, weight.shape).astype(weight.dtype))
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    weights = {weight.path: np.asarray(weight) for weight in model.weights}
    assert len(weights) == len(model.weights)
    return weights


@functools.cache
def application(name):
    """Built once in the process of Keras."""
    import keras

    make = getattr(keras.applications, name)
    return make(weights=None, input_shape=(32, 32, 3), classes=3)


def save_application(name, path):
    """Also returns the names of the layers with weights, by their class."""
    model = application(name)
    return save(model, path), names_by_class(model)


SNAKE_CASE = {
    "Conv2D": "conv2d",
    "DepthwiseConv2D": "depthwise_conv2d",
    "BatchNormalization": "batch_normalization",
    "Dense": "dense",
    "Normalization": "normalization",
}


def names_by_class(model):
    names = {}
    for layer in model.layers:
        if layer.weights:
            class_name = SNAKE_CASE[type(layer).__name__]
            names.setdefault(class_name, []).append(layer.name)
    return names


def assert_equal(state, expected):
    assert state.keys() == expected.keys()
    for path, array in expected.items():
        np.testing.assert_array_equal(state[path], array, strict=True)


MODELS = pytest.mark.parametrize(
    "name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50"]
)


@MODELS
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_model_has_the_weights_that_keras_saved(in_keras, tmp_path, name, suffix):
    path = tmp_path / f"x.{suffix}"
    expected, _ = in_keras(save_application, name, path)
    assert_equal(read_state(path), expected)


@MODELS
def test_weights_alone_are_named_by_the_order_of_layers(in_keras, tmp_path, name):
    path = tmp_path / "x.weights.h5"
    expected, names = in_keras(save_application, name, path)
    state = read_state(path)
    assert "layers/conv2d_1/vars/0" in state
    assert_equal(rename_keras_variables(state, names), expected)


def test_names_for_another_number_of_layers_are_refused(in_keras, tmp_path):
    path = tmp_path / "x.weights.h5"
    _, names = in_keras(save_application, "MobileNetV2", path)
    state = read_state(path)
    fewer = names | {"conv2d": names["conv2d"][1:]}
    with pytest.raises(UserError, match=r"have 35 layers of the class conv2d, .* 34:"):
        rename_keras_variables(state, fewer)
    with pytest.raises(UserError, match=r"have 0 layers of the class conv1d, .* 1:"):
        rename_keras_variables(state, names | {"conv1d": ["a"]})
    del names["dense"]  # it is the user's then
    assert "layers/dense/vars/0" in rename_keras_variables(state, names)


def test_a_state_that_has_names_is_not_renamed():
    state = {"conv/kernel": np.zeros(3)}
    assert rename_keras_variables(state, {"conv2d": ["a"]}).keys() == state.keys()


def test_variables_of_a_number_that_is_not_the_usual_keep_their_numbers():
    # Which of the four a batch norm lacks is not known here.
    state = {f"layers/batch_normalization/vars/{i}": np.zeros(i) for i in range(3)}
    renamed = rename_keras_variables(state, {"batch_normalization": ["bn"]})
    assert {name: array.size for name, array in renamed.items()} == {
        "bn/0": 0,
        "bn/1": 1,
        "bn/2": 2,
    }


def save_trained(path):
    """A model with an optimizer and a metric, in it a model, and optional variables."""
    import keras
    from keras import layers

    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(3, 1, use_bias=False, name="inside")],
        name="inner",
    )
    images = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(images)
    x = layers.Conv2D(4, 1, name="first")(x) + 1.0
    x = layers.BatchNormalization(scale=False, name="no_scale")(x)
    x = layers.BatchNormalization(center=False, name="no_center")(x)
    x = layers.Dropout(0.5)(inner(x))
    x = layers.Add()([x, layers.Conv2D(3, 1, name="second")(images)])
    x = layers.PReLU(name="other_class")(x)
    x = layers.Dense(2, use_bias=False, name="logits")(layers.Flatten()(x))
    model = keras.Model(images, x)
    model.compile("adam", "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return save(model, path)


def test_only_the_weights_of_a_trained_model_are_read(in_keras, tmp_path):
    path = tmp_path / "x.keras"
    expected = in_keras(save_trained, path)
    state = read_state(path)
    state["other_class/alpha"] = state.pop("other_class/0")
    # Keras calls it so after loading; built inside a Sequential it has its name, too.
    state["inner/inside/kernel"] = state.pop("inside/kernel")
    assert_equal(state, expected)


def test_only_the_weights_are_read_from_the_old_format(in_keras, tmp_path):
    path = tmp_path / "x.h5"
    expected = in_keras(save_trained, path)
    with h5py.File(path) as file:
        assert "optimizer_weights" in file
    assert_equal(read_state(path), expected)


def test_only_the_weights_are_read_from_weights_alone(in_keras, tmp_path):
    path = tmp_path / "x.weights.h5"
    expected = in_keras(save_trained, path)
    with h5py.File(path, "r+") as file:
        assert "optimizer/vars/0" in file
        file["metrics/mean/vars/0"] = 1.0  # as Keras 2 writes it
    state = read_state(path)
    assert len(state) == len(expected)
    nested = state["layers/sequential/layers/conv2d/vars/0"]
    np.testing.assert_array_equal(nested, expected["inner/inside/kernel"])


def save_bfloat16(path):
    import keras

    policy = keras.DTypePolicy("bfloat16")
    layer = keras.layers.Conv2D(5, 3, dtype=policy, use_bias=False)
    (array,) = save(keras.Sequential([keras.Input((4, 4, 3)), layer]), path).values()
    assert array.dtype.name == "bfloat16"
    return array.astype(np.float32)


@pytest.mark.parametrize("suffix", ["keras", "weights.h5", "h5"])
def test_bfloat16_becomes_float32(in_keras, tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    expected = in_keras(save_bfloat16, path)
    (array,) = read_state(path).values()
    np.testing.assert_array_equal(array, expected, strict=True)


def keras_2(path, layers, root="", optimizer=False):
    """The format of Keras 2: layers by name, each with its variables by name."""
    with h5py.File(path, "w") as file:
        group = file.create_group(root) if root else file
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, variables in layers.items():
            layer_group = group.create_group(layer)
            names = [name.encode() for name in variables]
            layer_group.attrs["weight_names"] = names
            for name, array in variables.items():
                layer_group[name] = array
        if optimizer:
            slots = file.create_group("optimizer_weights")
            slots.attrs["weight_names"] = [b"Adam/iterations:0"]
            slots["Adam/iterations:0"] = 3
    return path


@pytest.mark.parametrize(
    ("root", "optimizer"), [("", False), ("model_weights", False), ("model_weights", 1)]
)
def test_the_names_of_keras_2_become_those_of_keras_3(tmp_path, root, optimizer):
    # As MobileNetV3 has them in Keras 2; one layer is in the group of another.
    layers = {
        "input_1": {},
        "Conv": {"Conv/kernel:0": np.zeros(1)},
        "Conv/BatchNorm": {
            f"Conv/BatchNorm/{name}:0": np.full(2, i)
            for i, name in enumerate(("gamma", "beta", "moving_mean"))
        },
        "block/depthwise": {"block/depthwise/depthwise_kernel:0": np.full(3, 1)},
        "separable": {
            "separable/depthwise_kernel:0": np.full(4, 2),
            "separable/pointwise_kernel:0": np.full(5, 3),
        },
        "a_model": {"inside/kernel:0": np.full(6, 4), "inside_2/bias:0": np.full(7, 5)},
    }
    state = read_state(keras_2(tmp_path / "x.h5", layers, root, optimizer))
    assert {name: (array.size, array[0]) for name, array in state.items()} == {
        "Conv/kernel": (1, 0),
        "Conv/BatchNorm/gamma": (2, 0),
        "Conv/BatchNorm/beta": (2, 1),
        "Conv/BatchNorm/moving_mean": (2, 2),
        "block/depthwise/kernel": (3, 1),
        "separable/depthwise_kernel": (4, 2),
        "separable/pointwise_kernel": (5, 3),
        "inside/kernel": (6, 4),
        "inside_2/bias": (7, 5),
    }


def test_a_list_of_names_in_parts_is_a_list(tmp_path):
    path = keras_2(tmp_path / "x.h5", {"conv": {"conv/kernel:0": np.ones(2)}})
    with h5py.File(path, "r+") as file:
        names = file["conv"].attrs.pop("weight_names")
        file["conv"].attrs["weight_names0"] = names
    assert list(read_state(path)) == ["conv/kernel"]


def test_a_variable_of_no_layer_is_refused(tmp_path):
    path = keras_2(tmp_path / "x.h5", {"conv": {"conv/kernel:0": np.ones(2)}})
    with h5py.File(path, "r+") as file:
        file["dense/dense/kernel:0"] = np.ones(2)
    with pytest.raises(UserError, match="dense/dense/kernel:0 belongs to no layer"):
        read_state(path)


def test_two_variables_of_one_name_are_refused(tmp_path):
    same = {"conv/kernel:0": np.zeros(1)}
    path = keras_2(tmp_path / "x.h5", {"first_model": same, "second_model": same})
    with pytest.raises(UserError, match=r"x\.h5 has two variables called conv/kernel"):
        read_state(path)


def test_what_is_in_another_file_is_not_read(tmp_path):
    keras_2(tmp_path / "secret.h5", {"conv": {"conv/kernel:0": np.ones(2)}})
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["conv"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "conv")
        file["soft"] = h5py.SoftLink("/conv")
    with pytest.raises(UserError, match="has no weights of Keras"):
        read_state(tmp_path / "x.h5")


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_a_data_set_in_another_file_is_refused(tmp_path, kind):
    path = keras_2(tmp_path / "x.h5", {"conv": {}})
    (tmp_path / "secret").write_bytes(bytes(8))
    with h5py.File(path, "r+") as file:
        if kind == "external":
            external = [(str(tmp_path / "secret"), 0, 8)]
            file["conv"].create_dataset("kernel:0", (2,), "f4", external=external)
        else:
            layout = h5py.VirtualLayout((2,), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "a", (2,))
            file["conv"].create_virtual_dataset("kernel:0", layout)
    with pytest.raises(UserError, match="refers to weights in other files"):
        read_state(path)


def test_a_data_set_cannot_be_larger_than_its_file(tmp_path):
    path = keras_2(tmp_path / "x.h5", {"conv": {}})
    with h5py.File(path, "r+") as file:
        file["conv"].create_dataset("conv/kernel:0", (2**40,), "f4", chunks=(8,))
    with pytest.raises(UserError, match="unpacks to 4,398,046,511,104 bytes"):
        read_state(path)


@pytest.mark.parametrize("content", ["text", np.array([b"text"])])
def test_text_instead_of_numbers_is_refused(tmp_path, content):
    path = keras_2(tmp_path / "x.h5", {"conv": {"conv/kernel:0": content}})
    with pytest.raises(UserError, match="holds no numbers"):
        read_state(path)


def test_another_hdf5_file_is_told(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(UserError, match="is an HDF5 file, but has no weights of Keras"):
        read_state(tmp_path / "x.h5")


def test_a_keras_file_without_weights_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as file:
        file.writestr("config.json", json.dumps({"config": {"layers": []}}))
    with pytest.raises(UserError, match=r"has no model\.weights\.h5 in it"):
        read_state(tmp_path / "x.keras")
