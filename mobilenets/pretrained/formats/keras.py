"""What Keras 2 and 3 save: HDF5 files, and zip archives with one in it.

- ".h5" and ".hdf5" of Keras 2, which Keras 3 writes as well: a group for each layer,
  with the variables by their names, which are in the attribute "weight_names", too; of
  a whole model all is in the group "model_weights".
  Source: keras/src/legacy/saving/legacy_h5_format.py of Keras 3.15.
- ".weights.h5" of Keras 3: a group for each layer, named after the layer's class and
  a counter in the order of `model.layers`, with the variables by their numbers:
  "layers/conv2d_1/vars/0". (Since about Keras 3.8 the name of the layer is there, in
  an attribute; attributes are not read.) Source: keras/src/saving/saving_lib.py.
- ".keras": a zip archive of "model.weights.h5", which is such a file, and
  "config.json", which has the names and options of all layers.
"""

import collections
import dataclasses
import io
import json
import pathlib
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from mobilenets.errors import UserError
from mobilenets.pretrained.formats import hdf5
from mobilenets.pretrained.formats.arrays import check_size

CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"

# The variables of a layer in the order of their numbers, by the class in snake case.
_VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
}
# The options that, if false, leave a variable out.
_OPTIONS = {"bias": "use_bias", "gamma": "scale", "beta": "center"}


@dataclasses.dataclass(frozen=True)
class _Layer:
    """What is known of the layer that a group is of."""

    name: str
    class_name: str  # in snake case
    options: dict[str, Any] | None = None  # None: unknown


