"""A network that compiles in seconds, for runs of which the network does not matter."""

from mobilenets import get_spec
from mobilenets.networks.spec import with_backbone

VALUES = {"model.spec": f"{__file__}:network"}
OPTIONS = tuple(f"--config.{key}={value}" for key, value in VALUES.items())


def network():
    """The first two blocks of a quarter of MobileNetV1, without dropout."""
    spec = get_spec(
        "mobilenet_v1",
        width_multiplier=0.25,
        resolution=32,
        dropout_rate=0.0,
        bn_momentum=0.9,
    )
    return with_backbone(spec, blocks=spec.backbone.blocks[:2])
