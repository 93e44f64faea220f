"""`read_state`: which format a file has, and its reader."""

import functools
import os
import pathlib
import zipfile
from collections.abc import Callable

import numpy as np

from mobilenets.errors import UserError
from mobilenets.pretrained.formats import (
    keras,
    pytorch,
    safetensors,
    sharded,
    tensorflow,
    tflite,
)
from mobilenets.pretrained.formats.containers import Choice

State = dict[str, np.ndarray]

# The bytes with which files of some formats begin.
_ZIP = b"PK\x03\x04"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PICKLE = b"\x80"
_GIT_LFS = b"version https://git-lfs.github.com/"
_HTML = (b"<!doctype html", b"<html")

AVERAGED = Choice()
# Of what is left of a damaged file.
_OF_PYTORCH = {".pth", ".pt", ".bin"}


def read_state(path: str | os.PathLike[str], choice: Choice = AVERAGED) -> State:
    """Reads a local file of weights.

    What the file is, is told by its content and, where that is no sign, by its suffix:
    PyTorch (.pth, .pt, .bin), safetensors, the index of several such files
    (.index.json), Keras (.keras, .weights.h5, .h5, .hdf5) or TensorFlow (a checkpoint,
    by its prefix or one of its files, a frozen graph, .pb, or TFLite, .tflite). No file
    can make this run code, and none needs its library but TensorFlow's.

    Args:
      path: of the file; `~` is the home folder.
      choice: of the weights, where a file has averaged and other ones.

    Returns:
      The arrays by the keys of the library, in its layout; float16 and bfloat16 become
      float32. What is left out: see the reader of each format.

    Raises:
      UserError: there is no such file; it is none of these formats, damaged or
        incomplete; or it has in it what is no array.
    """
    path = pathlib.Path(os.path.expanduser(path))
    try:
        reader = _reader(path, choice)
        sharded.refuse_part(path)
        return reader(path)
    except UserError:
        raise
    # Parsers raise anything at damaged files: it is not possible to list it all.
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: pathlib.Path, error: Exception) -> UserError:
    if isinstance(error, OSError) and error.strerror:  # of the system, not of a parser
        return UserError(f"{path} cannot be read: {error.strerror}.")
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return UserError(
        f"{path} cannot be read: it is damaged or incomplete ({reason}). Download or "
        "copy it again."
    )


def _reader(path: pathlib.Path, choice: Choice) -> Callable[[pathlib.Path], State]:
    if tensorflow.is_checkpoint(path):
        return functools.partial(tensorflow.read_checkpoint, choice=choice)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the file of weights that is in it.")
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    if path.name.endswith(sharded.SUFFIX):
        return functools.partial(
            sharded.read, read_file=lambda part: _reader(part, choice)(part)
        )
    with open(path, "rb") as file:
        start = file.read(512)
    _refuse_failed_download(path, start)
    if start.startswith(_ZIP):
        if _is_keras(path):
            return keras.read_archive
        return functools.partial(pytorch.read_archive, choice=choice)
    if start.startswith(_HDF5):
        return keras.read_hdf5
    if _is_safetensors(path, start):
        return safetensors.read
    if start[4:].startswith(tflite.MAGIC):
        return tflite.read
    suffix = path.suffix.lower()
    if start.startswith(_PICKLE) or suffix in _OF_PYTORCH:
        return functools.partial(pytorch.read_legacy, choice=choice)
    if suffix == ".pb":
        return functools.partial(tensorflow.read_frozen_graph, choice=choice)
    if suffix == ".safetensors":
        return safetensors.read
    raise UserError(
        f"{path} is not a supported file of weights: PyTorch (.pth, .pt, .bin), "
        "safetensors, Keras (.keras, .weights.h5, .h5, .hdf5) or TensorFlow (the "
        "prefix of a checkpoint, .pb, .tflite)."
    )


def _refuse_failed_download(path: pathlib.Path, start: bytes) -> None:
    """Raises a UserError if there is in the file what often is instead of weights."""
    if not start:
        raise UserError(f"{path} is empty: download or copy it again.")
    if start.startswith(_GIT_LFS):
        raise UserError(
            f"{path} is only a Git LFS pointer: download the file itself with 'git lfs "
            "pull'."
        )
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML):
        raise UserError(
            f"{path} is a web page, not weights: the download went wrong. Open it in a "
            "browser to see why, and download the file itself."
        )


def _is_keras(path: pathlib.Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return keras.CONFIG in archive.namelist()
    except Exception:  # it is damaged, which either reader says
        return False


def _is_safetensors(path: pathlib.Path, start: bytes) -> bool:
    """Whether it begins with the length of a header that fits in, and a header."""
    header_size = int.from_bytes(start[:8], "little")
    return start[8:9] == b"{" and header_size + 8 <= path.stat().st_size
