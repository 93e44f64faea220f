"""A function of the user's own that a config names, in a file or in a module."""

import importlib
import pathlib
import runpy
from collections.abc import Callable
from typing import Any

from mobilenets.errors import UserError, closest

FORMS = "FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION"


def call(text: str, key: str, *arguments: Any, forms: str = FORMS) -> Any:
    """Calls the function that a text names.

    Args:
      text: one of `FORMS`.
      key: of the config, for the message.
      *arguments: what the function is given.
      forms: what the text may be, for the message.

    Raises:
      UserError: there is no such file, module or function, or it fails.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise UserError(f"{key} is {text!r}, but must be {forms}.")
    try:
        function = _function(place, name)
    except UserError as error:
        raise UserError(f"{key} is {text!r}. {error}") from None
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{name} of {place} fails with {type(error).__name__}: {error}."
        ) from None


def _function(place: str, name: str) -> Callable[..., Any]:
    functions = {k: v for k, v in _names(place).items() if callable(v)}
    if name not in functions:
        close = closest(name, list(functions))
        hint = f": did you mean {close}?" if close else "."
        raise UserError(f"{place} has no function {name}{hint}")
    return functions[name]


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
