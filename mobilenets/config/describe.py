"""Every value of a configuration with its meaning, range and default."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from mobilenets.config import keys
from mobilenets.config.schema import Configuration, Operation, Section

# A limit's name in annotated_types, and how it is said.
_LIMITS = {
    Gt: ("gt", "above"),
    Ge: ("ge", "from"),
    Lt: ("lt", "to below"),
    Le: ("le", "to"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One value.

    Args:
      key: dotted.
      value: in the configuration.
      default: None where it has none.
      allowed: its type and range in words.
      description: what it means.
    """

    key: str
    value: Any
    default: Any
    allowed: str
    description: str


def rows(config: Configuration) -> list[Row]:
    """Every value of the configuration, in the order of the schema."""
    return list(_of_section(config, ""))


def _of_section(section: Section, prefix: str) -> Iterator[Row]:
    fields = dict(type(section).model_fields)
    if isinstance(section, Operation):
        del fields["name"]  # it is the key
        meaning = (type(section).__doc__ or "").partition("\n")[0]
        yield Row(prefix.removesuffix("."), "", None, "", meaning)
    for name, info in sorted(fields.items(), key=lambda item: item[0] != "name"):
        value, key = getattr(section, name), prefix + name
        inner = list(_inner(name, value))
        if inner:
            for below, inner_section in inner:
                yield from _of_section(inner_section, f"{prefix}{below}.")
        else:
            yield from _of_value(key, value, info)


def _inner(name: str, value: Any) -> Iterator[tuple[str, Section]]:
    """The sections within a value, each with its key."""
    if isinstance(value, Section):
        yield name, value
    elif isinstance(value, tuple):
        yield from ((f"{name}.{v.name}", v) for v in value if isinstance(v, Operation))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, Section):
                yield f"{name}.{key}", inner


def _of_value(key: str, value: Any, info: FieldInfo) -> Iterator[Row]:
    default = None if info.is_required() else info.get_default()
    description = " ".join((info.description or "").split())
    allowed = in_words(Annotated[info.annotation, *info.metadata, None])
    above = key.rpartition(".")[0]
    if above in Configuration.TAGGED and key == f"{above}.name":
        default = Configuration.model_fields[above].default.name
        kinds = keys.find(above)[0].sections
        allowed = " or ".join(keys.tag(kind) for kind in kinds)
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield Row(f"{key}.{name}", inner, None, "", description)
            description = ""
    else:
        yield Row(key, value, default, allowed, description)


def in_words(annotation: Any) -> str:
    """The type and range that an annotation stands for.

    >>> in_words(Annotated[float, Ge(0), Lt(1)]), in_words(Literal["a", "b"])
    ('float from 0 to below 1', 'a or b')
    """
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return " ".join(filter(None, [in_words(arguments[0]), _range(arguments[1:])]))
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(map(in_words, arguments))
    if origin is tuple and arguments[-1] is ...:
        return f"any number of: {in_words(arguments[0])}"
    if origin is tuple and len({*arguments}) == 1:
        return f"{len(arguments)} times {in_words(arguments[0])}"
    if origin is tuple:
        return ", ".join(map(in_words, arguments))
    return getattr(annotation, "__name__", str(annotation))


def _range(limits: tuple[Any, ...]) -> str:
    words = []
    for limit in limits:
        if isinstance(limit, MinLen):
            words.append("not empty")
        for kind, (name, word) in _LIMITS.items():
            if type(limit) is kind:
                words.append(f"{word} {getattr(limit, name):,}")
    return " ".join(words)
