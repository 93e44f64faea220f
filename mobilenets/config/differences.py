"""In which values two configurations differ."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from mobilenets.config.schema import Configuration, Section
from mobilenets.config.values import as_dict, flatten

_MOST = 5  # that are named, as a network of another kind differs in dozens
_MOST_SHOWN = 200  # characters of a value, as long as a path


@dataclasses.dataclass(frozen=True)
class Difference:
    """One value that two configurations do not share."""

    key: str  # dotted
    old: Any
    new: Any

    def __str__(self) -> str:
        old, new = (_shown(value) for value in (self.old, self.new))
        return f"{self.key} ({old} there, {new} given)"


def _shown(value: Any) -> str:
    """As Python writes it, but not the whole of a network."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def in_words(found: Sequence[Difference]) -> str:
    """The first of them, and how many there are more."""
    more = len(found) - _MOST
    rest = f" and {more} more value{'s' * (more > 1)}" if more > 0 else ""
    return f"{', '.join(map(str, found[:_MOST]))}{rest}"


def differences(old: Section, new: Section) -> list[Difference]:
    """Every value in which two of a kind differ."""
    a, b = _leaves(old), _leaves(new)
    return [Difference(k, a.get(k), b.get(k)) for k in a | b if a.get(k) != b.get(k)]


def _leaves(section: Section) -> dict[str, Any]:
    if not isinstance(section, Configuration):
        return flatten(section.model_dump())
    # The order of the operations counts; their values stand under their names.
    order = tuple(operation.name for operation in section.augmentation)
    return flatten(as_dict(section)) | {"augmentation": order}