def read_hdf5(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The variables in an HDF5 file of Keras.

    Returns:
      Of an ".h5" the weights by "layer/variable", as Keras 3 has it in `weight.path`:
      Keras 2's suffix ":0" is taken off, and its "depthwise_kernel" is a "kernel". Of a
      ".weights.h5", whose layers have no names, by Keras' own paths,
      "layers/conv2d_1/vars/0": see `rename_keras_variables`. What belongs to the
      optimizer and the metrics is left out.

    Raises:
      UserError: the file is not of Keras, refers to other files, or has two variables
        of the same name.
    """
    with h5py.File(path, "r") as file:
        return _read(file, path)


def read_archive(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The variables in a ".keras" file.

    Returns:
      The weights by "layer/variable", where a variable of a class of layers that is not
      known here has its number, "layer/0". The layers of a model that is a layer of
      another have their own names only. What is left out: see `read_hdf5`.

    Raises:
      UserError: as `read_hdf5`; or the archive has no weights in it.
    """
    with zipfile.ZipFile(path) as archive:
        check_size(path, sum(entry.file_size for entry in archive.infolist()))
        if _WEIGHTS not in archive.namelist():
            raise UserError(
                f"{path} has no {_WEIGHTS} in it: save the model with Keras 3, by "
                'model.save("name.keras").'
            )
        config = json.loads(archive.read(CONFIG))
        content = io.BytesIO(archive.read(_WEIGHTS))
    with h5py.File(content, "r") as file:
        arrays = _own_arrays(hdf5.contents(file, path))
    return _renamed(arrays, dict(_layers_of(config)), path)


def rename_keras_variables(
    state: Mapping[str, np.ndarray],
    layer_names: Mapping[str, Sequence[str]],
    head: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Names the variables of a ".weights.h5" after their layers.

    The model may be a layer of another model. What belongs to that alone, such as the
    user's own dense layer, keeps its path.

    Args:
      state: by Keras' paths, "layers/conv2d_1/vars/0". One by other keys, such as those
        of an ".h5", is returned as it is.
      layer_names: of all layers that have weights, by the class in snake case and in
        the order of `model.layers`: {"conv2d": ["stem_conv", ...], ...}.
      head: those that a model without its top lacks, of each class the last ones.

    Returns:
      The arrays by "stem_conv/kernel".

    Raises:
      UserError: the state has more or fewer layers of a class than names are given.

    >>> state = {"layers/conv2d/vars/0": np.zeros((3, 3, 3, 8))}
    >>> list(rename_keras_variables(state, {"conv2d": ["stem_conv"]}))
    ['stem_conv/kernel']
    """
    groups = {group for group, _, _ in map(_split, state) if group}
    if not groups:
        return dict(state)
    place = _place_of_model(groups)
    found = collections.Counter(_class_name(g) for g in groups if _place(g) == place)
    # With more layers than the model has, the head is the user's own.
    more = {c for c, names in layer_names.items() if found[c] > len(names)}
    layers = {}
    for class_name, names in layer_names.items():
        count, backbone = found[class_name], [n for n in names if n not in head]
        # That may have batch norms behind those of the model.
        is_other = class_name in more - {"batch_normalization"} and backbone
        if count < len(backbone) or is_other:
            raise UserError(
                f"The weights have {count} layers of the class {class_name}, but the "
                f"model has {len(names)}: give the model they belong to."
            )
        for number, name in enumerate(backbone if more else names[:count]):
            layers[_numbered(f"{place}{class_name}", number)] = _Layer(name, class_name)
    return _renamed(state, layers)


def _place(group: str) -> str:
    """Where the layers of a model are.

    >>> _place("layers/functional/layers/conv2d_1")
    'layers/functional/layers/'
    """
    return group[: group.rindex("/") + 1] if "/" in group else ""


def _place_of_model(groups: Iterable[str]) -> str:
    """Where the most layers are: those of the model, not of what it is a part of."""
    counts = collections.Counter(map(_place, sorted(groups)))
    return counts.most_common(1)[0][0]


def _read(file: h5py.File, path: pathlib.Path) -> dict[str, np.ndarray]:
    found = hdf5.contents(file, path)
    layers = {name for name, group in found.groups.items() if _is_legacy_layer(group)}
    if layers:
        return _read_legacy(found.datasets, layers, path)
    arrays = _own_arrays(found)
    if not any("vars/" in key for key in arrays):
        raise UserError(
            f"{path} is an HDF5 file, but has no weights of Keras in it: save it "
            'again, by model.save_weights("name.weights.h5").'
        )
    return arrays


def _is_legacy_layer(group: h5py.Group) -> bool:
    """Whether it has a list of variables: a long one is several, with numbers.

    What is in the list is where the data sets of the group are, too.
    """
    return "weight_names" in group.attrs or "weight_names0" in group.attrs


def _read_legacy(
    datasets: dict[str, h5py.Dataset], layers: set[str], path: pathlib.Path
) -> dict[str, np.ndarray]:
    pairs = []
    for where, dataset in datasets.items():
        # The name of a layer may have slashes in it, and so be in another's group.
        parents = map(str, pathlib.PurePosixPath(where).parents)
        layer = next((parent for parent in parents if parent in layers), None)
        if layer is None:
            raise ValueError(f"{where} belongs to no layer")
        if layer != "optimizer_weights":
            name = re.sub(r":\d+$", "", where.removeprefix(f"{layer}/"))
            pairs.append((name, hdf5.array(dataset)))
    arrays = _unique(pairs, path)
    return {_keras_3_name(name, arrays): array for name, array in arrays.items()}


def _keras_3_name(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Keras 3 has the longer name only in separable convolutions."""
    layer, _, variable = name.rpartition("/")
    if variable == "depthwise_kernel" and f"{layer}/pointwise_kernel" not in arrays:
        return f"{layer}/kernel"
    return name


def _own_arrays(found: hdf5.Contents) -> dict[str, np.ndarray]:
    return {
        key: hdf5.array(dataset)
        for key, dataset in found.datasets.items()
        if not key.startswith(("optimizer/", "metrics/"))
    }


def _layers_of(
    config: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, _Layer]]:
    """The paths of the groups of a model's layers, and the layers.

    A layer's group is named after its class, with a counter from the second on.
    """
    counts = collections.Counter()
    for layer in config["config"].get("layers", ()):
        class_name = _snake_case(layer["class_name"])
        group = _numbered(f"{prefix}layers/{class_name}", counts[class_name])
        counts[class_name] += 1
        options = layer["config"]
        yield group, _Layer(options["name"], class_name, options)
        if "layers" in options:  # a model
            yield from _layers_of(layer, f"{group}/")


def _renamed(
    arrays: Mapping[str, np.ndarray],
    layers: Mapping[str, _Layer],
    path: pathlib.Path | None = None,
) -> dict[str, np.ndarray]:
    """The arrays by "layer/variable"; where a group is of no known layer, as it was."""
    counts = collections.Counter(group for group, _, _ in map(_split, arrays))

    def name(key: str) -> str:
        group, _, number = _split(key)
        if group not in layers:
            return key
        variables = _variables(layers[group], counts[group])
        return f"{layers[group].name}/{variables.get(number, number)}"

    return _unique(((name(key), array) for key, array in arrays.items()), path)


def _variables(layer: _Layer, count: int) -> dict[str, str]:
    """The names of a layer's variables by their numbers.

    Args:
      layer: the layer.
      count: of its variables. Where it is not what it should be, as in a quantized
        layer, there are no names.
    """
    options = layer.options
    if options is None:
        options = {"use_bias": count > 1}
    variables = [
        variable
        for variable in _VARIABLES.get(layer.class_name, ())
        if variable not in _OPTIONS or options.get(_OPTIONS[variable], True)
    ]
    return (
        {str(i): v for i, v in enumerate(variables)} if len(variables) == count else {}
    )


def _unique(
    pairs: Iterable[tuple[str, np.ndarray]], path: pathlib.Path | None
) -> dict[str, np.ndarray]:
    arrays = {}
    for name, array in pairs:
        if name in arrays:
            raise UserError(
                f"{path or 'The state'} has two variables called {name}: give the "
                "layers of the model different names."
            )
        arrays[name] = array
    return arrays


def _split(key: str) -> tuple[str, str, str]:
    """The group of a variable and, after what stands between them, its number.

    >>> _split("layers/conv2d_1/vars/0")
    ('layers/conv2d_1', '/vars/', '0')
    """
    return key.rpartition("/vars/")


def _class_name(group: str) -> str:
    """The class after which a group is named.

    >>> _class_name("layers/depthwise_conv2d_12")
    'depthwise_conv2d'
    """
    return re.sub(r"_\d+$", "", group.rpartition("/")[2])


def _numbered(group: str, number: int) -> str:
    return f"{group}_{number}" if number else group


def _snake_case(class_name: str) -> str:
    """As Keras writes a class in a path.

    >>> _snake_case("DepthwiseConv2D"), _snake_case("PReLU")
    ('depthwise_conv2d', 'p_re_lu')
    """
    starts = r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])"
    return re.sub(starts, "_", class_name).lower()
