"""Where the weights are in a training checkpoint: in which of its dictionaries."""

import dataclasses
from collections.abc import Callable
from typing import Any

# The names that training programs give, first choice first: timm, torchvision,
# Lightning, Ultralytics, segmentation and detection toolboxes.
AVERAGED = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "model_ema_state_dict",
    "ema_model_state_dict",
    "ema_model",
    "ema",
    "params_ema",
    "swa_state_dict",
    "model_swa",
)
LATEST = (
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "module",  # of an average, beside its decay
    "weights",
    "params",
    "backbone",
)
_DEEPEST = 4


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which of several sets of weights is wanted.

    Args:
      averaged: whether averaged weights are, where a file has them; else the latest.
      tell: is given a line for what is chosen.
    """

    averaged: bool = True
    tell: Callable[[str], None] = lambda line: None


def find(tree: Any, choice: Choice, is_weights: Callable[[Any], bool]) -> Any:
    """The innermost dictionary that holds the weights, or what is in its place.

    Args:
      tree: what was saved.
      choice: which weights are wanted.
      is_weights: whether a value is a dictionary of named weights.
    """
    for _ in range(_DEEPEST):
        if not isinstance(tree, dict):
            return tree
        averaged = _filled(tree, AVERAGED)
        latest = _filled(tree, LATEST)
        names = [*averaged, *latest] if choice.averaged else [*latest, *averaged]
        if not names:
            inside = [key for key, value in tree.items() if is_weights(value)]
            if is_weights(tree) or len(inside) != 1:
                return tree
            names = inside
        if averaged and latest:
            others = latest if choice.averaged else averaged
            choice.tell(
                f"The file has {names[0]} and {others[0]}: the "
                f"{'averaged' if choice.averaged else 'latest'} weights, {names[0]}, "
                "are taken."
            )
        elif averaged and not choice.averaged:
            choice.tell(f"The file has only averaged weights, {names[0]}.")
        elif len(names) > 1:
            choice.tell(f"The file has {' and '.join(names)}: {names[0]} is taken.")
        tree = tree[names[0]]
    return tree


def _filled(tree: dict, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if isinstance(tree.get(name), dict)]
