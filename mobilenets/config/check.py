"""From the dictionary of a config file to a checked `Configuration`."""

import json
from typing import Any

import ml_collections
import pydantic

from mobilenets.config import keys, version_1
from mobilenets.config.schema import Configuration
from mobilenets.config.values import resolve
from mobilenets.errors import UserError, alternatives, closest

_LONGEST = 100  # letters of a value in a sentence
_PLAIN = {  # what pydantic says, and how it is said here
    "Value error, ": "",
    "Input should be": "must be",
    "String should have": "must have",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    ", unable to parse string as a number": "",
    ", unable to parse string as an integer": "",
}


def check(config: ml_collections.ConfigDict) -> Configuration:
    """The configuration, if every key and value is allowed.

    Raises:
      UserError: a key is unknown or missing, a value has the wrong type, lies out of
        its range or cannot be computed; one clause for each.
    """
    values, failed = resolve(config)
    try:
        configuration = Configuration.model_validate(values)
    except pydantic.ValidationError as error:
        raise in_words("The config", error) from None
    for key, reason in failed.items():
        raise UserError(f"The config is wrong: {key} cannot be computed: {reason}.")
    return configuration


def from_json(text: str) -> Configuration:
    """The configuration of a run's config.json, of version 0.1 too.

    Raises:
      ValueError: it is damaged, or of another version; or it names a file as the
        network. A run saves the network itself, and a folder must not name code that
        is then run.
    """
    values = json.loads(text)
    if isinstance(values, dict) and version_1.is_version_1(values):
        text = json.dumps(version_1.upgrade(values))
    configuration = Configuration.model_validate_json(text)
    if isinstance(configuration.model.get("spec"), str):
        raise ValueError("model.spec names a file")
    return configuration


def in_words(what: str, error: pydantic.ValidationError) -> UserError:
    """The sentence for values that are not allowed, with a clause for each."""
    clauses = "; ".join(dict.fromkeys(map(_clause, error.errors())))
    return UserError(f"{what} is wrong: {clauses}.")


def shown(value: Any) -> str:
    """A value for a sentence: in one line, and not too long.

    >>> shown("sgd"), shown("a" * 200)[-5:]
    ("'sgd'", 'aaa …')
    """
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python does not print numbers of thousands of digits
        return f"a very large {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def plain(message: str) -> str:
    """A message that has one of pydantic's reasons in it, in plainer words.

    >>> plain("Input should be greater than or equal to 1")
    'must be at least 1'
    """
    for theirs, ours in _PLAIN.items():
        message = message.replace(theirs, ours)
    return message


def check_key(key: str) -> None:
    """Raises UserError, with the closest name, unless `key` is that of a value."""
    if not keys.find(key):
        raise UserError(f"The config is wrong: {unknown_key(key)}.")


def unknown_key(key: str) -> str:
    """A clause for a key that there is not."""
    close = keys.suggestion(key)
    above = key.rpartition(".")[0]
    here = sorted({name for place in keys.find(above) for name in place.names()})
    if close:
        hint = f"did you mean {close}?"
    elif here:
        hint = f"{above} may have {alternatives(here)}"
    else:
        hint = "`mobilenets config NAME` prints all"
    return f"unknown key {key or repr(key)} ({hint})"


def _clause(error: Any) -> str:
    """One pydantic error in words."""
    key, kind, value = _key(error["loc"]), error["type"], error["input"]
    if error["loc"][-1:] == ("[key]",):  # of a mapping
        above = _key(error["loc"][:-2])
        return f"{above} has the key {shown(value)}, which {plain(error['msg'])}"
    if kind == "extra_forbidden":
        return _not_of_this_kind(error["loc"], key) or unknown_key(key)
    if kind == "missing":
        return f"{key} is missing"
    if kind == "union_tag_not_found":
        return _no_kind(key, value)
    if kind == "union_tag_invalid":
        return _unknown_kind(key, error["ctx"]["tag"])
    if kind in ("model_type", "model_attributes_type"):
        return f"{key} is {shown(value)}, but it is a section with values of its own"
    reason = plain(error["msg"])
    reason = reason[0].lower() + reason[1:]
    if kind == "value_error":
        return f"{key}: {reason}" if key else reason
    return f"{key} is {shown(value)}, but {reason}" if key else reason


def _key(loc: tuple[int | str, ...]) -> str:
    """The dotted key, without pydantic's own names for kinds and validators."""
    parts = [str(part) for part in loc if not str(part).startswith("function-")]
    del parts[_place_of_kind(parts) : _place_of_kind(parts) + 1]
    return ".".join(parts)


def _place_of_kind(parts: list[str]) -> int:
    """Where pydantic names the kind, or the number of an operation."""
    if parts[:1] == ["evals"]:
        return 2
    with_kinds = (*Configuration.TAGGED, "dataset", "augmentation")
    return 1 if parts and parts[0] in with_kinds else len(parts)


def _not_of_this_kind(loc: tuple[int | str, ...], key: str) -> str | None:
    """The clause for a value that another kind of the section has."""
    others = [place.kind for place in keys.find(key) if place.kind]
    if not others or len(loc) < 3:
        return None
    above = key.rpartition(".")[0]
    given = str(loc[_place_of_kind(list(map(str, loc)))])
    if above in Configuration.TAGGED:
        whose = f"{above}.name {' or '.join(map(keys.tag, others))}"
        given_in_words = f"{above}.name is {given}"
    else:
        whose = " or ".join(f"{above}.{keys.source_of(kind)}" for kind in others)
        given_in_words = f"{above}.{given} is given" if given else "that is not given"
    kind = keys.kind_for(above, given, given) if given else None
    belonging = f", which takes {', '.join(kind.model_fields)}" if kind else ""
    return f"{key} belongs to {whose}, but {given_in_words}{belonging}"


def _no_kind(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"{key}.name is missing"
    return f"{key} is {shown(value)}, but it is a section with values of its own"


def _unknown_kind(key: str, given: str) -> str:
    """The clause for a name that no kind of the section has."""
    if key == "augmentation" or key.startswith("augmentation."):
        return unknown_key(f"augmentation.{given}")
    names = [keys.tag(kind) for place in keys.find(key) for kind in place.sections]
    close = closest(given, names)
    hint = f" (did you mean {close}?)" if close else ""
    listed = " or ".join(
        filter(None, [", ".join(map(repr, names[:-1])), repr(names[-1])])
    )
    return f"{key}.name is {shown(given)}, but must be {listed}{hint}"
