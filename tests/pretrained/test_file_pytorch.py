"""Files of PyTorch, written byte by byte as `torch.save` does."""

import collections
import os
import pickle
import struct
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.pretrained.formats import pytorch, read_state
from tests.torch_files import (
    Call,
    Global,
    Outside,
    WithState,
    archive,
    floats,
    legacy,
    parameter,
    pickled,
    tensor,
)

WRITERS = pytest.mark.parametrize("write", [archive, legacy])

VALUES = [0, 1, 2, 3, 4, 100]


@WRITERS
@pytest.mark.parametrize(
    ("kind", "dtype", "expected"),
    [
        ("BoolStorage", "?", "?"),
        ("ByteStorage", "u1", "u1"),
        ("CharStorage", "i1", "i1"),
        ("ShortStorage", "<i2", "i2"),
        ("IntStorage", "<i4", "i4"),
        ("LongStorage", "<i8", "i8"),
        ("HalfStorage", "<f2", "f4"),
        ("FloatStorage", "<f4", "f4"),
        ("DoubleStorage", "<f8", "f8"),
    ],
)
def test_each_type_of_number_is_read(tmp_path, write, kind, dtype, expected):
    content = np.array(VALUES, dtype).tobytes()
    path = write(
        tmp_path / "x.pth",
        {"a": tensor(kind, "0", 6, (2, 3), (3, 1))},
        {"0": (6, content)},
    )
    array = read_state(path)["a"]
    assert array.dtype == expected
    np.testing.assert_array_equal(array, np.array(VALUES, dtype).reshape(2, 3))


@WRITERS
def test_bfloat16_becomes_float32(tmp_path, write):
    values = np.array([1.0, -2.5, 3e38, 0.0078125], np.float32)
    values = (values.view("u4") & 0xFFFF0000).view("f4")  # what bfloat16 can say
    content = (values.view("u4") >> 16).astype("<u2").tobytes()
    tree = {"a": tensor("BFloat16Storage", "0", 4, (2, 2), (1, 2))}
    array = read_state(write(tmp_path / "x.pth", tree, {"0": (4, content)}))["a"]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values.reshape(2, 2).T)


def test_an_archive_of_a_big_endian_computer_is_read(tmp_path):
    content = np.array(VALUES, ">f4").tobytes()
    tree = {"a": tensor("FloatStorage", "0", 6, (6,), (1,))}
    path = archive(tmp_path / "x.pth", tree, {"0": (6, content)}, "big")
    assert read_state(path)["a"].tolist() == VALUES


@WRITERS
def test_views_have_the_numbers_that_numpy_gives_them(tmp_path, write):
    numbers = np.arange(24, dtype="<f4")
    matrix = numbers.reshape(4, 6)
    views = {
        "whole": ((4, 6), (6, 1), 0),
        "transposed": ((6, 4), (1, 6), 0),
        "slice": ((2, 3), (6, 2), 6),
        "one": ((), (), 23),
        "none": ((0, 6), (6, 1), 24),
        "repeated": ((3, 6), (0, 1), 12),
    }
    tree = {n: tensor("FloatStorage", "0", 24, *view) for n, view in views.items()}
    tree["parameter"] = parameter(tree["slice"])
    tree["empty"] = tensor("FloatStorage", "1", 0, (3, 0), (1, 1))
    storages = {"0": (24, numbers.tobytes()), "1": (0, b"")}
    path = write(tmp_path / "x.pth", tree, storages)
    state = read_state(path)
    expected = {
        "whole": matrix,
        "transposed": matrix.T,
        "slice": matrix[1:3, ::2],
        "one": matrix[3, 5],
        "none": matrix[:0],
        "repeated": np.broadcast_to(matrix[2], (3, 6)),
        "parameter": matrix[1:3, ::2],
        "empty": np.zeros((3, 0), np.float32),
    }
    assert list(state) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, strict=True)
    assert np.shares_memory(state["whole"], state["transposed"])


@WRITERS
@pytest.mark.parametrize(
    ("size", "shape", "strides", "offset"),
    [
        (6, (7,), (1,), 0),
        (6, (6,), (1,), 1),
        (6, (2, 3), (4, 1), 0),
        (6, (2,), (-1,), 5),
        (6, (2,), (1, 1), 0),
        (7, (7,), (1,), 0),  # the storage is shorter than the pickle says
        (5, (5,), (1,), 0),  # and longer
        (-1, (0,), (1,), 0),
    ],
)
def test_no_tensor_reaches_out_of_its_storage(
    tmp_path, write, size, shape, strides, offset
):
    tree = {"a": tensor("FloatStorage", "0", size, shape, strides, offset)}
    content = np.arange(6, dtype="<f4").tobytes()
    path = write(tmp_path / "x.pth", tree, {"0": (6, content)})
    with pytest.raises(UserError, match=r"x\.pth cannot be read: it is damaged"):
        read_state(path)


