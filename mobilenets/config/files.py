"""Config files: found by path or by the name of one that comes with the package.

A file has a function `get_config`, which gives the `ConfigDict` of a run, `get_sweep`
or `get_search`. What follows a colon is its argument: "efficientnet:phi=2.5".
"""

import contextlib
import inspect
import pathlib
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import ml_collections
import pydantic

from mobilenets.config import check, overrides
from mobilenets.config.schema import Configuration
from mobilenets.errors import UserError, unknown

Function = Literal["get_config", "get_sweep", "get_search"]
# Where the files of each lie below configs/.
FOLDERS: dict[Function, str] = {
    "get_config": "",
    "get_sweep": "sweeps",
    "get_search": "search",
}

# What the file is for, and the command that reads it.
_USES: Mapping[Function, tuple[str, str]] = {
    "get_config": ("a run", "train"),
    "get_sweep": ("a sweep", "sweep"),
    "get_search": ("a search", "search"),
}
_PACKAGE = pathlib.Path(__file__).parents[1]


def configuration(file: str, values: Mapping[str, Any] | None = None) -> Configuration:
    """The checked configuration of a run.

    Args:
      file: see `call`.
      values: what else is set, by dotted key.

    Raises:
      UserError: there is no such file, it fails, or a key or value is wrong.
    """
    config = read(file)
    overrides.apply(config, values or {})
    return check.check(config)


def read(file: str) -> ml_collections.ConfigDict:
    """What a config file builds, which is not checked yet; see `call`."""
    config = call(file, "get_config")
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(
            f"get_config of {file} must return a ConfigDict, but returned {config!r}."
        )
    return config


def shipped(function: Function) -> list[str]:
    """The names of the files that come with the package."""
    below = pathlib.PurePosixPath(FOLDERS[function])
    paths = (_folder() / below).glob("[!_]*.py")
    return [str(below / name) for name in sorted(path.stem for path in paths)]


def call(file: str, function: Function) -> Any:
    """The result of a config file's function, given what follows the file's colon.

    Args:
      file: a path that ends with .py, or a name of `shipped`; perhaps with a colon and
        an argument.
      function: the name.

    Raises:
      UserError: there is no such file or function, or it fails.
    """
    path, colon, argument = file.partition(":")
    arguments = [argument] if colon else []
    return _call(_find(path, function), path, function, arguments)


def _folder() -> pathlib.Path:
    """Where those files are: in the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "configs"
    is_there = any(installed.glob("*.py"))  # not only what Python has cached of them
    return installed if is_there else _PACKAGE.parent / "configs"


def _find(path: str, function: Function) -> pathlib.Path:
    given = pathlib.Path(path)
    if given.suffix == ".py" and given.is_file():
        return given
    if path in shipped(function):
        return (_folder() / path).with_suffix(".py")
    for other, (what, command) in _USES.items():
        if path in shipped(other):
            raise UserError(
                f"{path!r} is the config of {what}: use it with `mobilenets {command}`."
            )
    if given.is_file():
        raise UserError(f"{path!r} is no config file: the name of one ends with .py.")
    beside = given if given.is_dir() else given.parent
    files = [str(f) for f in sorted(beside.glob("[!_]*.py")) if _has(f, function)]
    is_path = given.suffix == ".py" or given.is_dir()
    names = (is_path and files) or shipped(function)
    if not names:
        raise UserError(
            f"There is no config file {path!r}, and none came with the package, as "
            f"{_folder()} is missing: give the path of one, NAME.py."
        )
    raise unknown("config file", path, names, "mobilenets config")


def _has(file: pathlib.Path, function: Function) -> bool:
    """Whether a Python file seems to be such a config file."""
    try:
        return function in file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _call(path: pathlib.Path, shown: str, name: Function, arguments: list[str]) -> Any:
    with _here_on_path():
        try:
            function = runpy.run_path(str(path)).get(name)
            if function is None:
                raise UserError(f"{shown} has no function {name}.")
            if arguments and not inspect.signature(function).parameters:
                raise UserError(
                    f"{shown} takes no argument: leave out :{arguments[0]}."
                )
            return function(*arguments)
        except UserError:
            raise
        except Exception as error:
            raise _failure(error, str(path), shown) from None


def _failure(error: Exception, path: str, shown: str) -> UserError:
    """The sentence for what a file has raised."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    where = f" in line {lines[-1]}" if lines else ""
    if isinstance(error, pydantic.ValidationError):
        return check.in_words(f"{error.title}{where} of {shown}", error)
    return UserError(f"{shown} fails{where} with {type(error).__name__}: {error}.")


@contextlib.contextmanager
def _here_on_path() -> Iterator[None]:
    """Lets a file import what lies in the folder in which the command is run."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")
