"""Hundreds of damaged files of weights: each is refused in a sentence or read rightly.

A file is damaged in two ways. At random bytes, as by a bad disk; and within what it
says, as somebody would who wants to deceive a reader: shapes, offsets, names, nesting.
"""

import json
import math
import random
import struct
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy

from mobilenets import UserError, get_spec
from mobilenets.config.schema import Preprocessing
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.networks import limits
from mobilenets.networks.spec import with_backbone
from mobilenets.pretrained.formats import read_state
from tests import torch_files
from tests.torch_files import Call, Global, WithState, tensor

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
BYTES = VALUES.tobytes()


def write_archive(path):
    tree = {"a.weight": tensor("FloatStorage", "0", 6, (2, 3), (3, 1))}
    torch_files.archive(path, {"state_dict": tree, "epoch": 3}, {"0": (6, BYTES)})


def write_legacy(path):
    tree = {"a.weight": tensor("FloatStorage", "0", 6, (2, 3), (3, 1))}
    torch_files.legacy(path, tree, {"0": (6, BYTES)})


def write_safetensors(path):
    safetensors.numpy.save_file({"a.weight": VALUES}, path)


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = VALUES
        file["optimizer/vars/0"] = VALUES


def write_keras(path):
    write_hdf5(path)
    content = path.read_bytes()
    layer = {"class_name": "Conv2D", "config": {"name": "a", "use_bias": False}}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps({"config": {"layers": [layer]}}))
        file.writestr("model.weights.h5", content)


def write_index(path):
    safetensors.numpy.save_file({"a.weight": VALUES}, path.with_name("x.safetensors"))
    path.write_text(json.dumps({"weight_map": {"a.weight": "x.safetensors"}}))


WRITERS = {
    "x.pth": write_archive,
    "old.pth": write_legacy,
    "x.safetensors": write_safetensors,
    "x.weights.h5": write_hdf5,
    "x.keras": write_keras,
    "x.index.json": write_index,
}


def is_sound(state):
    """Whether all arrays are within the six numbers of the file."""
    arrays = [np.asarray(array) for array in state.values()]
    return all(array.size <= 6 for array in arrays)


def reading(path):
    """What is read, or the sentence with which it is refused."""
    try:
        return read_state(path)
    except UserError as error:
        message = str(error)
        assert "\n" not in message and len(message) < 5000
        assert message.isprintable()
        return None


@pytest.mark.parametrize("name", WRITERS)
def test_random_bytes(tmp_path, name):
    path, rng = tmp_path / name, random.Random(name)
    WRITERS[name](path)
    content = path.read_bytes()
    refused = 0
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 2, 8])):
            place = rng.randrange(len(damaged))
            damaged[place] = rng.choice([0, 255, rng.randrange(256)])
        if rng.random() < 0.2:
            del damaged[rng.randrange(len(damaged)) :]
        path.write_bytes(damaged)
        state = reading(path)
        refused += state is None
        assert state is None or is_sound(state)
    assert 10 < refused


NUMBERS = [-(2**63), -7, -1, 0, 1, 2, 5, 7, 400, 2**31, 2**40, 2**63, 2**200, True]
OTHERS = [None, "a", "\x1b", 0.5, math.nan, (), [], {}, (2, 3), "x" * 10**5]
NAMES = [
    *(("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")),
    *(("torch", "Size"), ("torch", "FloatStorage"), ("torch", "DoubleStorage")),
    *(("collections", "OrderedDict"), ("collections", "defaultdict")),
    *(("numpy", "dtype"), ("pathlib", "PosixPath"), ("argparse", "Namespace")),
    *(("os", "system"), ("builtins", "eval"), ("typing", "Any")),
    ("torch._tensor", "_rebuild_from_type_v2"),
]


def any_value(rng, depth=0):
    """Some value of a pickle: a number, a name, a call, or an object with a state."""
    kind = rng.randrange(7 if depth < 3 else 2)

    def inner():
        return any_value(rng, depth + 1)

    match kind:
        case 0:
            return rng.choice(NUMBERS)
        case 1:
            return rng.choice(OTHERS)
        case 2:
            return Global(*rng.choice(NAMES))
        case 3:
            return Call(Global(*rng.choice(NAMES)), (inner(), inner()))
        case 4:
            attributes = ("shape", "strides", "offset", "storage", "size", "kind")
            state = {rng.choice(attributes): inner()}
            return WithState(any_tensor(rng), rng.choice([state, (None, state)]))
        case 5:
            return {"a": inner(), rng.choice(["model", "b"]): any_tensor(rng)}
    return any_tensor(rng)