def test_a_view_of_a_storage_is_told(tmp_path):
    vector, storages = floats(1.0, 2.0)
    storage, *others = vector.arguments
    identifier = (*storage.identifier, ("view", 1, 1))
    tree = {"a": Call(vector.function, (Outside(identifier), *others))}
    with pytest.raises(UserError, match=r"views of storages, of PyTorch before 0\.4"):
        read_state(legacy(tmp_path / "x.pth", tree, storages))


class Attack:
    """An object whose pickle runs a command of the shell."""

    def __init__(self, command):
        self._command = command

    def __reduce__(self):
        return os.system, (self._command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_a_command_is_refused(tmp_path, protocol):
    path, victim = tmp_path / "x.pth", tmp_path / "victim"
    path.write_bytes(pickle.dumps({"a": Attack(f"touch {victim}")}, protocol))
    with pytest.raises(UserError, match=r"refers to '(posix|nt)\.system', .* not exec"):
        read_state(path)
    assert not victim.exists()


@WRITERS
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("torch.nn.modules.container", "Sequential"),
        ("torch._utils", "_rebuild_device_tensor_from_numpy"),
        ("collections", "namedtuple"),
        ("numpy", "FloatStorage"),
    ],
)
def test_what_is_no_part_of_tensors_is_refused_by_name(tmp_path, write, module, name):
    vector, storages = floats(1.0)
    victim = tmp_path / "victim"
    code = f"open({str(victim)!r}, 'w')"
    tree = {"a": vector, "b": Call(Global(module, name), (code,))}
    path = write(tmp_path / "x.pth", tree, storages)
    with pytest.raises(
        UserError, match=f"refers to '{module}.{name}', which is not part"
    ):
        read_state(path)
    assert not victim.exists()


def test_the_result_of_an_allowed_function_cannot_be_called(tmp_path):
    vector, storages = floats(1.0)
    path = archive(tmp_path / "x.pth", {"a": Call(vector, ("x",))}, storages)
    with pytest.raises(UserError, match="damaged"):
        read_state(path)


def test_a_pickle_cannot_change_what_it_is_given(tmp_path):
    vector, storages = floats(1.0)
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    before = vars(pytorch).copy()
    for function in (rebuild, vector.function, Global("argparse", "Namespace")):
        for state in ({"__defaults__": (1,)}, (None, {"__defaults__": (1,)})):
            tree = {"model": {"a": vector}, "b": WithState(function, state)}
            try:
                read_state(archive(tmp_path / "x.pth", tree, storages))
            except UserError:
                pass
    assert vars(pytorch) == before
    assert pytorch._rebuild_tensor.__defaults__ is None
    assert not vars(pytorch._rebuild_tensor)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        ("_rebuild_qtensor", "quantized"),
        ("_rebuild_sparse_tensor", "sparse"),
        ("_rebuild_sparse_csr_tensor", "sparse"),
        ("_rebuild_tensor_v3", "float8 or unsigned"),
    ],
)
def test_other_kinds_of_tensors_are_refused_as_such(tmp_path, function, kind):
    tree = {"a": Call(Global("torch._utils", function), ())}
    path = archive(tmp_path / "x.pth", tree, {})
    with pytest.raises(UserError, match=f"holds {kind} tensors"):
        read_state(path)


def test_complex_tensors_are_refused_as_such(tmp_path):
    tree = {"a": tensor("ComplexFloatStorage", "0", 1, (1,), (1,))}
    path = archive(tmp_path / "x.pth", tree, {"0": (1, bytes(8))})
    with pytest.raises(UserError, match="holds complex tensors"):
        read_state(path)


@WRITERS
@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["model", "state_dict", "model_ema", "state_dict_ema"], "state_dict_ema"),
        (["model", "state_dict", "model_ema"], "model_ema"),
        (["model", "state_dict"], "state_dict"),
        (["model"], "model"),
    ],
)
def test_of_a_training_checkpoint_the_averaged_weights_come_first(
    tmp_path, write, keys, chosen
):
    tree: dict[str, Any] = {
        "epoch": 3,
        "metric": 76.5,
        "args": WithState(
            Call(Global("argparse", "Namespace"), ()), {"lr": 0.1, "model": None}
        ),
        "amp_scaler": None,
        "optimizer": {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1}]},
    }
    storages = {}
    for number, key in enumerate(keys):
        vector, storage = floats(float(number))
        tree[key] = {"a": vector}
        storages |= storage
    state = read_state(write(tmp_path / "x.pth.tar", tree, storages))
    assert state["a"].tolist() == [keys.index(chosen)]


def test_averaged_weights_that_are_none_are_passed_over(tmp_path):
    vector, storages = floats(1.0)
    tree = {"model_ema": None, "model": {"a": vector}}
    assert list(read_state(archive(tmp_path / "x.pth", tree, storages))) == ["a"]


def test_a_state_dict_with_its_metadata_is_read(tmp_path):
    vector, storages = floats(1.0, 2.0)
    ordered = Call(Global("collections", "OrderedDict"), ([["a.weight", vector]],))
    metadata = {"_metadata": {"": {"version": 1}}}
    path = archive(tmp_path / "x.pth", WithState(ordered, metadata), storages)
    assert read_state(path)["a.weight"].tolist() == [1.0, 2.0]


