"""The one way from the spec of a network, of whatever kind, to its module."""

from typing import Any

from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec
from mobilenets.nn.backbone import Backbone
from mobilenets.nn.classifier import Classifier
from mobilenets.nn.detector import Detector
from mobilenets.nn.segmenter import Segmenter
from mobilenets.nn.supernet import Supernet

Network = BackboneSpec | ClassifierSpec | DetectorSpec | SegmenterSpec | SearchSpace
Module = Backbone | Classifier | Detector | Segmenter | Supernet


def build(network: Network, outputs: int, **options: Any) -> Module:
    """The Linen module of a network.

    Args:
      network: its spec.
      outputs: the number of classes or attributes, for a detector without the
        background; a backbone has none.
      **options: fields of the module, such as `dtype` and `frozen`.
    """
    if isinstance(network, BackboneSpec):
        return Backbone(network, **options)
    if isinstance(network, DetectorSpec):
        return Detector(network, outputs, **options)
    if isinstance(network, SegmenterSpec):
        return Segmenter(network, outputs, **options)
    if isinstance(network, SearchSpace):
        return Supernet(network, outputs, **options)
    return Classifier(network, outputs, **options)
