"""A network that compiles in seconds, for runs of which the network does not matter."""

VALUES = {
    "model.name": "mobilenet_v1",
    "model.width_multiplier": 0.25,
    "model.depth_multiplier": 0.2,
}
OPTIONS = tuple(f"--config.{key}={value}" for key, value in VALUES.items())
