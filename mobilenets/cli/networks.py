"""The network a user names: a run, a folder of weights, or the name of a network."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mobilenets.cli.command_line import prepare_jax
from mobilenets.errors import UserError, suggestions
from mobilenets.networks.architectures import ARCHITECTURES, replace
from mobilenets.networks.architectures.deeplab import (
    SEGMENTERS,
    get_segmenter,
    published_classes,
)
from mobilenets.networks.architectures.ssd import (
    COCO_NUMBERS,
    DETECTORS,
    get_detector,
)
from mobilenets.networks.own_spec import is_own, named_or_own
from mobilenets.networks.spec import BackboneSpec

if TYPE_CHECKING:
    from mobilenets.inference.trained import Net
    from mobilenets.nn.build import Network

_FILES = "The workdir of a run, a folder of weights, an exported file"
TRAINED = (
    "The workdir of a run, a folder of weights, or a name from `mobilenets pretrained`."
)
NAME_OR_FOLDER = f"{_FILES}, a network's JSON file, or a name from `mobilenets list`."
NAME_OR_WEIGHTS = f"{_FILES}, or a name from `mobilenets pretrained`."
HUB = "timm/"  # how names of weights on the Hugging Face hub begin

_IMAGENET = 1000  # classes of a network that is given by its name


@dataclasses.dataclass(frozen=True)
class Given:
    """A network whose weights do not matter.

    Args:
      name: as the user gave it.
      spec: of the network.
      num_classes: of the weights, 0 for a backbone; by name 1000 for a classifier, 90
        for a detector, and for a segmenter those of `published_classes`.
      folder: where it was found, "" for an architecture.
    """

    name: str
    spec: "Network"
    num_classes: int
    folder: str


def network(text: str, **overrides: Any) -> Given:
    """The network of a run, of a folder of weights, or of that name.

    Args:
      text: a folder, a name of `ARCHITECTURES`, `DETECTORS` or `SEGMENTERS`, or what
        `own_spec` takes.
      **overrides: see `get_spec`, `get_detector` and `get_segmenter`; of a folder, see
        `replace`.

    Raises:
      UserError: there is no such network, the folder holds no weights, or an override
        is wrong.
    """
    listed_by = "mobilenets list"
    if text in DETECTORS and not _has_network(text):
        return Given(text, get_detector(text, **overrides), COCO_NUMBERS, "")
    if is_file(text) and not is_own(text):
        return _of_file(text, overrides)
    if text in SEGMENTERS and not _has_network(text):
        spec = get_segmenter(text, **overrides)
        return Given(text, spec, published_classes(text), "")
    names = [*ARCHITECTURES, *DETECTORS, *SEGMENTERS]
    if is_own(text) or not _is_folder(text, "architecture", names, listed_by):
        return Given(text, named_or_own(text, **overrides), _IMAGENET, "")
    if {"width_multiplier", "depth_multiplier"} & set(overrides):
        raise UserError(
            f"{text} is a trained network with fixed width and depth: leave out "
            "--width and --depth."
        )
    prepare_jax()
    from mobilenets.inference import trained

    description = trained.describe(text)
    spec = description.network
    if isinstance(spec, BackboneSpec):
        return Given(text, replace(spec, **overrides), 0, text)
    classes = len(description.class_names)
    return Given(text, replace(spec, **overrides), classes, text)


def _of_file(text: str, overrides: Mapping[str, Any]) -> Given:
    """The network of an exported file, which is what it is."""
    if overrides:
        raise UserError(
            f"{text} is an exported network with fixed width, depth and resolution: "
            "leave out --width, --depth and --resolution."
        )
    prepare_jax()
    from mobilenets.export import exported

    description = exported.describe(text)
    return Given(text, description.network, len(description.class_names), text)


def load(text: str) -> "Net":
    """The network of an exported file, of a run, of a folder, or of a name of weights.

    Raises:
      UserError: see `weights`; there is no network in it, or it is damaged.
    """
    from mobilenets.export import exported
    from mobilenets.inference import trained

    return exported.load(text) if is_file(text) else trained.load(weights(text))


def is_file(text: str) -> bool:
    """Whether it can only be an exported file."""
    return pathlib.Path(text).expanduser().is_file()


def weights(text: str) -> str:
    """The folder of a run or of weights. Weights given by name are downloaded first.

    Args:
      text: a folder, a name in `catalogue.CATALOGUE`, or one on the hub.

    Raises:
      UserError: it is none of them, or cannot be downloaded.
    """
    from mobilenets.pretrained.catalogue import CATALOGUE

    names = [*CATALOGUE, f"{HUB}MODEL.TAG"]
    on_hub = text.startswith(HUB) and not pathlib.Path(text).is_dir()
    is_folder = not on_hub and _is_folder(
        text, "pretrained network", names, "mobilenets pretrained"
    )
    return text if is_folder else fetched(text)


def fetched(name: str) -> str:
    """The folder of a pretrained network in the user's cache; downloads it if needed.

    Raises:
      UserError: see `importing.fetch`.
    """
    from mobilenets.inference import trained
    from mobilenets.pretrained import importing
    from mobilenets.runtime import user_cache

    folder = user_cache.folder(name)
    if not folder.exists():
        trained.save(importing.fetch(name), str(folder))
    return str(folder)


def _is_folder(text: str, kind: str, names: Iterable[str], listed_by: str) -> bool:
    """Whether it is a folder, not one of the names.

    If it could be both, it is the folder if that contains a network.

    Raises:
      UserError: it is neither.
    """
    if text in names and not _has_network(text):
        return False
    if pathlib.Path(text).expanduser().is_dir():
        return True
    if "/" in text:  # a path, not the mistyped name of a network
        raise UserError(f"There is no folder {text}.")
    raise UserError(
        f"There is no folder {text}, and no {kind} {text!r}"
        f"{suggestions(text, names, listed_by)}"
    )


def _has_network(text: str) -> bool:
    """Whether it is a folder with a network in it."""
    folder = pathlib.Path(text).expanduser()
    return any((folder / f).exists() for f in ("network.json", "config.json"))
