"""Latencies for a report: measured once on each kind of device, and kept beside it."""

import hashlib
import json
import pathlib
import platform
from collections.abc import Callable, Mapping
from typing import Annotated

import jax
import pydantic
from annotated_types import Gt

from mobilenets.config import json_files
from mobilenets.config.schema import Section
from mobilenets.errors import UserError
from mobilenets.profiling import latency
from mobilenets.profiling.latency import Net
from mobilenets.runs.workdir import replace_file


class _Kept(Section):
    """What the file holds: the device, and seconds by the name of the network."""

    device: str
    seconds: dict[str, Annotated[float, Gt(0), pydantic.AllowInfNan(False)]]


def of(
    nets: Mapping[int, Net], kept: pathlib.Path, tell: Callable[[str], None]
) -> dict[int, float]:
    """Seconds of one image's inference.

    Those that were measured before on this kind of device are read from the file. All
    are measured again, in turn, when there is a network that is not among them.

    Args:
      nets: by the number of the point, or of the run.
      kept: the file; its folder exists.
      tell: is given a line for each stage of the work.
    """
    if not nets:
        return {}
    names = {number: _name(net) for number, net in nets.items()}
    device = machine()
    known = _read(kept, device)
    if not set(names.values()) <= known.keys():
        # Those that differ in their training alone have one network.
        different = {names[number]: net for number, net in nets.items()}
        measured = latency.measure(different, tell=tell)
        known = {name: found.median for name, found in measured.items()}
        kept_now = _Kept(device=device, seconds=known)
        replace_file(kept, kept_now.model_dump_json(indent=1) + "\n")
    return {number: known[name] for number, name in names.items()}


def machine() -> str:
    """This machine and its kind of device."""
    return f"{platform.node()}, {jax.devices()[0].device_kind}"


def _name(net: Net) -> str:
    """Of a network, from all that it is made of."""
    return hashlib.sha256(repr(net).encode()).hexdigest()[:16]


def _read(kept: pathlib.Path, device: str) -> dict[str, float]:
    """The seconds by name of the network; none of another kind of device.

    Of a damaged file there are none either: they are measured again.
    """
    if not kept.exists():
        return {}
    try:
        content = _Kept.model_validate_json(json.dumps(json_files.load(kept)))
    except (UserError, ValueError):
        return {}
    return content.seconds if content.device == device else {}
