"""What a trained network is, but for its weights: the text beside them in a folder."""

import json
from typing import Annotated, Any, Literal

import pydantic

from mobilenets.config.schema import Preprocessing
from mobilenets.errors import UserError
from mobilenets.geography.cells import wrong_token
from mobilenets.networks import complexity, limits
from mobilenets.networks.architectures import check
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec, backbone_of

FORMAT_VERSION = 2

# Each kind of network says which one it is in its field "kind".
Network = Annotated[
    ClassifierSpec | BackboneSpec | DetectorSpec | SegmenterSpec | SearchSpace,
    pydantic.Field(discriminator="kind"),
]


class Description(pydantic.BaseModel):
    """All that is needed to use weights.

    A backbone has no outputs, so `class_names` is empty; it serves `features` and
    `init_from`.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[2] = FORMAT_VERSION
    task: str = "classification"  # by its name in the config
    network: Network
    preprocessing: Preprocessing  # what the weights expect of an image
    # Of each output: a class or an attribute. A detector's background has no name.
    class_names: tuple[str, ...]
    # The probability from which an image has an attribute; None where it has one class.
    threshold: float | None = None
    # Of a geolocalization, whose class names are the tokens of cells: latitude and
    # longitude in degrees that stand for each; None for all others.
    places: tuple[tuple[float, float], ...] | None = None


def from_values(values: Any) -> Description:
    """The description in a JSON object, of this version or of 0.1.

    Raises:
      ValueError, TypeError, ArithmeticError, KeyError, UserError: it describes no
        network.
    """
    if "format_version" not in values:
        values = _from_version_1(values)
    # Not of the values: only JSON has lists where there are tuples here.
    description = Description.model_validate_json(json.dumps(values))
    outputs = len(description.class_names)
    if (outputs == 0) != isinstance(description.network, BackboneSpec):
        raise UserError(f"a {description.network.kind} has {outputs} class names")
    threshold = description.threshold
    if threshold is not None and not 0 < threshold < 1:
        raise UserError(f"the threshold is {threshold}, but must be between 0 and 1")
    _check_cells(description)
    check_network(description.network, outputs)
    return description


def _check_cells(description: Description) -> None:
    """Raises UserError where the cells of a geolocalization are none."""
    places, tokens = description.places, description.class_names
    if (places is None) != (description.task != "geolocalization"):
        has = "no places" if places is None else "places"
        raise UserError(f"the task is {description.task}, but there are {has}")
    if places is None:
        return
    if len(places) != len(tokens):
        raise UserError(f"{len(tokens)} cells have {len(places)} places")
    wrong = wrong_token(tokens)
    if wrong is not None:
        raise UserError(
            f"{wrong!r} is no cell of S2, or does not follow the ones before"
        )
    for latitude, longitude in places:
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # nan is not, either
            raise UserError(f"{latitude}, {longitude} is no place on the earth")


def check_network(network: Network, outputs: int) -> None:
    """Raises UserError where a network of a file can be none, or fills the memory.

    Args:
      network: its spec.
      outputs: the number of classes or attributes.
    """
    blocks = len(backbone_of(network).blocks)
    if blocks > limits.MOST_BLOCKS_TO_BUILD:
        raise UserError(
            f"backbone.blocks must be at most {limits.MOST_BLOCKS_TO_BUILD:,}, but has "
            f"{blocks:,}"
        )
    check(network)
    parameters = complexity.params(network, outputs)
    if parameters > limits.MOST_PARAMETERS:
        raise UserError(f"the network has {parameters:,} parameters, which is too many")


# Fields of a network of version 0.1 that are the classifier's now, not the backbone's.
_OF_THE_CLASSIFIER = ("dropout_rate", "head_dense_channels", "head_dense_bias")


def _from_version_1(values: dict[str, Any]) -> dict[str, Any]:
    """A description of version 0.1, in which all networks were flat classifiers."""
    spec = dict(values["spec"])
    head = {key: spec.pop(key) for key in _OF_THE_CLASSIFIER if key in spec}
    return {
        "task": "classification",
        "network": {"kind": "classifier", "backbone": spec, **head},
        "preprocessing": values["preprocessing"],
        "class_names": values["class_names"],
    }
