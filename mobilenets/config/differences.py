"""In which values two configurations differ."""

import dataclasses
from typing import Any

from mobilenets.config.schema import Configuration, Section
from mobilenets.config.values import as_dict, flatten


@dataclasses.dataclass(frozen=True)
class Difference:
    """One value that two configurations do not share."""

    key: str  # dotted
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key} ({self.old!r} there, {self.new!r} given)"


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
