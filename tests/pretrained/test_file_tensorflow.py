"""Checkpoints and frozen graphs that TensorFlow writes here."""

import os
import pathlib
import shutil
import sys
import types

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.pretrained.formats import read_state

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def tf():
    os.environ["KERAS_BACKEND"] = "jax"  # TensorFlow imports Keras, and so do tests
    import tensorflow as tf

    return tf


@pytest.fixture(scope="module")
def graph(tf, tmp_path_factory):
    """A TensorFlow 1 checkpoint after a step, its frozen graph, and the values."""
    v1, folder = tf.compat.v1, tmp_path_factory.mktemp("graph")
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("net/conv/weights", initializer=KERNEL)
        bias = v1.get_variable("net/conv/biases", initializer=np.ones(3, np.float16))
        v1.get_variable("net/classes", initializer=np.array(["cat", "dog"]))
        images = v1.placeholder(tf.float32, [None, 2])
        logits = tf.matmul(images, kernel) * [1.0, 2.0, 3.0] + tf.cast(bias, tf.float32)
        loss = tf.reduce_sum(logits**2)
        step = v1.train.get_or_create_global_step()
        update = v1.train.RMSPropOptimizer(0.1, momentum=0.9).minimize(loss, step)
        update_adam = v1.train.AdamOptimizer().minimize(loss)
        average = tf.train.ExponentialMovingAverage(0.5)
        with tf.control_dependencies([update, update_adam]):
            train = average.apply([kernel])
        session.run(v1.global_variables_initializer())
        session.run(train, {images: np.ones((1, 2))})
        values = {
            "kernel": session.run(kernel),
            "average": session.run(average.average(kernel)),
            "bias": session.run(bias),
        }
        prefix = v1.train.Saver().save(session, str(folder / "model.ckpt"), 7)
        frozen = v1.graph_util.convert_variables_to_constants(
            session, v1.get_default_graph().as_graph_def(), [logits.op.name]
        )
    (folder / "frozen.pb").write_bytes(frozen.SerializeToString())
    values["prefix"], values["frozen"] = prefix, str(folder / "frozen.pb")
    return types.SimpleNamespace(**values)


@pytest.mark.parametrize(
    "suffix", ["", ".index", ".meta", ".data-00000-of-00001"], ids=str
)
def test_averages_come_first_and_slots_are_left_out(tf, graph, suffix):
    names = {name for name, _ in tf.train.list_variables(graph.prefix)}
    assert {
        "global_step",
        "beta1_power",
        "net/classes",
        "net/conv/weights/Adam_1",
        "net/conv/weights/RMSProp",
        "net/conv/weights/ExponentialMovingAverage",
    } < names
    state = read_state(graph.prefix + suffix)
    assert state.keys() == {"net/conv/weights", "net/conv/biases"}
    assert np.abs(graph.average - graph.kernel).min() > 0.1
    np.testing.assert_array_equal(state["net/conv/weights"], graph.average)
    np.testing.assert_array_equal(state["net/conv/biases"], graph.bias)
    assert state["net/conv/biases"].dtype == np.float32


def test_the_constants_of_a_frozen_graph_that_were_variables(graph):
    state = read_state(graph.frozen)
    assert state.keys() == {"net/conv/weights", "net/conv/biases"}
    np.testing.assert_array_equal(state["net/conv/weights"], graph.kernel)


def constants(tf, path, **arrays):
    graph = tf.compat.v1.GraphDef()
    for name, array in arrays.items():
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    path.write_bytes(graph.SerializeToString())
    return path


def test_a_graph_without_reads_has_its_constants(tf, tmp_path):
    path = constants(tf, tmp_path / "x.pb", kernel=KERNEL, one=1.0, shape=[2, 3])
    state = read_state(path)
    assert list(state) == ["kernel"]
    np.testing.assert_array_equal(state["kernel"], KERNEL)


