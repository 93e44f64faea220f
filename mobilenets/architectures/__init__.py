"""The papers' networks by name. No JAX: a spec is data."""

import dataclasses
import inspect
import typing
from typing import Any

from mobilenets.architectures.mobilenet_v1 import mobilenet_v1
from mobilenets.architectures.mobilenet_v2 import mobilenet_v2
from mobilenets.errors import UserError, unknown
from mobilenets.spec import NetSpec, Padding

ARCHITECTURES = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}

# The fields of a finished spec that a caller may replace, and what each may be. The
# others follow from the paper's table.
_REPLACEABLE = {
    "stem_stride": (lambda v: v in (1, 2), "1 or 2"),
    "dropout_rate": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "bn_momentum": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "bn_epsilon": (lambda v: v > 0, "above 0"),
    "padding": (
        lambda v: v in typing.get_args(Padding),
        " or ".join(map(repr, typing.get_args(Padding))),
    ),
}


def get_spec(name: str, **overrides: Any) -> NetSpec:
    """The network of that name.

    Args:
      name: a key of `ARCHITECTURES`.
      **overrides: arguments of the architecture's own function (`width_multiplier`,
        `resolution`), or fields of the `NetSpec` that do not follow from its table:
        `stem_stride` (1 suits images of 32 pixels), `dropout_rate`, `bn_momentum`,
        `bn_epsilon`, `padding`.

    Raises:
      UserError: the name or a key is unknown, a value is out of its range, or the
        resolution is smaller than the network's output stride.

    >>> get_spec("mobilenet_v2", width_multiplier=0.5, resolution=160).stem_channels
    16
    """
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    function = ARCHITECTURES[name]
    parameters = inspect.signature(function).parameters
    allowed = [*parameters, *_REPLACEABLE]
    for key, value in overrides.items():
        if key not in allowed:
            raise unknown(f"option of {name}", key, allowed)
        _check_override(name, key, value)
    arguments = {k: v for k, v in overrides.items() if k in parameters}
    replaced = {k: v for k, v in overrides.items() if k in _REPLACEABLE}
    spec = dataclasses.replace(function(**arguments), **replaced)
    if spec.resolution < spec.output_stride:
        raise UserError(
            f"The resolution {spec.resolution} is too small for {name}: its output "
            f"stride is {spec.output_stride}, so it needs at least that many pixels."
            + (" stem_stride=1 halves the stride." if spec.stem_stride == 2 else "")
        )
    return spec


def _check_override(name: str, key: str, value: Any) -> None:
    rules = _REPLACEABLE | {
        "width_multiplier": (lambda v: v > 0, "above 0"),
        "resolution": (lambda v: isinstance(v, int) and v > 0, "a positive integer"),
    }
    is_allowed, range_in_words = rules[key]
    try:
        good = not isinstance(value, bool) and is_allowed(value)
    except TypeError:
        good = False
    if not good:
        raise UserError(f"{name}: {key} must be {range_in_words}, but is {value!r}.")
