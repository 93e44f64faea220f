"""`--config.KEY=VALUE`: from words of a command line to values in a config."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ml_collections
import pydantic

from mobilenets.config import check, keys
from mobilenets.config.schema import Section
from mobilenets.config.values import Values, defaults
from mobilenets.errors import UserError, closest

PREFIX = "--config."

# What pydantic calls a value of the right type that is not allowed all the same: the
# check of the whole configuration reports it, together with all others.
_OUT_OF_RANGE = {
    "finite_number",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "literal_error",
    "string_too_short",
}


def parse(words: Sequence[str], options: Iterable[str] = ()) -> dict[str, Any]:
    """The values by dotted key.

    Args:
      words: "--config.KEY=VALUE", or "--config.KEY" and "VALUE".
      options: what else the command line has, to suggest it.

    Raises:
      UserError: a word is something else, a key is unknown, or a value is not of its
        type.

    >>> parse(["--config.epochs=3", "--config.optimizer.name", "sgd"])
    {'epochs': 3.0, 'optimizer.name': 'sgd'}
    """
    values, left = {}, list(words)
    while left:
        word = left.pop(0)
        key, equals, text = word.partition("=")
        if not key.startswith(PREFIX):
            raise _unknown_word(key, options)
        if not equals:
            if not left or left[0].startswith("--"):
                raise UserError(f"{key} needs a value: {key}=VALUE.")
            text = left.pop(0)
        key = key.removeprefix(PREFIX)
        values[key] = value_of(key, text)
    return values


def value_of(key: str, text: str) -> Any:
    """The value that a text stands for at that key, of the schema's type.

    Raises:
      UserError: there is no such key, or the text is of another type.
    """
    check.check_key(key)
    places = keys.find(key)
    candidates = _candidates(text)
    if keys.is_removable(key) and text == "None":
        return None
    if any(place.sections for place in places):
        if isinstance(candidates[0], dict):
            return candidates[0]
        whole = ", or give {} to add it and None to remove it"
        raise UserError(
            f"{key} is a section: set its values, {PREFIX}{key}.KEY=VALUE"
            f"{whole if keys.is_removable(key) else ''}."
        )
    for place in places:
        for candidate in candidates:
            found = _as_type(place.annotation, candidate)
            if found is not None:
                return found
    given = text if len(text) < 100 else f"{text[:100]} …"
    raise UserError(
        f"{PREFIX}{key}={given} is wrong: the value must be {_wanted(key)}."
    )


def apply(config: ml_collections.ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets values by dotted key, as `--config.KEY=VALUE` does.

    A dict sets the values in it; None removes an operation, or an entry of a dict.
    Where a value makes a section one of another kind (optimizer.name, or
    dataset.folder), the values that the former kind alone had are dropped. A network by
    model.spec in place of one by model.name, or the other way, drops all of `model`. So
    does init_from in place of either, and it drops the preprocessing: both are then
    those of the weights.

    Raises:
      UserError: there is no such key, or a data set is given two sources.
    """
    flat = dict(_flat(values))
    for key in flat:
        check.check_key(key)
    _change_network(config, flat)
    tags = [key for key in flat if keys.is_tag(key)]
    _refuse_two_sources(tags)
    for key in tags:
        _change_kind(config, key, flat[key])
    for key in [*tags, *(key for key in flat if key not in tags)]:
        _set(config, key, flat[key])


def _candidates(text: str) -> list[Any]:
    """What a text may stand for, as Python would read it first."""
    found: list[Any] = []
    try:
        found.append(ast.literal_eval(text))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    if text in ("true", "false"):
        found.append(text == "true")
    if text.lower().lstrip("+-") in (
        "inf",
        "infinity",
        "nan",
    ):  # to be refused as what they are
        found.append(float(text))
    return [*found, text]


def _as_type(annotation: Any, candidate: Any) -> Any:
    """The candidate as a value of the type; None if it is of another."""
    if isinstance(candidate, list):
        candidate = tuple(candidate)
    adapter = pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(strict=True))
    try:
        return adapter.validate_python(candidate)
    except pydantic.ValidationError as error:
        if all(e["type"] in _OUT_OF_RANGE for e in error.errors()):
            return candidate
        return None


