"""A network of the user's own: a spec from a Python file, a module or a JSON file."""

import importlib
import json
import pathlib
import runpy
from collections.abc import Mapping
from typing import Any

import pydantic

from mobilenets.errors import UserError
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.networks.spec import ClassifierSpec


def of_model(model: Mapping[str, Any]) -> ClassifierSpec:
    """The network that a config's `model` describes: by `name`, or by `spec`.

    Raises:
      UserError: see `get_spec`, `own_spec` and `replace`.
    """
    overrides = dict(model)
    if "spec" not in overrides:
        return get_spec(**overrides)
    return replace(own_spec(overrides.pop("spec")), **overrides)


def own_spec(text: str) -> ClassifierSpec:
    """The spec that a text points to.

    Args:
      text: "FILE.py:FUNCTION" or "PACKAGE.MODULE:FUNCTION", a function without
        arguments that returns a spec; or "FILE.json".

    Raises:
      UserError: there is no such file, module or function, it fails, or what it gives
        is no spec.
    """
    if text.endswith(".json"):
        return _from_json(pathlib.Path(text))
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise UserError(
            f"model.spec is {text!r}, but must be FILE.py:FUNCTION, "
            "PACKAGE.MODULE:FUNCTION or FILE.json."
        )
    function = _names(place).get(name)
    if not callable(function):
        raise UserError(f"{place} has no function {name}.")
    try:
        spec = function()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{name} of {place} fails with {type(error).__name__}: {error}."
        ) from None
    if not isinstance(spec, ClassifierSpec):
        raise UserError(f"{name} of {place} must return a spec, but gave {spec!r}.")
    return spec


def _names(place: str) -> dict[str, Any]:
    """What a Python file or a module defines."""
    is_file = place.endswith(".py")
    if is_file and not pathlib.Path(place).is_file():
        raise UserError(f"There is no file {place}.")
    try:
        return (
            runpy.run_path(place) if is_file else vars(importlib.import_module(place))
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{place} fails with {type(error).__name__}: {error}."
        ) from None


def _from_json(path: pathlib.Path) -> ClassifierSpec:
    try:
        text = path.read_text()
        json.loads(text)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}.") from None
    try:
        return pydantic.TypeAdapter(ClassifierSpec).validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is no spec: {where}: {first['msg']}.") from None
