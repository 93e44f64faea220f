"""What a source of images must offer, and what all sources check."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from mobilenets.errors import UserError

# What is known of an image: the one class it is of, or for each of several attributes
# whether it has it.
Labels = Literal["class", "attributes"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclasses.dataclass(frozen=True)
class Record:
    """One image and what is known of it."""

    image: bytes | np.ndarray  # JPEG, PNG or WebP; or [H, W, 3] or [H, W] uint8
    # Of labels "class" the number of the class, an int; of "attributes" [A] float32, 1
    # for one that the image has, 0 for one that it lacks, nan where that is unknown.
    target: Any
    origin: str  # for messages: a file, or a record of a data set


class Source(Protocol):
    """A split of a data set."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, or of the attributes."""
        ...

    @property
    def upright(self) -> bool:
        """Whether its images are turned as their EXIF orientation says."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


def check_classes(
    place: str, names: Sequence[str], labels: Sequence[int] | np.ndarray
) -> None:
    """Refuses to train on one class, or on none of the images of a class.

    Args:
      place: where the images are, for the message.
      names: of the classes.
      labels: the class of each image.

    Raises:
      UserError: there are too few.
    """
    if len(names) == 1:
        raise UserError(
            f"{place} has only the class {names[0]}: classification needs images of "
            "two or more classes."
        )
    seen = {int(label) for label in labels}
    lacking = [name for i, name in enumerate(names) if i not in seen]
    if lacking:
        raise UserError(
            f"{place} has no images of {', '.join(lacking)}, which are classes of its "
            "other splits, or empty folders: add some, or remove those."
        )


def class_counts(source: Source) -> np.ndarray:
    """How many records each class has, [classes] int64; reads every record.

    Raises:
      UserError: a class has none.
    """
    labels = [source[index].target for index in range(len(source))]
    counts = np.bincount(labels, minlength=len(source.names))
    lacking = [
        name for name, count in zip(source.names, counts, strict=True) if not count
    ]
    if lacking:
        raise UserError(
            f"task.balanced needs images of each class, but there are none of "
            f"{', '.join(lacking)} to train: add some, or give task.weights."
        )
    return counts


def check_attributes(place: str, names: Sequence[str], targets: np.ndarray) -> None:
    """Refuses to train on an attribute of which nothing is known.

    Args:
      place: where the images are, for the message.
      names: of the attributes, A of them.
      targets: [images, A], nan where unknown.

    Raises:
      UserError: there is such an attribute.
    """
    known = (~np.isnan(targets)).sum(axis=0)
    lacking = [name for name, count in zip(names, known, strict=True) if not count]
    if lacking:
        raise UserError(
            f"{place} has no known value for {', '.join(lacking)}: fill in some, or "
            "remove the column."
        )