def test_an_average_is_read_whether_its_variable_is_there_or_not(tf, tmp_path):
    arrays = {
        "a/ExponentialMovingAverage": KERNEL + 1,
        "a": KERNEL,  # also if it comes later
        "b/ExponentialMovingAverage": KERNEL + 2,
        "b/ExponentialMovingAverage/biased": KERNEL,
    }
    state = read_state(constants(tf, tmp_path / "x.pb", **arrays))
    assert {name: array[0, 0] for name, array in state.items()} == {"a": 1, "b": 2}


def test_a_constant_cannot_be_larger_than_its_file(tf, tmp_path):
    path = constants(tf, tmp_path / "x.pb", kernel=KERNEL[0, 0])
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    shape = graph.node[0].attr["value"].tensor.tensor_shape
    shape.dim.add(size=2**40)
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(UserError, match="which cannot be in it"):
        read_state(path)


def test_a_checkpoint_of_objects_has_the_names_of_variables(tf, tmp_path):
    module, api = tf.Module(), tf.Module()
    module.layer = tf.Module()
    module.layer.w = tf.Variable(KERNEL, name="stem/kernel")
    adam, optimizer = tf.compat.v1.train.AdamOptimizer(), tf.Module()
    with tf.compat.v1.variable_scope("train"):
        adam.apply_gradients([(tf.ones((2, 3)), module.layer.w)])
    optimizer.rate = tf.Variable(0.1, name="rate")
    api.metrics = [tf.Variable(1.0, name="total")]
    checkpoint = tf.train.Checkpoint(
        model=module, adam=adam, optimizer=optimizer, keras_api=api
    )
    prefix = checkpoint.save(str(tmp_path / "ckpt"))
    names = " ".join(name for name, _ in tf.train.list_variables(prefix))
    for part in (
        "model/layer/w/.ATTR",
        "w/.OPTIMIZER_SLOT/adam/",
        "adam/beta1_power/",
        "optimizer/rate/",
        "keras_api/metrics/0/",
    ):
        assert part in names
    state = read_state(prefix)
    assert list(state) == ["stem/kernel"]
    np.testing.assert_array_equal(state["stem/kernel"], module.layer.w.numpy())


def test_two_variables_of_one_name_are_refused(tf, tmp_path):
    module = tf.Module()
    module.a = tf.Variable(1.0, name="kernel")
    module.b = tf.Variable(2.0, name="kernel")
    prefix = tf.train.Checkpoint(model=module).save(str(tmp_path / "ckpt"))
    with pytest.raises(UserError, match="several variables of the same name"):
        read_state(prefix)


def test_a_saved_model_is_told_where_its_weights_are(tf, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(UserError, match=r"SavedModel.*variables/variables"):
        read_state(tmp_path / "saved_model.pb")


def test_another_file_is_no_graph(tf, tmp_path):
    path = constants(tf, tmp_path / "x.pb")
    path.write_bytes(path.read_bytes() + b"\x12\x00")  # some versions, and no nodes
    with pytest.raises(UserError, match="is not a frozen graph"):
        read_state(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="damaged"):
        read_state(path)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_truncated_checkpoint_is_told(graph, tmp_path, suffix):
    for file in pathlib.Path(graph.prefix).parent.glob("model.ckpt-7.*"):
        shutil.copy(file, tmp_path)
    path = tmp_path / f"model.ckpt-7{suffix}"
    content = path.read_bytes()
    for size in (0, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"model\.ckpt-7.* is damaged"):
            read_state(tmp_path / "model.ckpt-7")
    path.unlink()
    with pytest.raises(UserError, match=r"model\.ckpt-7"):
        read_state(tmp_path / "model.ckpt-7")


def test_a_truncated_graph_is_told(graph, tmp_path):
    path = tmp_path / "x.pb"
    content = pathlib.Path(graph.frozen).read_bytes()
    for size in (len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"x\.pb cannot be read: it is damaged"):
            read_state(path)


def test_without_tensorflow_it_is_told_how_to_install_it(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for path in (graph.prefix, graph.frozen):
        with pytest.raises(UserError, match=r"pip install 'mobilenets\[prepare\]'"):
            read_state(path)
