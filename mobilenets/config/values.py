"""The dictionary that a config file builds, before it is checked."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from mobilenets.config.schema import Configuration


class Values(ml_collections.ConfigDict):
    """A `ConfigDict` that keeps the order of its keys and takes values of any type.

    The order is that of the operations in `augmentation`. Types are checked later, by
    `check.check`, which has the better message.
    """

    def __init__(self, values: Mapping[str, Any] | None = None):
        super().__init__(type_safe=False, sort_keys=False)
        for key, value in (values or {}).items():
            self[key] = value

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, Values(value) if isinstance(value, dict) else value)


def defaults() -> Values:
    """The default of every value, for a config file to start from.

    Of a section that has kinds, such as the optimizer, it has the name and what all
    kinds share; the rest has its default where the config is checked.
    """
    default = Configuration.model_construct()
    values = as_dict(default)
    for name in Configuration.TAGGED:
        kind = type(getattr(default, name))
        shared = kind.__mro__[1].model_fields
        values[name] = {k: v for k, v in values[name].items() if k in {"name", *shared}}
    return Values(values)


def of(config: Configuration) -> Values:
    """What a config file would have built for that configuration."""
    return Values(as_dict(config))


def as_dict(config: Configuration) -> dict[str, Any]:
    """All values in dicts, as config files have them: those of operations by name."""
    values = config.model_dump()
    operations = [dict(operation) for operation in values["augmentation"]]
    return values | {"augmentation": {o.pop("name"): o for o in operations}}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts under dotted keys; an empty dict is a leaf.

    >>> flatten({"model": {"name": "moga_a"}, "evals": {}})
    {'model.name': 'moga_a', 'evals': {}}
    """
    result = {}
    for key, value in tree.items():
        inner = isinstance(value, Mapping) and value
        result |= flatten(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return result


def resolve(config: ml_collections.ConfigDict) -> tuple[dict[str, Any], dict[str, str]]:
    """Plain dicts with the values of references; and why a reference has none, by key.

    A reference is computed from another value, which may be of a wrong type.
    """
    values, failed = {}, {}
    for key in config:
        try:
            value = config[key]
        except Exception as error:  # of whatever the config file computes
            failed[key] = str(error) or type(error).__name__
            continue
        if isinstance(value, ml_collections.ConfigDict):
            value, inner = resolve(value)
            failed |= {f"{key}.{k}": reason for k, reason in inner.items()}
        values[key] = value
    return values, failed
