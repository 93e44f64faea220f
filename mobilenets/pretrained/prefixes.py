"""What stands before all names of a network's arrays, because it is part of another.

`DataParallel` puts "module." there, `torch.compile` "_orig_mod.", Lightning "model.", a
network of the user's own "backbone." or the number in a sequence, "0.". Whatever it is,
it is found by the names that the network must have behind it.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from mobilenets.errors import UserError
from mobilenets.pretrained.formats.containers import Choice

_AVERAGED = re.compile(r"(^|[._/])(ema|swa|averaged?)([._/]|$)")


def without(
    arrays: Mapping[str, Any], keys: Collection[str], choice: Choice
) -> dict[str, Any]:
    """The arrays of one network by names without a prefix, and those of no network.

    Args:
      arrays: by all names of a file.
      keys: the names that the network must have.
      choice: where it is there several times, as under "model." and "ema.".

    Raises:
      UserError: two arrays would have the same name.
    """
    found = _prefixes(arrays, keys)
    if not found:
        return dict(arrays)
    chosen = min(
        found, key=lambda p: (bool(_AVERAGED.search(p)) != choice.averaged, len(p), p)
    )
    if _AVERAGED.search(chosen) and not choice.averaged:
        choice.tell(f"The file has only averaged weights, behind {chosen!r}.")
    rest = dict(arrays)
    for other in found:
        if other != chosen:
            choice.tell(
                f"The network is there twice: {chosen!r} is taken, not {other!r}."
            )
            for key in _behind(rest, other, chosen):
                del rest[key]
    inside = {
        k.removeprefix(chosen): v for k, v in rest.items() if k.startswith(chosen)
    }
    outside = {k: v for k, v in rest.items() if not k.startswith(chosen)}
    if twice := sorted(inside.keys() & outside.keys()):
        raise UserError(
            f"The weights have {twice[0]} both with and without {chosen!r} before it: "
            "save only the network."
        )
    return inside | outside


def _prefixes(arrays: Mapping[str, Any], keys: Collection[str]) -> list[str]:
    """Those behind which the most of the keys are, but at least one."""
    wanted = set(keys)
    first = next(iter(keys))
    ends = (key[: -len(first)] for key in arrays if key.endswith(first))
    candidates = dict.fromkeys(p for p in ends if not p or p[-1] in "./")
    present = {
        prefix: sum(f"{prefix}{key}" in arrays for key in wanted)
        for prefix in candidates
    }
    most = max(present.values(), default=0)
    return [prefix for prefix, count in present.items() if count == most]


def _behind(arrays: Mapping[str, Any], other: str, chosen: str) -> set[str]:
    """The arrays of the network behind another prefix than the chosen one."""
    keys = {key for key in arrays if key.startswith(other)}
    if not chosen.startswith(other):
        return keys
    # Also what is chosen is behind it. What has a counterpart there is left out.
    return {key for key in keys if f"{chosen}{key.removeprefix(other)}" in arrays}
