"""What each number of a spec can be: a spec may come from a file by anybody.

The limits are far beyond every published network. They keep out what no network can
be, and what would only fill the memory.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from mobilenets.errors import UserError

Rule = tuple[Callable[[Any], bool], str]

MOST_PIXELS = 2**14
MOST_CHANNELS = 2**24
MOST_BLOCKS = 100_000
# In a file. A ResNet of 1,001 layers has 333; each takes a while to build.
MOST_BLOCKS_TO_BUILD = 1_000
MOST_PARAMETERS = 10**11  # EfficientNet-B7 has 66 million


def _whole(low: int, high: int) -> Rule:
    return (
        lambda v: isinstance(v, int) and low <= v <= high,
        f"a whole number from {low:,} to {high:,}",
    )


_CHANNELS = _whole(1, MOST_CHANNELS)
_NO_CHANNELS = _whole(0, MOST_CHANNELS)  # 0 leaves the layer out
_KERNEL: Rule = (
    lambda v: isinstance(v, int) and 1 <= v <= 63 and v % 2 == 1,
    "an odd number from 1 to 63",
)
_DILATION = _whole(1, 1024)
_DILATIONS: Rule = (
    lambda v: len(v) <= 64 and all(map(_DILATION[0], v)),
    "at most 64 whole numbers from 1 to 1,024",
)
_POOLING: Rule = (
    lambda v: v is None or all(map(_whole(1, MOST_PIXELS)[0], v)),
    f"whole numbers from 1 to {MOST_PIXELS:,}",
)
_NAME: Rule = (lambda v: len(v) <= 200, "at most 200 letters long")
_FRACTION: Rule = (lambda v: 0 <= v < 1, "at least 0 and below 1")
_RULES = {
    "resolution": _whole(1, MOST_PIXELS),
    "channels": _CHANNELS,
    "in_channels": _CHANNELS,
    "expanded_channels": _CHANNELS,
    "inner_channels": _CHANNELS,
    "out_channels": _CHANNELS,
    "stem_channels": _CHANNELS,
    "head_conv_channels": _NO_CHANNELS,
    "head_dense_channels": _NO_CHANNELS,
    "kernel_size": _KERNEL,
    "stem_kernel_size": _KERNEL,
    "stride": _whole(1, 8),
    "stem_stride": _whole(1, 8),
    "designed_stride": _whole(1, 8),
    "dilation": _DILATION,
    "rates": _DILATIONS,
    "pooling_stride": _POOLING,
    "filters": _CHANNELS,
    "dropout_rate": _FRACTION,
    "drop_path_rate": _FRACTION,
    "bn_momentum": _FRACTION,
    "bn_epsilon": (lambda v: 0 < v < math.inf, "above 0"),
    "name": _NAME,
    "low_level": _NAME,
    "feature": _NAME,
    "blocks": (lambda v: len(v) <= MOST_BLOCKS, f"at most {MOST_BLOCKS:,}"),
    "choices": (lambda v: len(v) <= MOST_BLOCKS, f"at most {MOST_BLOCKS:,}"),
}


def check(spec: Any, place: str = "") -> None:
    """Raises UserError if a number of a spec is none that a network can have.

    Args:
      spec: of a network or of a part of it, a dataclass. A field without a rule, as a
        block of the user's own may have, can be anything.
      place: where it is in the network, for the message: "blocks.3.".
    """
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if field.name in _RULES:
            _check_value(f"{place}{field.name}", value, _RULES[field.name])
        parts = enumerate(value) if isinstance(value, tuple) else [("", value)]
        for i, part in parts:
            if dataclasses.is_dataclass(part):
                number = f"{i}." if isinstance(value, tuple) else ""
                check(part, f"{place}{field.name}.{number}")


def _check_value(key: str, value: Any, rule: Rule) -> None:
    is_allowed, in_words = rule
    try:
        good = not isinstance(value, bool) and is_allowed(value)
    except TypeError:
        good = False
    if not good:
        given = f"is {value!r}"
        if isinstance(value, tuple) and len(value) > 64:
            given = f"has {len(value):,}"
        raise UserError(
            f"There is no such network: {key} must be {in_words}, but {given}."
        )