VECTOR, STORAGES = floats(1.0)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (VECTOR, "holds a single tensor instead of named weights"),
        ([VECTOR], "holds one list instead of named weights"),
        ({}, "holds an empty dictionary instead of named weights"),
        ({"model": {}}, "holds an empty dictionary instead of named"),
        (
            {"x": {"a": VECTOR}, "y": {"a": VECTOR}},
            "holds a dictionary under 'x' instead of a tensor",
        ),
        ({"a": VECTOR, "epoch": 3}, "holds one int under 'epoch' instead of a tensor"),
        ({1: VECTOR}, "under 1 instead"),
    ],
)
def test_what_has_no_state_dict_is_told(tmp_path, tree, message):
    path = archive(tmp_path / "x.pth", tree, STORAGES)
    with pytest.raises(UserError, match=message):
        read_state(path)


def test_a_program_of_torchscript_is_told(tmp_path):
    path = archive(tmp_path / "x.pt", {"a": VECTOR}, STORAGES)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/constants.pkl", pickled(()))
    with pytest.raises(UserError, match="TorchScript"):
        read_state(path)


def test_another_zip_archive_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
        file.writestr("mobilenet.pth", b"")
    with pytest.raises(UserError, match="not one of PyTorch or Keras: unpack it"):
        read_state(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{"a": 1}], "not by torch.save"),
        ([0x1950A86A20F9469CFC6C, 1002], "unknown version"),
    ],
)
def test_another_pickle_is_told(tmp_path, parts, message):
    (tmp_path / "x.pth").write_bytes(b"".join(map(pickled, parts)))
    with pytest.raises(UserError, match=message):
        read_state(tmp_path / "x.pth")


def peak_of_reading(path):
    """The memory that a file takes that is refused, in bytes."""
    tracemalloc.start()
    with pytest.raises(UserError):
        read_state(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_number_in_a_pickle_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "x.pth"
    # Puts nothing under the number 2**24 of the table of what was seen.
    path.write_bytes(b"\x80\x02N" + b"r" + struct.pack("<I", 2**24) + b".")
    assert peak_of_reading(path) < 2**24


def test_a_storage_does_not_fill_the_memory(tmp_path):
    tree = {"a": tensor("FloatStorage", "0", 2**28, (2**28,), (1,))}
    path = legacy(tmp_path / "x.pth", tree, {"0": (2**28, bytes(4))})
    assert peak_of_reading(path) < 2**24


def test_an_archive_does_not_unpack_to_more_than_weights_can(tmp_path):
    tree = {"a": tensor("ByteStorage", "0", 2**27, (2**27,), (1,))}
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", pickled(tree))
        file.writestr("archive/data/0", bytes(2**27))
    assert peak_of_reading(tmp_path / "x.pth") < 2**24


def test_the_stand_in_of_an_ordered_dictionary_is_pythons_own(tmp_path):
    """The writer above and Python's own agree on what a pickle is."""
    value = [1, -1, 2**70, True, None, 0.5, ("a", {"b": []})]
    assert pickle.loads(pickled(value)) == value
    ordered = Call(Global("collections", "OrderedDict"), ([["a", 1]],))
    assert pickle.loads(pickled(ordered)) == collections.OrderedDict(a=1)


def nested_tuple(depth):
    """A tuple of twice the same tuple, and so on: its hash takes 2^depth steps."""
    value = ()
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize("place", ["a key", "the type of a storage"])
def test_tuples_nested_deeply_are_refused_at_once(tmp_path, place):
    path = tmp_path / "weights.pth"
    bomb = pickle.dumps(nested_tuple(60), protocol=2)[2:-1]
    if place == "a key":
        data = b"\x80\x02}" + bomb + b"K\x01s."  # {bomb: 1}
    else:
        data = (
            b"\x80\x02(X\x07\x00\x00\x00storage"
            + bomb
            + b"K\x00X\x03\x00\x00\x00cpuK\x01tQ."
        )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", data)
    with pytest.raises(UserError, match="its tuples are nested too deeply"):
        read_state(path)


@pytest.mark.parametrize(
    "call",
    [b"ccollections\nOrderedDict\nh\x00\x85R", b"ctorch\nSize\nh\x00\x85R"],
)
def test_a_list_that_is_given_again_and_again_does_not_fill_the_memory(tmp_path, call):
    """A thousand copies of a list of a thousand pairs, or of its numbers."""
    items = b"".join(
        b"]" + b"(M" + struct.pack("<H", i) + b"K\x00e"
        if b"Ordered" in call
        else b"K\x00"
        for i in range(1000)
    )
    data = b"\x80\x02](" + items + b"eq\x000](" + call * 1000 + b"e."
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
        file.writestr("archive/data.pkl", data)
    assert peak_of_reading(tmp_path / "x.pth") < 2**21
