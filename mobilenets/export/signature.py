"""What a file takes and gives: the arrays of each kind of network, by their names."""

from collections.abc import Sequence
from typing import Any

import jax

from mobilenets.errors import UserError
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec
from mobilenets.nn.build import Network
from mobilenets.nn.detector import RawDetections
from mobilenets.nn.segmenter import SegmentationLogits

INPUT = "images"  # [N, resolution, resolution, 3] float32, normalised


def check(network: Network) -> None:
    """Raises UserError if a network cannot be written to a file."""
    if isinstance(network, SearchSpace):
        raise UserError(
            f"{network.name} is a supernet: give the weights of a network that "
            "`mobilenets search` has extracted from it."
        )


def output_names(network: Network) -> tuple[str, ...]:
    """The outputs of a network in a file.

    A classifier gives "logits" and "features", the vectors from which they are
    computed; a backbone its last map, "features"; a detector its `RawDetections`; a
    segmenter the "logits" of every pixel, a map. Its auxiliary head is for training
    alone.
    """
    if isinstance(network, BackboneSpec):
        return ("features",)
    if isinstance(network, DetectorSpec):
        return RawDetections._fields
    if isinstance(network, SegmenterSpec):
        return ("logits",)
    return ("logits", "features")


def arrays_of(network: Network, outputs: Any) -> tuple[jax.Array, ...]:
    """The arrays of `output_names` in the outputs of the network's module."""
    if isinstance(network, BackboneSpec):
        return (outputs["features"],)
    first, endpoints = outputs
    if isinstance(network, DetectorSpec):
        return tuple(first)
    if isinstance(network, SegmenterSpec):
        return (first.logits,)
    return first, endpoints["pre_logits"]


def outputs_of(network: Network, arrays: Sequence[Any]) -> Any:
    """The outputs of the network's module of which `arrays_of` gives these arrays."""
    if isinstance(network, BackboneSpec):
        return {"features": arrays[0]}
    if isinstance(network, DetectorSpec):
        return RawDetections(*arrays), {}
    if isinstance(network, SegmenterSpec):
        return SegmentationLogits(arrays[0], None), {}
    logits, features = arrays
    return logits, {"pre_logits": features}
