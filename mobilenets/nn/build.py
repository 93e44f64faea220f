"""The one way from the spec of a network, of whatever kind, to its module."""

from typing import Any

from mobilenets.networks.spec import BackboneSpec, ClassifierSpec
from mobilenets.nn.backbone import Backbone
from mobilenets.nn.classifier import Classifier

Network = BackboneSpec | ClassifierSpec


def build(network: Network, outputs: int, **options: Any) -> Backbone | Classifier:
    """The Linen module of a network.

    Args:
      network: its spec.
      outputs: the number of classes or attributes; a backbone has none.
      **options: fields of the module, such as `dtype` and `frozen`.
    """
    if isinstance(network, BackboneSpec):
        return Backbone(network, **options)
    return Classifier(network, outputs, **options)
