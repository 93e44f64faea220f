"""Specs that version 0.1 wrote: backbone and head were one object."""

from typing import Any

_OF_HEAD = ("dropout_rate", "head_dense_channels", "head_dense_bias")


def upgrade(spec: Any) -> Any:
    """The JSON of a `ClassifierSpec` from that of version 0.1; all else as it is.

    >>> upgrade({"name": "mobilenet_v2", "dropout_rate": 0.2})
    {'backbone': {'name': 'mobilenet_v2'}, 'dropout_rate': 0.2}
    """
    if not isinstance(spec, dict) or "backbone" in spec:
        return spec
    backbone = {k: v for k, v in spec.items() if k not in _OF_HEAD}
    return {"backbone": backbone} | {k: v for k, v in spec.items() if k in _OF_HEAD}
