"""Exact parameters, multiply-adds (MAdds) and feature maps of a network. No JAX.

FLOPs are twice the MAdds; see `networks.layers`.
"""

from mobilenets.networks.layers import Layer
from mobilenets.networks.spec import NetworkSpec


def layers(spec: NetworkSpec, num_classes: int = 1000) -> list[Layer]:
    """Every layer of the network that has parameters, in the order of execution.

    Args:
      spec: the network, or a backbone.
      num_classes: number of logits; not used for a backbone.
    """
    return spec.layers(num_classes)


def params(spec: NetworkSpec, num_classes: int = 1000) -> int:
    """Trainable parameters, without the running statistics of batch norm."""
    return sum(layer.params for layer in layers(spec, num_classes))


def madds(spec: NetworkSpec, num_classes: int = 1000) -> int:
    """Multiply-adds for one image of `spec.resolution` x `spec.resolution` pixels."""
    return sum(layer.madds for layer in layers(spec, num_classes))
