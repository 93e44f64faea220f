"""Exact parameters, multiply-adds (MAdds) and feature maps of a network. No JAX.

FLOPs are twice the MAdds; see `networks.layers`.
"""

from mobilenets.networks.layers import Layer
from mobilenets.networks.spec import (
    BackboneSpec,
    HasBackbone,
    NetworkSpec,
    with_backbone,
)


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


def activations(spec: NetworkSpec, num_classes: int = 1000) -> int:
    """Numbers in the outputs of all layers, for one image."""
    return sum(layer.activations for layer in layers(spec, num_classes))


def madds_of_image(
    spec: BackboneSpec | HasBackbone, height: int, width: int, num_classes: int = 1000
) -> int:
    """Multiply-adds for one image that need not be square.

    Args:
      spec: the network, or a backbone.
      height: of the image in pixels.
      width: of the image in pixels.
      num_classes: number of logits; not used for a backbone.
    """
    # A layer treats height and width alike: they are those of two square images.
    rows, columns = (
        layers(with_backbone(spec, resolution=pixels), num_classes)
        for pixels in (height, width)
    )
    return sum(
        row.weights * row.output_size * column.output_size
        for row, column in zip(rows, columns, strict=True)
    )