def _wanted(key: str) -> str:
    """The type of the value at a key, with an example."""
    annotation = keys.find(key)[0].annotation
    name = getattr(annotation, "__name__", str(annotation))
    example: Any = defaults()
    for part in key.split("."):
        example = example.get(part) if hasattr(example, "get") else None
    if example is None:
        return f"of type {name}"
    return f"of type {name}, like {check.shown(example)}"


def _unknown_word(word: str, options: Iterable[str]) -> UserError:
    if not word.startswith("-"):
        return UserError(f"Unexpected argument {word!r}.")
    key = keys.suggestion(word.lstrip("-").replace("-", "_"))
    close = closest(word, [*options, "--config"]) or (key and f"{PREFIX}{key}")
    return UserError(
        f"No such option: {word}.{f' Did you mean {close}?' if close else ''}"
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The values by dotted key, those of a section one by one."""
    _check_names(values, prefix.removesuffix("."))
    for name, value in values.items():
        key = prefix + name
        places = keys.find(key)
        inner = any(p.sections or p.entries is not None for p in places)
        if inner and isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.")
        else:
            if isinstance(value, Mapping):
                _check_names(value, key)
            yield key, value


def _check_names(values: Mapping[Any, Any], key: str) -> None:
    """Raises UserError unless all keys of a dict, and of those in it, can be keys.

    Those at the top, where `key` is "", are dotted.
    """
    for name, value in values.items():
        if not isinstance(name, str) or (key and "." in name):
            raise UserError(
                f"{key or 'The config'} has the key {check.shown(name)}, but a key is "
                "a name without dots."
            )
        if isinstance(value, Mapping):
            _check_names(value, f"{key}.{name}")


def _refuse_two_sources(tags: list[str]) -> None:
    first: dict[str, str] = {}
    for key in tags:
        above = key.rpartition(".")[0]
        if above in first:
            raise UserError(
                f"{first[above]} and {key} are both given, but the images have one "
                "source: leave out one of them."
            )
        first[above] = key


def _change_network(config: ml_collections.ConfigDict, flat: dict[str, Any]) -> None:
    """Drops the network, with its options, if one is given in another way."""
    model = config.get("model")
    if not isinstance(model, ml_collections.ConfigDict):
        return
    for given, other in (("name", "spec"), ("spec", "name")):
        if flat.get(f"model.{given}") is not None and other in model:
            config["model"] = Values()
    starts = isinstance(flat.get("init_from"), str) and flat["init_from"]
    if starts and ("name" in model or "spec" in model):
        config["model"] = Values()
        config["preprocessing"] = defaults().preprocessing


def _change_kind(config: ml_collections.ConfigDict, key: str, value: Any) -> None:
    """Drops what belongs to the kind that a section was of, if that changes."""
    above, _, name = key.rpartition(".")
    section = _section(config, above)
    new = keys.kind_for(above, name, value)
    old = _present_kind(above, section)
    if new is None or old is None or new is old:
        return
    for field in list(section):
        if not keys.is_shared(field, old, new):
            del section[field]


def _present_kind(
    above: str, section: ml_collections.ConfigDict
) -> type[Section] | None:
    for name in section:
        if keys.is_tag(f"{above}.{name}"):
            return keys.kind_for(above, name, section[name])
    return None


def _set(config: ml_collections.ConfigDict, key: str, value: Any) -> None:
    above, _, name = key.rpartition(".")
    section = _section(config, above) if above else config
    with section.unlocked(), section.ignore_type():
        if value is None and keys.is_removable(key):
            if name in section:
                del section[name]
        else:
            if isinstance(value, Mapping) and not value and name in section:
                return
            # JSON has lists for tuples.
            try:
                section[name] = tuple(value) if isinstance(value, list) else value
            except OverflowError:  # in place of a float it becomes one
                raise UserError(
                    f"{key} is {check.shown(value)}, which is too large."
                ) from None


def _section(config: ml_collections.ConfigDict, key: str) -> ml_collections.ConfigDict:
    """The section at a key, which becomes one if it is none yet."""
    section: Any = config
    for name in key.split("."):
        if not isinstance(section.get(name), ml_collections.ConfigDict):
            with section.unlocked(), section.ignore_type():
                section[name] = Values()
        section = section[name]
    return section
