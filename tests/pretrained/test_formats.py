"""What a file is, and what is said of one that cannot be read."""

import pathlib
import random
import struct
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy

from mobilenets import UserError
from mobilenets.pretrained.formats import read_state
from tests import torch_files
from tests.pretrained.test_file_keras import keras_2

ARRAYS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


def write_safetensors(path):
    safetensors.numpy.save_file(ARRAYS, path)


def write_archive(path):
    tree = {"a.weight": torch_files.tensor("FloatStorage", "0", 6, (2, 3), (3, 1))}
    torch_files.archive(path, tree, {"0": (6, ARRAYS["a.weight"].tobytes())})


def write_legacy(path):
    tree = {"a.weight": torch_files.tensor("FloatStorage", "0", 6, (2, 3), (3, 1))}
    torch_files.legacy(path, tree, {"0": (6, ARRAYS["a.weight"].tobytes())})


def write_keras_2(path):
    keras_2(path, {"a": {"a.weight:0": ARRAYS["a.weight"]}})


def write_keras_weights(path):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = ARRAYS["a.weight"]
        file["layers/conv2d/vars"].attrs["name"] = "a"


def write_keras(path):
    write_keras_weights(path)
    content = path.read_bytes()
    layer = '{"class_name": "Conv2D", "config": {"name": "a", "use_bias": false}}'
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", f'{{"config": {{"layers": [{layer}]}}}}')
        file.writestr("model.weights.h5", content)


FORMATS = {
    "x.safetensors": (write_safetensors, "a.weight"),
    "archive.pth": (write_archive, "a.weight"),
    "legacy.pth": (write_legacy, "a.weight"),
    "keras_2.h5": (write_keras_2, "a.weight"),
    "x.weights.h5": (write_keras_weights, "layers/conv2d/vars/0"),
    "x.keras": (write_keras, "a/kernel"),
}
ALL_FORMATS = pytest.mark.parametrize("name", FORMATS)


def write(folder, name):
    writer, _ = FORMATS[name]
    writer(folder / name)
    return folder / name


@ALL_FORMATS
@pytest.mark.parametrize("suffix", [None, ".bin", ".h5", ".safetensors", ".txt", ""])
def test_the_content_tells_the_format_whatever_the_suffix(tmp_path, name, suffix):
    path = write(tmp_path, name)
    if suffix is not None:
        path = path.rename(path.with_suffix(suffix))
    ((key, array),) = read_state(path).items()
    assert key == FORMATS[name][1]
    np.testing.assert_array_equal(array, ARRAYS["a.weight"], strict=True)


def test_a_path_may_be_text_and_begin_with_the_home_folder(tmp_path, monkeypatch):
    write(tmp_path, "x.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_state("~/x.safetensors").keys() == ARRAYS.keys()


def refusal(path):
    """The one sentence with which a file is refused."""
    with pytest.raises(UserError) as error:
        read_state(path)
    message = str(error.value)
    assert message.count("\n") == 0
    assert str(path) in message
    return message


@ALL_FORMATS
def test_a_truncated_file_is_told(tmp_path, name):
    path = write(tmp_path, name)
    content = path.read_bytes()
    for size in {10, len(content) // 2, len(content) - 30, len(content) - 1}:
        path.write_bytes(content[:size])
        assert "is damaged or incomplete" in refusal(path), size


@ALL_FORMATS
def test_a_damaged_file_is_read_or_refused(tmp_path, name):
    """Random damage: there is no other error, and the numbers have the same shape."""
    path, rng = write(tmp_path, name), random.Random(0)
    content = path.read_bytes()
    refused = 0
    for _ in range(300):
        damaged = bytearray(content[: rng.choice([len(content), rng.randrange(100)])])
        for _ in range(rng.choice([1, 3, 10]) if damaged else 0):
            place = rng.randrange(len(damaged))
            damaged[place] = rng.choice(
                [0, 255, damaged[place] ^ 1 << rng.randrange(8)]
            )
        path.write_bytes(damaged)
        try:
            assert all(array.size <= 6 for array in read_state(path).values())
        except UserError:
            refused += 1
    assert 30 < refused


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".h5", ".keras", ".pb", ""])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html><body>404 Not Found", "is a web page, not weights"),
        (b"\xef\xbb\xbf<HTML lang='en'>", "is a web page, not weights"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
            "is only a Git LFS pointer",
        ),
    ],
)
def test_a_failed_download_is_told(tmp_path, suffix, content, message):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    assert message in refusal(path)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
def test_other_content_under_a_known_suffix_is_told(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"a,b\n1,2\n")
    assert "is damaged or incomplete" in refusal(path)


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".npz", ""])
def test_an_unknown_format_is_told_which_are_known(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"a,b\n1,2\n")
    message = refusal(path)
    for known in (".pth", "safetensors", ".keras", ".weights.h5", ".pb"):
        assert known in message


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    assert refusal(tmp_path / "x.pth").startswith("There is no file ")
    assert refusal(f"{tmp_path}/{'x' * 300}.pth").endswith("File name too long.")
    for folder in (tmp_path, "/", "."):
        assert "is a folder: give the file" in refusal(folder)


def test_a_file_that_must_not_be_read_is_told(tmp_path, monkeypatch):
    path = write(tmp_path, "x.safetensors")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be read: Permission denied." in refusal(path)


def safetensors_file(path, dtype, shape, content):
    header = (
        f'{{"a": {{"dtype": "{dtype}", "shape": {shape}, '
        f'"data_offsets": [0, {len(content)}]}}}}'
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + content)
    return path


@pytest.mark.parametrize(
    ("dtype", "numpy", "expected"),
    [
        ("BOOL", "?", "?"),
        ("U8", "u1", "u1"),
        ("I8", "i1", "i1"),
        ("U16", "<u2", "u2"),
        ("I16", "<i2", "i2"),
        ("U32", "<u4", "u4"),
        ("I32", "<i4", "i4"),
        ("U64", "<u8", "u8"),
        ("I64", "<i8", "i8"),
        ("F16", "<f2", "f4"),
        ("F32", "<f4", "f4"),
        ("F64", "<f8", "f8"),
    ],
)
def test_each_type_of_safetensors_is_read(tmp_path, dtype, numpy, expected):
    values = np.array([[0, 1, 2], [3, 4, 100]], numpy)
    path = safetensors_file(tmp_path / "x", dtype, [2, 3], values.tobytes())
    state = read_state(path)
    np.testing.assert_array_equal(state["a"], values.astype(expected), strict=True)


def test_bfloat16_of_safetensors_becomes_float32(tmp_path):
    content = struct.pack("<3H", 0x3F80, 0xC020, 0x7F80)
    path = safetensors_file(tmp_path / "x.safetensors", "BF16", [3], content)
    array = read_state(path)["a"]
    assert array.dtype == np.float32
    assert array.tolist() == [1.0, -2.5, np.inf]


def test_a_type_of_safetensors_that_numpy_lacks_is_refused(tmp_path):
    path = safetensors_file(tmp_path / "x.safetensors", "F8_E4M3", [3], bytes(3))
    assert "holds a as F8_E4M3" in refusal(path)


def test_every_reader_is_tried():
    folder = pathlib.Path(read_state.__code__.co_filename).parent
    assert {file.stem for file in folder.glob("*.py")} == {
        *(
            "__init__",
            "read",
            "arrays",
            "containers",
            "hdf5",
            "sharded",
        ),  # what the formats share
        *("keras", "pytorch", "safetensors", "tensorflow", "tflite"),
    }
