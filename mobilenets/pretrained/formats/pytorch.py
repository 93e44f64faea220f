"""What `torch.save` writes, read without PyTorch and without running code.

The file is a pickle, a program that can call any function, beside the raw bytes of the
tensors. Here it may only name what tensors are made of, and that is not PyTorch's but
the small stand-ins of this file. A pickle can also set attributes of objects that it
was given. So the stand-ins have none that can be set, and a view is checked against the
bytes that are there, immediately before they are read (`_view`).

Both formats are read: since PyTorch 1.6 a zip archive of "data.pkl" and a file for each
storage, before it a row of pickles followed by the storages. Source:
torch/serialization.py and torch/_utils.py of PyTorch 2.
"""

import functools
import io
import math
import pathlib
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from mobilenets.errors import UserError
from mobilenets.pretrained.formats.arrays import check_size, from_bfloat16, widened
from mobilenets.pretrained.formats.containers import AVERAGED, LATEST, Choice, find

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001

_MOST_DIMENSIONS = 64  # of NumPy

# The storages of PyTorch by their classes, and their elements' types in NumPy.
_DTYPES = {
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "ShortStorage": "i2",
    "IntStorage": "i4",
    "LongStorage": "i8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",  # its bits; NumPy has no bfloat16
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
}


class _Storage(NamedTuple):
    """A row of numbers of the file, of which tensors are views."""

    key: str  # its name in the file
    kind: str  # a key of _DTYPES
    size: int  # in elements


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides are in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_archive(path: pathlib.Path, choice: Choice) -> dict[str, np.ndarray]:
    """The weights in a file of PyTorch 1.6 or newer, a zip archive.

    Returns and raises what `read_legacy` does.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        folders = [n.removesuffix("data.pkl") for n in names if n.endswith("/data.pkl")]
        if not folders:
            raise UserError(
                f"{path} is a zip archive, but not one of PyTorch or Keras: unpack it "
                "and give the file of weights in it."
            )
        folder = folders[0]
        if f"{folder}constants.pkl" in names:
            raise UserError(
                f"{path} is a TorchScript program, which is not supported: save only "
                "its weights, by torch.save(model.state_dict(), ...)."
            )
        check_size(path, sum(entry.file_size for entry in archive.infolist()))
        has_order = f"{folder}byteorder" in names  # since PyTorch 2.1
        is_big = has_order and archive.read(f"{folder}byteorder") == b"big"
        tree, _ = _unpickle(io.BytesIO(archive.read(f"{folder}data.pkl")), path)

        def read_bytes(storage: _Storage) -> bytes:
            return archive.read(f"{folder}data/{storage.key}")

        return _arrays(
            _find_tensors(tree, path, choice), read_bytes, ">" if is_big else "<"
        )


def read_legacy(path: pathlib.Path, choice: Choice) -> dict[str, np.ndarray]:
    """The weights in a file of a PyTorch before 1.6, a row of pickles.

    Args:
      path: of the file.
      choice: of the weights in a training checkpoint, see `containers`.

    Returns:
      The tensors of a `state_dict` by name. Tensors that share a storage share it here,
      too; the arrays are read-only. What else is in a training checkpoint is left out.

    Raises:
      UserError: the file asks for what is no part of tensors, or has sparse or
        quantized ones, or no `state_dict`.
    """
    with open(path, "rb") as file:
        if _unpickle(file, path)[0] != _MAGIC_NUMBER:
            raise ValueError("it is a pickle, but not by torch.save")
        if _unpickle(file, path)[0] != _PROTOCOL_VERSION:
            raise ValueError("unknown version of the format")
        _unpickle(file, path)  # the byte order and integer sizes where it was written
        tree, storages = _unpickle(file, path)
        keys, _ = _unpickle(file, path)
        content = {key: _read_storage(file, storages[key]) for key in keys}
    # The storages are little-endian here, whatever the computer's order was.
    return _arrays(_find_tensors(tree, path, choice), lambda s: content[s.key], "<")


def _read_storage(file: BinaryIO, storage: _Storage) -> bytes:
    """The bytes of the storage that comes next, after their size, or what is left."""
    size = int.from_bytes(file.read(8), "little")
    size *= np.dtype(_DTYPES[storage.kind]).itemsize
    return file.read(min(size, _bytes_left(file)))


def _bytes_left(file: BinaryIO) -> int:
    position = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(position)
    return end - position


def _unpickle(file: BinaryIO, path: pathlib.Path) -> tuple[Any, dict[str, _Storage]]:
    """The object of the pickle that comes next, and the storages it names, by key."""
    start = file.tell()
    tuples = _TupleDepths()
    for opcode, argument, _ in pickletools.genops(file):
        # Python's unpickler makes a table as long as the highest number used.
        if opcode.name.endswith("PUT") and int(argument or 0) > file.tell():
            raise ValueError("a number in the pickle is too high")
        tuples.follow(opcode, argument)
    size = file.tell() - start
    file.seek(start)
    unpickler = _Unpickler(io.BytesIO(file.read(size)), path)
    return unpickler.load(), unpickler.storages


class _TupleDepths:
    """Follows a pickle without running it, to refuse tuples nested deeply.

    A tuple of twice the same tuple, and so on, is short in a file, and takes for ever
    when it is hashed as the key of a dictionary.
    """

    _DEEPEST = 8  # tensors need two

    def __init__(self) -> None:
        self._stack: list[int | None] = []  # depths; None is a mark
        self._memo: dict[Any, int | None] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        name, stack = opcode.name, self._stack
        if name == "MARK":
            stack.append(None)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            taken = self._take(opcode)
            depth = 1 + max(taken, default=0) if "TUPLE" in name else 0
            if depth > self._DEEPEST:
                raise ValueError("its tuples are nested too deeply")
            stack += [depth] * len(opcode.stack_after)

    def _take(self, opcode: pickletools.OpcodeInfo) -> list[int]:
        """The depths of what an operation takes from the stack."""
        before, taken = opcode.stack_before, []
        fixed = len(before)
        if pickletools.markobject in before:
            fixed = before.index(pickletools.markobject)
            while (depth := self._stack.pop()) is not None:
                taken.append(depth)
        return taken + [self._stack.pop() or 0 for _ in range(fixed)]


class _Unpickler(pickle.Unpickler):
    """Unpickles nothing but tensors in plain containers."""

    def __init__(self, file: BinaryIO, path: pathlib.Path):
        super().__init__(file, encoding="utf-8")  # of strings by Python 2
        self.storages: dict[str, _Storage] = {}
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        """Called for every class and function that the pickle names."""
        if module == "torch" and name in _DTYPES:
            return name
        wanted = f"{module}.{name}"
        if wanted == "collections.OrderedDict":
            return _Dictionary
        if wanted in _FUNCTIONS:
            return _Function(_FUNCTIONS[wanted])
        known = f"{_OTHER_MODULES.get(module, module)}.{name}"
        if known in _INERT or module.partition(".")[0] in _INERT_PACKAGES:
            return _Inert
        raise _refused(wanted, self._path)

    def persistent_load(self, pid: Any) -> _Storage:
        """Called for what is outside of the pickle, a storage."""
        _, kind, key, _, size, *view = pid
        if any(view):
            raise ValueError("views of storages, of PyTorch before 0.4")
        if not (isinstance(kind, str) and kind in _DTYPES and isinstance(size, int)):
            raise ValueError("a storage has no type or size")
        if not isinstance(key, str | int):
            raise ValueError("a storage has no name")
        storage = _Storage(str(key), kind, size)
        self.storages[storage.key] = storage
        return storage


class _Function(NamedTuple):
    """A function that the pickle may call, and of which it can set no attribute."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        """Calls it."""
        return self.function(*arguments)


def _integers(values: Any) -> tuple[int, ...]:
    """A tuple of no other tuples: see `_TupleDepths`."""
    if len(values) > _MOST_DIMENSIONS:
        raise ValueError("a tensor has too many dimensions")
    result = tuple(values)
    if not all(isinstance(value, int) for value in result):
        raise ValueError("a shape or strides are no integers")
    return result


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *_: Any
) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor has no storage")
    (offset,) = _integers([offset])
    return _Tensor(storage, offset, _integers(shape), _integers(strides))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _rebuild_from_type(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """A tensor of a class of its own, or with attributes: the tensor alone."""
    if not isinstance(function, _Function):
        raise ValueError("a tensor is rebuilt by what is no function for it")
    return function(*arguments)


class _Dictionary(dict):
    """In place of an ordered dictionary, which a pickle by Python 2 makes of pairs.

    They are taken out of their list: else a short pickle, which gives a long list again
    and again, would make any number of long dictionaries. Its attributes are forgotten.
    """

    __slots__ = ()

    def __init__(self, pairs: Any = ()):
        if pairs and not isinstance(pairs, list):
            raise ValueError("a dictionary is made of what is no list")
        super().__init__(pairs)
        if pairs:
            pairs.clear()

    def __setstate__(*_: Any) -> None:
        """Also where it is called on the class, which therefore stays as it is."""


def _dictionary(*_: Any) -> dict[Any, Any]:
    """In place of a dictionary with a function for its defaults."""
    return {}


class _Inert:
    """In place of any value beside the weights: it does nothing, whatever is asked.

    A pickle makes objects by calls, sets their state, and fills them like lists, sets
    and dictionaries. All of it is accepted and forgotten. Nothing is imported.
    """

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        """Takes any arguments."""
        return super().__new__(cls)

    def __setstate__(*_: Any) -> None:
        """Also where it is called on the class, which therefore stays as it is."""

    def _forget(self, *_: Any) -> None:
        """Keeps nothing."""

    append = extend = add = __setitem__ = __call__ = _forget


# What training checkpoints hold beside the weights: numbers and their types, paths,
# options. None of these can do more than be made.
_INERT_NAMES = {
    "numpy": "bool_ dtype float64 int64 ndarray",
    "numpy.dtypes": "BoolDType Float32DType Float64DType Int64DType",
    "argparse": "Namespace",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "collections": "Counter deque",
    "types": "NoneType SimpleNamespace",
    "builtins": "bool bytearray complex dict float frozenset int list object range set "
    "slice str tuple",
    "_codecs": "encode",
    "copyreg": "_reconstructor",
    "torch": "Generator Tensor bfloat16 bool device float16 float32 float64 int8 int32 "
    "int64 strided uint8",
    "torch.nn.parameter": "Parameter",
    "torch.serialization": "_get_layout",
}
# As modules are called in other versions of Python and NumPy.
_OTHER_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "pathlib._local": "pathlib",
}
_INERT = {
    *(f"{module}.{n}" for module, names in _INERT_NAMES.items() for n in names.split()),
    *(
        f"numpy.{core}.{name}"
        for core in ("core", "_core")
        for name in ("multiarray.scalar", "multiarray._reconstruct")
    ),
}
# Of options and callbacks in checkpoints of Lightning. Their classes are many.
_INERT_PACKAGES = {
    "datetime",
    "enum",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "omegaconf",
    "pytorch_lightning",
    "torchmetrics",
    "typing",
    "uuid",
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Size": _integers,
    "collections.defaultdict": _dictionary,
}
_OTHER_TENSORS = {
    "torch.Complex": "complex",
    "torch._utils._rebuild_tensor_v3": "float8 or unsigned",
    "torch._utils._rebuild_sparse": "sparse",
    "torch._utils._rebuild_qtensor": "quantized",
}


def _refused(wanted: str, path: pathlib.Path) -> UserError:
    for start, kind in _OTHER_TENSORS.items():
        if wanted.startswith(start):
            return UserError(
                f"{path} holds {kind} tensors ({wanted!r}), which are not supported: "
                "save them as dense floating-point tensors."
            )
    return UserError(
        f"{path} refers to {wanted!r}, which is not part of weights and was not "
        "executed: save only the weights, by torch.save(model.state_dict(), ...)."
    )


def _find_tensors(tree: Any, path: pathlib.Path, choice: Choice) -> dict[str, _Tensor]:
    """The `state_dict` in what was saved."""
    state = find(tree, choice, _is_state)
    if not isinstance(state, dict) or not state:
        raise UserError(
            f"{path} holds {_described(state)} instead of named weights: save it "
            "again, by torch.save(model.state_dict(), ...)."
        )
    for key, value in state.items():
        if not isinstance(key, str) or type(value) is not _Tensor:
            name = repr(key) if isinstance(key, str | int) else _described(key)
            raise UserError(
                f"{path} holds {_described(value)} under {name} instead of a tensor: "
                "save only the weights, by torch.save(model.state_dict(), ...), or "
                f"under one of {', '.join((*AVERAGED[:2], *LATEST[:2]))}."
            )
    return state


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(type(tensor) is _Tensor for tensor in value.values())
    )


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "a dictionary" if value else "an empty dictionary"
    if isinstance(value, _Tensor):
        return "a single tensor"
    if isinstance(value, _Inert):
        return "what is no tensor"
    return f"one {type(value).__name__}"


def _arrays(
    tensors: dict[str, _Tensor],
    read_bytes: Callable[[_Storage], bytes],
    byte_order: Literal["<", ">"],
) -> dict[str, np.ndarray]:
    """The arrays of the tensors: views, so that a small file cannot make large ones."""

    @functools.cache
    def elements(storage: _Storage) -> np.ndarray:
        dtype = np.dtype(_DTYPES[storage.kind])
        values = np.frombuffer(read_bytes(storage), dtype.newbyteorder(byte_order))
        if len(values) != storage.size:
            raise EOFError(f"storage {storage.key} is cut off")
        if storage.kind == "BFloat16Storage":
            return from_bfloat16(values)
        return widened(values.astype(dtype, copy=False))

    return {
        name: _view(elements(tensor.storage), tensor)
        for name, tensor in tensors.items()
    }


def _view(values: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """The numbers of a tensor.

    This is the one place that looks at memory by what a file says. So everything that
    the file says is checked here, against the numbers that are there.

    Args:
      values: [size] all numbers of the storage.
      tensor: what the file says of the view.

    Raises:
      ValueError: the view is none, or reaches out of the storage.
    """
    _, offset, shape, strides = tensor
    if min((offset, *shape, *strides), default=0) < 0:
        raise ValueError("a tensor has negative numbers in its shape or strides")
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if math.prod(shape) == 0:
        return np.zeros(shape, values.dtype)
    if last >= len(values):
        raise ValueError(f"a tensor reaches out of storage {tensor.storage.key}")
    return np.lib.stride_tricks.as_strided(
        values[offset:],
        shape,
        [stride * values.itemsize for stride in strides],
        writeable=False,
    )
