"""What a file takes and gives: the arrays of each kind of network, by their names."""

from collections.abc import Sequence
from typing import Any

import jax

from mobilenets.errors import UserError
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec
from mobilenets.nn.build import Network
from mobilenets.nn.detector import RawDetections

INPUT = "images"  # [N, resolution, resolution, 3] float32, normalised


def check(network: Network) -> None:
    """Raises UserError if a network cannot be written to a file."""
    if isinstance(network, SegmenterSpec):
        raise UserError(
            f"{network.name} is a segmenter, which cannot be exported: give weights of "
            "a classifier, a detector or a backbone."
        )


def output_names(network: Network) -> tuple[str, ...]:
    """The outputs of a network in a file.

    A classifier gives "logits" and "features", the vectors from which they are
    computed; a backbone its last map, "features"; a detector its `RawDetections`.
    """
    if isinstance(network, BackboneSpec):
        return ("features",)
    if isinstance(network, DetectorSpec):
        return RawDetections._fields
    return ("logits", "features")


def arrays_of(network: Network, outputs: Any) -> tuple[jax.Array, ...]:
    """The arrays of `output_names` in the outputs of the network's module."""
    if isinstance(network, BackboneSpec):
        return (outputs["features"],)
    first, endpoints = outputs
    if isinstance(network, DetectorSpec):
        return tuple(first)
    return first, endpoints["pre_logits"]


def outputs_of(network: Network, arrays: Sequence[Any]) -> Any:
    """The outputs of the network's module of which `arrays_of` gives these arrays."""
    if isinstance(network, BackboneSpec):
        return {"features": arrays[0]}
    if isinstance(network, DetectorSpec):
        return RawDetections(*arrays), {}
    logits, features = arrays
    return logits, {"pre_logits": features}
