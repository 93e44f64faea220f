"""The dotted keys of the configuration: which there are, and what may stand at each."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Union

from pydantic.fields import FieldInfo

from mobilenets.config.schema import SOURCES, Configuration, Section
from mobilenets.errors import closest

SPLITS = ("train_split", "eval_split", "split")

# What `model` may hold, to suggest it; which of them depends on the network.
_OF_MODEL = (
    *("name", "spec", "width_multiplier", "depth_multiplier", "resolution"),
    *("dropout_rate", "drop_path_rate", "stem_stride", "bn_momentum", "bn_epsilon"),
)


@dataclasses.dataclass(frozen=True)
class Place:
    """What may stand at a key in one kind of section.

    Args:
      annotation: the type.
      info: the field with its range and description; None where the user chooses the
        name, as in `evals`.
      kind: the section that has it; None likewise.
    """

    annotation: Any
    info: FieldInfo | None = None
    kind: type[Section] | None = None

    @property
    def sections(self) -> list[type[Section]]:
        """The kinds of section that may stand here; none if it is a value."""
        return _sections(self.annotation)

    @property
    def entries(self) -> Any:
        """The type of what is in a dict whose keys the user chooses, None if none is.

        >>> find("evals")[0].entries is not None, find("batch_size")[0].entries
        (True, None)
        """
        bare = _bare(self.annotation)
        return typing.get_args(bare)[1] if typing.get_origin(bare) is dict else None

    @property
    def is_list(self) -> bool:
        """Whether sections stand here one after the other, each under its name."""
        is_tuple = typing.get_origin(_bare(self.annotation)) is tuple
        return is_tuple and bool(self.sections)

    def names(self) -> list[str]:
        """The keys below, as far as the schema has names for them."""
        if self.is_list:
            return [tag(kind) for kind in self.sections]
        names = [(k, name) for k in self.sections for name in k.model_fields]
        return list(dict.fromkeys(n for kind, n in names if not _is_fixed(kind, n)))

    def below(self, name: str) -> Iterator["Place"]:
        """What may stand under a name in here."""
        if self.entries is not None and name:
            yield Place(self.entries)
        for kind in self.sections:
            if self.is_list:
                if tag(kind) == name:
                    yield Place(kind)
            elif name in kind.model_fields and not _is_fixed(kind, name):
                info = kind.model_fields[name]
                yield Place(info.annotation, info, kind)


def find(key: str) -> list[Place]:
    """What may stand at a dotted key; nothing if there is no such key.

    >>> [place.kind.__name__ for place in find("optimizer.epsilon")]
    ['RMSProp', 'AdamW']
    """
    places = [Place(Configuration)]
    for name in key.split("."):
        places = [below for place in places for below in place.below(name)]
    return places


def known() -> list[str]:
    """All keys, but for those whose names the user chooses."""
    return list(_walk(Place(Configuration), ""))


def suggestion(key: str) -> str | None:
    """The key that may have been meant.

    >>> suggestion("optimiser.name"), suggestion("evals.night.splt")
    ('optimizer.name', 'evals.night.split')
    >>> suggestion("lr"), suggestion("width")
    ('optimizer.learning_rate', 'model.width_multiplier')
    """
    parts = key.split(".")
    places = [Place(Configuration)]
    for i, name in enumerate(parts):
        below = [b for place in places for b in place.below(name)]
        if not below:
            names = list(dict.fromkeys(n for place in places for n in place.names()))
            close = closest(name, names)
            head = ".".join([*parts[:i], close or ""])
            whole = ".".join([head, *parts[i + 1 :]])
            if close:
                return whole if find(whole) else head
            break
        places = below
    return _in_another_section(key)


def _in_another_section(key: str) -> str | None:
    """The key that may have been meant, if the last part of it is only in one section.

    In a section that there is, only that very name is looked for elsewhere.
    """
    all_keys = dict.fromkeys([*known(), *(f"model.{name}" for name in _OF_MODEL)])
    by_name: dict[str, list[str]] = {}
    for known_key in all_keys:
        by_name.setdefault(known_key.rpartition(".")[2], []).append(known_key)
    unique = {name: found[0] for name, found in by_name.items() if len(found) == 1}
    head, _, last = key.rpartition(".")
    if find(head):
        return unique.get(last)
    name = closest(last, unique)
    return unique[name] if name else closest(key, all_keys)


def is_removable(key: str) -> bool:
    """Whether None removes what stands there: an operation, or an entry of a dict."""
    above = find(key.rpartition(".")[0])
    return any(place.is_list or place.entries is not None for place in above)


def is_tag(key: str) -> bool:
    """Whether the value at a key says of what kind its section is.

    >>> is_tag("optimizer.name"), is_tag("dataset.folder"), is_tag("model.name")
    (True, True, False)
    """
    above, _, name = key.rpartition(".")
    if above in Configuration.TAGGED:
        return name == "name"
    return name in SOURCES and _has_sources(above)


def kind_for(above: str, name: str, value: Any) -> type[Section] | None:
    """The kind of section that a value of `is_tag` says; None if there is no such."""
    for kind in (k for place in find(above) for k in place.sections):
        if above in Configuration.TAGGED:
            if isinstance(value, str) and tag(kind) == value:
                return kind
        elif name in kind.model_fields:
            return kind
    return None


def source_of(kind: type[Section]) -> str:
    """The key of the source of a kind of data set; "" if it has none."""
    return next((key for key in SOURCES if key in kind.model_fields), "")


def tag(kind: type[Section]) -> str:
    """The name of a kind of section, as its field `name` has it."""
    return kind.model_fields["name"].default


def is_shared(name: str, a: type[Section], b: type[Section]) -> bool:
    """Whether two kinds have a field from one class that both derive from.

    Splits are not shared: their names and slices are those of one data set.
    """
    if name in SPLITS:
        return False
    return _owner(a, name) is not None and _owner(a, name) is _owner(b, name)


def _has_sources(above: str) -> bool:
    return above == "dataset" or (above.startswith("evals.") and above.count(".") == 1)


def _owner(kind: type[Section], name: str) -> type | None:
    """The class that declares a field."""
    return next(
        (c for c in kind.__mro__ if name in vars(c).get("__annotations__", {})), None
    )


def _is_fixed(kind: type[Section], name: str) -> bool:
    """Whether it is the name of an operation, which is its key already."""
    operations = _sections(Configuration.model_fields["augmentation"].annotation)
    return name == "name" and kind in operations


def _walk(place: Place, prefix: str) -> Iterator[str]:
    for name in place.names():
        for below in place.below(name):
            yield prefix + name
            yield from _walk(below, f"{prefix}{name}.")


def _bare(annotation: Any) -> Any:
    """The type without `Annotated`."""
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _sections(annotation: Any) -> list[type[Section]]:
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, Section):
        return [bare]
    if typing.get_origin(bare) in (Union, types.UnionType, tuple):
        return [s for part in typing.get_args(bare) for s in _sections(part)]
    return []