def any_tensor(rng):
    """A tensor whose numbers may be anything."""

    def maybe(value):
        return rng.choice(NUMBERS) if rng.random() < 0.05 else value

    shape = tuple(maybe(n) for n in rng.choice([(2, 3), (6,), (1, 1), ()]))
    strides = tuple(maybe(n) for n in rng.choice([(3, 1), (1,), (0, 0), ()]))
    kind = rng.choice(["FloatStorage"] * 6 + ["DoubleStorage", "BFloat16Storage"])
    return tensor(kind, maybe("0"), maybe(6), shape, strides, maybe(0))


def test_pickles_that_want_to_deceive(tmp_path):
    rng = random.Random(0)
    read = 0
    for _ in range(400):
        write = rng.choice([torch_files.archive, torch_files.legacy])
        weights = {"a": any_tensor(rng)}
        if rng.random() < 0.3:
            weights["b"] = any_value(rng)
        tree = {rng.choice(["model", "ema", "x"]): weights, "c": any_value(rng)}
        state = reading(write(tmp_path / "x.pth", tree, {"0": (6, BYTES)}))
        if state is None:
            continue
        read += 1
        for array in state.values():  # each number is one of the file
            some = np.asarray(array)[tuple(slice(3) for _ in array.shape)]
            assert set(np.ravel(some)) <= set(range(6))
    assert 20 < read < 380


def test_headers_that_want_to_deceive(tmp_path):
    rng = random.Random(0)
    path = tmp_path / "x.safetensors"
    for _ in range(100):
        entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
        key = rng.choice(list(entry))
        entry[key] = rng.choice(
            [*NUMBERS, *OTHERS, [2**40, 2**40], [-1, 3], [0, 2**40]]
        )
        header = json.dumps({rng.choice(["a", "x" * 10**5]): entry}).encode()
        size = rng.choice([len(header)] * 5 + [2**62, 0])
        path.write_bytes(struct.pack("<Q", size) + header + BYTES)
        state = reading(path)
        assert state is None or is_sound(state)


def test_archives_of_keras_that_want_to_deceive(tmp_path):
    rng = random.Random(0)
    write_hdf5(tmp_path / "x.h5")
    content = (tmp_path / "x.h5").read_bytes()
    layer = {"class_name": "Conv2D", "config": {"name": "a", "use_bias": False}}
    for _ in range(100):
        config = {"config": {"layers": [json.loads(json.dumps(layer))]}}
        place = config
        for _ in range(rng.randrange(5)):
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = rng.choice(list(keys))
            if not isinstance(place[key], dict | list):
                break
            place = place[key]
        keys = list(place) if isinstance(place, dict) else range(len(place))
        place[rng.choice(list(keys))] = rng.choice([*NUMBERS, *OTHERS, "[" * 10**4])
        with zipfile.ZipFile(tmp_path / "x.keras", "w") as file:
            file.writestr("config.json", json.dumps(config))
            file.writestr("model.weights.h5", content)
        state = reading(tmp_path / "x.keras")
        assert state is None or is_sound(state)


@pytest.fixture(scope="module")
def described():
    """A network.json of a small network."""
    spec = get_spec("se_resnet50", resolution=64)
    spec = with_backbone(spec, blocks=spec.backbone.blocks[:2])
    sound = Description(
        network=spec, preprocessing=Preprocessing(), class_names=("cat", "dog")
    )
    return sound.model_dump(mode="json")


def places_of(value, place=()):
    """Every place in JSON values."""
    yield place
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places_of(inner, (*place, key))


def test_descriptions_that_want_to_deceive(tmp_path, described):
    rng = random.Random(0)
    places = [place for place in places_of(described) if place]
    file = tmp_path / "network.json"
    refused = 0
    for _ in range(400):
        values = json.loads(json.dumps(described))
        *path, last = rng.choice(places)
        inner = values
        for key in path:
            inner = inner[key]
        inner[last] = rng.choice([*NUMBERS, *OTHERS])
        file.write_text(json.dumps(values))
        try:
            network = trained.describe(str(tmp_path)).network
            limits.check(network)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 200
