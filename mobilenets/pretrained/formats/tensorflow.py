"""TensorFlow's checkpoints and frozen graphs, read by TensorFlow."""

import importlib.util
import itertools
import math
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from mobilenets.errors import UserError
from mobilenets.pretrained.formats.arrays import check_size, widened
from mobilenets.pretrained.formats.containers import Choice
from mobilenets.runtime import start_up

# What checkpoints hold beside the variables of a network.
_COUNTERS = {"global_step", "beta1_power", "beta2_power", "save_counter"}

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_NO_WEIGHTS = ("/.OPTIMIZER_SLOT/", "optimizer/", "keras_api/metrics/")

_AVERAGE = "/ExponentialMovingAverage"


def is_checkpoint(path: pathlib.Path) -> bool:
    """Whether it is the prefix of a checkpoint's files, or one of them."""
    return pathlib.Path(f"{_prefix(path)}.index").is_file()


def read_checkpoint(path: pathlib.Path, choice: Choice) -> dict[str, np.ndarray]:
    """The variables in a checkpoint.

    Args:
      path: what its files have in common, "model.ckpt-1000", or one of them.
      choice: of a variable and its average.

    Returns:
      The arrays by the names of the variables, which a checkpoint of TensorFlow 2 has
      beside the paths of its objects. Where a variable has an exponential moving
      average, "name/ExponentialMovingAverage", that is its value if averaged weights
      are wanted. Other names below that of a variable, which are the optimizer's, and
      what else is its or the metrics', and counters of steps are left out.

    Raises:
      UserError: TensorFlow is not installed, or two variables have the same name.
    """
    tf = import_tensorflow(path)
    reader = tf.train.load_checkpoint(str(_prefix(path)))
    dtypes = reader.get_variable_to_dtype_map()
    keys = [key for key, dtype in dtypes.items() if _is_numeric(dtype)]
    names = {key: key for key in keys}
    if _OBJECT_GRAPH in dtypes:
        names = _names_in_object_graph(reader.get_tensor(_OBJECT_GRAPH), keys)
    if len(set(names.values())) < len(names):
        raise UserError(
            f"{path} has several variables of the same name: give the layers of the "
            "model different names."
        )
    return _variables(
        {name: widened(reader.get_tensor(key)) for key, name in sorted(names.items())},
        choice,
    )


def read_frozen_graph(path: pathlib.Path, choice: Choice) -> dict[str, np.ndarray]:
    """The constants of a frozen graph that were its variables, by their names.

    Those are the constants that a node "Identity" reads, which is what is left of the
    reading of a variable. In a graph without such, all constants of floating point that
    are no scalars.

    Raises:
      UserError: TensorFlow is not installed, or the file is no graph.
    """
    tf = import_tensorflow(path)
    content = path.read_bytes()
    if content.startswith(b"\x08\x01"):  # the version, with which a SavedModel begins
        raise UserError(
            f"{path} belongs to a SavedModel and has no weights in it: give the prefix "
            "of its checkpoint, variables/variables."
        )
    graph = tf.compat.v1.GraphDef.FromString(content)
    arrays = _constants(tf, graph, path)
    read = {name for node in graph.node if node.op == "Identity" for name in node.input}
    weights = [name for name in arrays if name in read] or [
        name for name, array in arrays.items() if array.ndim and array.dtype.kind == "f"
    ]
    if not weights:
        raise UserError(
            f"{path} is not a frozen graph of TensorFlow: it has no constants. Give a "
            "checkpoint, or freeze the graph."
        )
    return _variables({name: widened(arrays[name]) for name in weights}, choice)


def _constants(tf: Any, graph: Any, path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays in a graph; the file must be large enough for them."""
    tensors = {
        node.name: node.attr["value"].tensor
        for node in graph.node
        if node.op == "Const"
    }
    # One value may stand for all, so that a small file may have a large tensor.
    check_size(path, sum(8 * _number_of_values(t) for t in tensors.values()))
    return {
        name: tf.make_ndarray(tensor)
        for name, tensor in tensors.items()
        if _is_numeric(tf.as_dtype(tensor.dtype))
    }


def _names_in_object_graph(serialized: bytes, keys: list[str]) -> dict[str, str]:
    """The names of variables by their keys, in a checkpoint of TensorFlow 2.

    The keys there are paths of attributes, "layer_with_weights-0/kernel/...".
    """
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(serialized)
    names = {
        attribute.checkpoint_key: attribute.full_name
        for node in graph.nodes
        for attribute in node.attributes
    }
    return {
        key: names[key] for key in keys if not any(part in key for part in _NO_WEIGHTS)
    }


def _variables(arrays: dict[str, np.ndarray], choice: Choice) -> dict[str, np.ndarray]:
    """The arrays without the optimizer's, averages in the place of what they are of."""
    averages = {
        name.removesuffix(_AVERAGE): array
        for name, array in arrays.items()
        if name.endswith(_AVERAGE)
    }
    others = {
        name: array
        for name, array in arrays.items()
        if not name.endswith(_AVERAGE)
        and name.rpartition("/")[2] not in _COUNTERS
        and not any(above in arrays for above in _above(name))
    }
    if not averages:
        return others
    kind = "averages" if choice.averaged else "latest values"
    choice.tell(f"The file has averages of its variables: the {kind} are taken.")
    return others | averages if choice.averaged else averages | others


def _above(name: str) -> Iterable[str]:
    """The scopes that a name is in.

    >>> list(_above("net/conv/weights"))
    ['net', 'net/conv']
    """
    return itertools.accumulate(name.split("/")[:-1], "{}/{}".format)


def _prefix(path: pathlib.Path) -> pathlib.Path:
    return path.parent / re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name)


def import_tensorflow(path: pathlib.Path) -> Any:
    """TensorFlow, silenced.

    Args:
      path: of the file that needs it.

    Raises:
      UserError: it is not installed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"Reading {path} needs TensorFlow: pip install 'mobilenets[prepare]'."
        )
    start_up.silence_tensorflow()
    import tensorflow as tf

    return tf


def _is_numeric(dtype: Any) -> bool:
    return dtype.is_floating or dtype.is_integer or dtype.is_bool


def _number_of_values(tensor: Any) -> int:
    return math.prod(abs(dimension.size) for dimension in tensor.tensor_shape.dim)
