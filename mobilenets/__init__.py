"""Efficient vision networks in JAX and Flax, exact to the papers' released models.

import mobilenets
model = mobilenets.create_model("mobilenet_v2", num_classes=10)
"""

from typing import TYPE_CHECKING

from mobilenets.errors import UserError
from mobilenets.networks.architectures import ARCHITECTURES, get_spec, replace
from mobilenets.networks.spec import NetSpec

if TYPE_CHECKING:
    from mobilenets.nn.convnet import ConvNet, create_model

__version__ = "0.1.0"
__all__ = [
    "ARCHITECTURES",
    "ConvNet",
    "NetSpec",
    "UserError",
    "create_model",
    "get_spec",
    "replace",
]


def __getattr__(name: str):
    """Imports what needs JAX when it is first asked for; specs need none."""
    if name in ("ConvNet", "create_model"):
        from mobilenets.nn import convnet

        return getattr(convnet, name)
    raise AttributeError(f"module 'mobilenets' has no attribute {name!r}")
