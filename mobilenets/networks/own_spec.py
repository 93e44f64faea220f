"""A network of the user's own: a spec from Python or JSON, in a file or as it is."""

import dataclasses
import json
import pathlib
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pydantic

from mobilenets.config import json_files, own_function
from mobilenets.errors import UserError
from mobilenets.networks.architectures import (
    ARCHITECTURES,
    get_search_space,
    get_spec,
    replace,
)
from mobilenets.networks.architectures.deeplab import get_segmenter
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import ClassifierSpec, HasBackbone

Kind = TypeVar("Kind", bound=HasBackbone)

# The published networks of a kind, by name and options.
_PUBLISHED: dict[type, Callable[..., Any]] = {
    ClassifierSpec: get_spec,
    DetectorSpec: get_detector,
    SegmenterSpec: get_segmenter,
    SearchSpace: get_search_space,
}


def of_model(model: Mapping[str, Any], kind: type[Kind] = ClassifierSpec) -> Kind:
    """The network that a config's `model` describes: by `name`, or by `spec`.

    Args:
      model: `spec` is what `own_spec` takes, or a dict with the fields of a spec.
      kind: of network.

    Raises:
      UserError: see `get_spec`, `own_spec` and `replace`; or the dict is no spec.
    """
    overrides = dict(model)
    if "spec" not in overrides:
        return _PUBLISHED[kind](**overrides)
    spec = overrides.pop("spec")
    own = own_spec(spec, kind) if isinstance(spec, str) else _from_values(spec, kind)
    return replace(own, **overrides)


def resolved(
    model: Mapping[str, Any], kind: type[Kind] = ClassifierSpec
) -> dict[str, Any]:
    """A config's `model` that needs no file: a spec is a dict of JSON values.

    Args:
      model: see `of_model`.
      kind: of network.

    Raises:
      UserError: see `own_spec`.
    """
    if not isinstance(model.get("spec"), str):
        return dict(model)
    return {**model, "spec": _to_values(own_spec(model["spec"], kind))}


def named_or_own(text: str, **overrides: Any) -> ClassifierSpec:
    """The network that a word of a command line means.

    Args:
      text: the name of one of ours, or what `own_spec` takes.
      **overrides: see `get_spec` and, for an own network, `replace`.

    Raises:
      UserError: see `get_spec`, `own_spec` and `replace`.

    >>> named_or_own("mobilenet_v2", resolution=96).resolution
    96
    """
    return of_model({"spec" if is_own(text) else "name": text, **overrides})


def is_own(text: str) -> bool:
    """Whether a word of a command line means a spec of the user's own."""
    return text not in ARCHITECTURES and (":" in text or text.endswith(".json"))


def own_spec(text: str, kind: type[Kind] = ClassifierSpec) -> Kind:
    """The spec that a text points to.

    Args:
      text: "FILE.py:FUNCTION" or "PACKAGE.MODULE:FUNCTION", a function without
        arguments that returns a spec; or "FILE.json".
      kind: of network.

    Raises:
      UserError: there is no such file, module or function, it fails, or what it gives
        is no spec.
    """
    if text.endswith(".json"):
        return _from_json(pathlib.Path(text), kind)
    forms = f"{own_function.FORMS.replace(' or ', ', ')} or FILE.json"
    spec = own_function.call(text, "model.spec", forms=forms)
    if not isinstance(spec, kind):
        raise UserError(
            f"{text} must return a {kind.__name__}, but returned {reprlib.repr(spec)}."
        )
    return spec


def _from_json(path: pathlib.Path, kind: type[Kind]) -> Kind:
    return _validated(json.dumps(json_files.load(path)), str(path), kind)


def _from_values(values: Mapping[str, Any], kind: type[Kind]) -> Kind:
    return _validated(json.dumps(values), "model.spec", kind)


def _to_values(spec: Any) -> dict[str, Any]:
    """As JSON has it, so that a saved config equals the one that was given."""
    return json.loads(json.dumps(dataclasses.asdict(spec)))


def _validated(text: str, place: str, kind: type[Kind]) -> Kind:
    try:
        spec = pydantic.TypeAdapter(kind).validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{place} is not a {kind.__name__}: {where}: {first['msg']}."
        ) from None
    for key in _unknown_keys(json.loads(text), _to_values(spec)):
        raise UserError(f"{place} is not a {kind.__name__}: it has no field {key}.")
    return spec


def _unknown_keys(given: Any, known: Any, place: str = "") -> Iterator[str]:
    """The dotted keys of JSON values that others do not have."""
    if isinstance(given, list):
        given, known = dict(enumerate(given)), dict(enumerate(known))
    if isinstance(given, dict):
        for key, value in given.items():
            if key not in known:
                yield f"{place}{key}"
            else:
                yield from _unknown_keys(value, known[key], f"{place}{key}.")
