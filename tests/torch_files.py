"""Writes files of PyTorch byte by byte, as `torch.save` does, and as no one should."""

import dataclasses
import struct
import zipfile
from typing import Any

import numpy as np

# A pickle is a program for a machine with a stack. What torch.save writes needs:


@dataclasses.dataclass(frozen=True)
class Global:
    """A class or function by its name."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    function: Any
    arguments: tuple


@dataclasses.dataclass(frozen=True)
class Outside:
    """Something that is not in the pickle, by its identifier."""

    identifier: Any


@dataclasses.dataclass(frozen=True)
class WithState:
    """An object whose attributes are set."""

    value: Any
    state: Any


def opcodes(value):
    """The part of a pickle that leaves a value on the stack."""
    match value:
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return opcodes(function) + opcodes(arguments) + b"R"
        case Outside(identifier):
            return opcodes(identifier) + b"Q"
        case WithState(inner, state):
            return opcodes(inner) + opcodes(state) + b"b"
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(content)]) + content
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            items = (opcodes(key) + opcodes(item) for key, item in value.items())
            return b"}(" + b"".join(items) + b"u"
    raise TypeError(value)


def pickled(value):
    return b"\x80\x02" + opcodes(value) + b"."


def tensor(kind, key, size, shape, strides, offset=0):
    """A tensor of `size` numbers under `key`, as PyTorch pickles it."""
    storage = Outside(("storage", Global("torch", kind), key, "cpu", size))
    hooks = Call(Global("collections", "OrderedDict"), ())
    arguments = (storage, offset, shape, strides, False, hooks)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def parameter(data):
    hooks = Call(Global("collections", "OrderedDict"), ())
    return Call(Global("torch._utils", "_rebuild_parameter"), (data, True, hooks))


def floats(*values):
    """A vector with the given values, and its storage."""
    key = str(abs(hash(values)))
    content = np.array(values, "<f4").tobytes()
    return tensor("FloatStorage", key, len(values), (len(values),), (1,)), {
        key: (len(values), content)
    }


def archive(path, tree, storages, byte_order="little"):
    """The format since PyTorch 1.6; storages by key: size and content."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled(tree))
        file.writestr("archive/byteorder", byte_order)
        for key, (_, content) in storages.items():
            file.writestr(f"archive/data/{key}", content)
        file.writestr("archive/version", "3\n")
    return path


def legacy(path, tree, storages):
    """The format before."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    parts = [0x1950A86A20F9469CFC6C, 1001, system, tree, list(storages)]
    content = b"".join(map(pickled, parts))
    for size, numbers in storages.values():
        content += struct.pack("<q", size) + numbers
    path.write_bytes(content)
    return path
