"""The maps of a backbone by the names that its module gives them."""

import re

from mobilenets.errors import UserError
from mobilenets.networks.spec import BackboneSpec


def last_map(backbone: BackboneSpec) -> str:
    """The name of the last one.

    >>> from mobilenets import get_spec
    >>> last_map(get_spec("mobilenet_v1").backbone)
    'block12'
    """
    if backbone.head_conv_channels:
        return "head_conv"
    return f"block{len(backbone.blocks) - 1}"


def size_and_channels(backbone: BackboneSpec, name: str) -> tuple[int, int]:
    """Height (and width) in pixels and channels of one of the backbone's maps.

    Raises:
      UserError: there is no such map.

    >>> from mobilenets import get_spec
    >>> size_and_channels(get_spec("mobilenet_v2").backbone, "block13/expand")
    (14, 576)
    """
    layers = {layer.name: layer for layer in backbone.layers()}
    if name in layers and re.fullmatch(r"head_conv|block\d+/(expand|depthwise)", name):
        return layers[name].output_size, layers[name].channels
    for i, block in enumerate(backbone.blocks):
        if name == f"block{i}":
            sizes = [
                layer.output_size
                for path, layer in layers.items()
                if path.startswith(f"{name}/") and layer.operator != "dense"
            ]
            return min(sizes), block.out_channels
    raise UserError(
        f"{backbone.name} has no feature map {name!r}: give the name of a block, such "
        "as 'block3', 'block3/expand' and 'block3/depthwise' for the maps before and "
        "after its depthwise convolution, or 'head_conv'."
    )
