"""What a file takes and gives: the arrays of each kind of network, by their names."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.postprocessing import Detections, detect
from mobilenets.errors import UserError
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec
from mobilenets.nn.build import Network
from mobilenets.nn.detector import RawDetections
from mobilenets.nn.segmenter import SegmentationLogits

INPUT = "images"  # [N, resolution, resolution, 3] float32, normalised


def check(network: Network, detections: bool = False) -> None:
    """Raises UserError if a network cannot be written to a file.

    Args:
      network: its spec.
      detections: whether the file is to give them.
    """
    if isinstance(network, SearchSpace):
        raise UserError(
            f"{network.name} is a supernet: give the weights of a network that "
            "`mobilenets search` has extracted from it."
        )
    if detections and not isinstance(network, DetectorSpec):
        raise UserError(
            f"{network.name} is not a detector and finds no objects: leave out "
            "--detections."
        )


def output_names(network: Network, detections: bool = False) -> tuple[str, ...]:
    """The outputs of a network in a file.

    A classifier gives "logits" and "features", the vectors from which they are
    computed; a backbone its last map, "features"; a detector its `RawDetections`, or
    its `Detections`; a segmenter the "logits" of every pixel, a map. The "features" of
    these two are the means of the backbone's last map. The auxiliary head of a
    segmenter is for training alone.
    """
    if isinstance(network, BackboneSpec):
        return ("features",)
    if isinstance(network, DetectorSpec):
        of_anchors = Detections if detections else RawDetections
        return (*of_anchors._fields, "features")
    return ("logits", "features")


def arrays_of(
    network: Network, outputs: Any, detections: bool = False
) -> tuple[jax.Array, ...]:
    """The arrays of `output_names` in the outputs of the network's module."""
    if isinstance(network, BackboneSpec):
        return (outputs["features"],)
    first, endpoints = outputs
    if isinstance(network, DetectorSpec):
        found = _detected(first, network) if detections else first
        return *found, endpoints[network.feature_map].mean((1, 2))
    if isinstance(network, SegmenterSpec):
        return first.logits, endpoints[network.feature_map].mean((1, 2))
    return first, endpoints["pre_logits"]


def _detected(raw: RawDetections, spec: DetectorSpec) -> Detections:
    anchors = jnp.asarray(anchor_boxes(spec))
    return detect(raw.box_codes, raw.class_logits, anchors, spec)


def outputs_of(
    network: Network, arrays: Sequence[Any], detections: bool = False
) -> Any:
    """The outputs of the network's module of which `arrays_of` gives these arrays.

    `Detections` are in the place of the `RawDetections`, which are lost. Of the maps of
    a detector or a segmenter there is only the last, as one pixel: its mean.
    """
    if isinstance(network, BackboneSpec):
        return {"features": arrays[0]}
    *first, features = arrays
    if isinstance(network, DetectorSpec):
        found = Detections(*first) if detections else RawDetections(*first)
        return found, {network.feature_map: features[:, None, None]}
    if isinstance(network, SegmenterSpec):
        logits = SegmentationLogits(arrays[0], None)
        return logits, {network.feature_map: features[:, None, None]}
    return *first, {"pre_logits": features}
