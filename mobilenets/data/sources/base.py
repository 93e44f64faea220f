"""What a source of images must offer, and what all sources check."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from mobilenets.errors import UserError, closest, unknown
from mobilenets.runtime.console import console

# What is known of an image: the one class it is of, for each of several attributes
# whether it has it, the boxes of its objects, the class of each pixel, or where it was
# taken.
Labels = Literal["class", "attributes", "boxes", "mask", "place"]
# Which images of a split must have such a label. What is to be taught by another
# network may lack some, or have none that count.
Labelled = Literal["all", "some", "none"]


@dataclasses.dataclass(frozen=True)
class Record:
    """One image and what is known of it."""

    image: bytes | np.ndarray  # JPEG, PNG or WebP; or [H, W, 3] or [H, W] uint8
    # Of labels "class" the number of the class, an int, -1 where it is not known, or
    # those of all that are right (see `RelabelledSource`); of "attributes" [A] float32,
    # 1 for one that the image has, 0 for one that it lacks, nan where that is unknown.
    # Of labels "boxes" `Boxes`. Of "mask" [H, W] uint8: the class of each pixel of the
    # upright image, 255 where it is not known. Of "place" a `Place`, of nan where that
    # is not known.
    target: Any
    origin: str  # for messages: a file, or a record of a data set


# What a split to evaluate is called elsewhere, in the order in which it is suggested.
TO_EVALUATE = ("validation", "val", "valid", "dev", "eval", "test")


class UnknownSplit(UserError):
    """A data set has no split of that name.

    Args:
      place: the data set, for the message.
      split: the one that is asked for.
      known: those there are.
      advice: a sentence more.
    """

    def __init__(self, place: str, split: str, known: Iterable[str], advice: str = ""):
        self.known = sorted(known)
        self.split = split
        sentence = unknown("split", split, self.known, of=place)
        super().__init__(f"{sentence} {advice}".rstrip())

    @property
    def meant(self) -> str | None:
        """The split that is likely to be the one, if there is such."""
        close = closest(self.split, self.known)
        if close or self.split not in TO_EVALUATE:
            return close
        return next(filter(self.known.__contains__, TO_EVALUATE), None)


class WrongSplit(UserError):
    """What is asked for is no split, or one without images."""


class Undivided(UserError):
    """A data set has no such split, but its images can be divided by eval_fraction.

    Args:
      message: what there is instead.
      only: the only split, where it can be opened by that name.
    """

    def __init__(self, message: str, only: str = ""):
        super().__init__(message)
        self.only = only


class Source(Protocol):
    """A split of a data set; an attribute does for what is a property here.

    Those with boxes are `BoxedSource`, those with masks `MaskedSource`, those with
    places `PlacedSource`.
    """

    @property
    def names(self) -> Sequence[str]:
        """Of the classes, or of the attributes; none of places."""
        ...

    @property
    def upright(self) -> bool:
        """Whether its images are to be turned as their EXIF orientation says.

        True suits photographs as a camera writes them, False images that are upright
        as they are stored.
        """
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


class SubsetSource(Source, Protocol):
    """A split to evaluate, of images of some of the classes alone."""

    @property
    def candidates(self) -> Sequence[str]:
        """The names of these classes; only they compete in a prediction."""
        ...


class RelabelledSource(Source, Protocol):
    """A split to evaluate, whose records have any number of classes, as a tuple.

    Each of them is right. Records without one are not counted.
    """

    has_several: Literal[True]


class BoxedSource(Source, Protocol):
    """A split of a data set whose records have `Boxes`."""

    @property
    def box_counts(self) -> np.ndarray:
        """How many boxes each image has, [images] integers."""
        ...

    @property
    def image_ids(self) -> Sequence[int | str]:
        """The id of each image, for COCO's results."""
        ...

    @property
    def category_ids(self) -> Mapping[str, int]:
        """The id of each class by its name, for COCO's results."""
        ...


class MaskedSource(Source, Protocol):
    """A split of a data set whose records have masks."""

    @property
    def sizes(self) -> np.ndarray:
        """Height and width of each mask, [images, 2] integers."""
        ...


class PlacedSource(Source, Protocol):
    """A split of a data set whose records have a `Place`."""

    @property
    def places(self) -> np.ndarray:
        """Latitude and longitude of each image, [images, 2] float64; nan if unknown."""
        ...


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
            f"{place} has no images of {some(lacking)}, which are classes of its other"
            " splits, or empty folders: add some, or remove those."
        )


def check_some_labels(place: str, labels: Sequence[int] | np.ndarray) -> None:
    """Refuses images that a teacher and their labels are to teach, and have none.

    Args:
      place: where the images are, for the message.
      labels: the class of each image, -1 where it is not known.
    """
    if max(labels) < 0:
        raise UserError(
            f"{place} has no labels, but distillation.label_weight is above 0: give 0 "
            "to train on the teacher's outputs alone, or label some images."
        )


def tell_lacking_classes(
    place: str, names: Sequence[str], labels: Sequence[int] | np.ndarray
) -> None:
    """Prints of which classes there are no images."""
    seen = {int(label) for label in labels}
    lacking = [name for i, name in enumerate(names) if i not in seen]
    if lacking:
        _tell(f"{place} has no images of {some(lacking)}.")


def tell_attributes_not_evaluated(
    place: str, names: Sequence[str], targets: np.ndarray
) -> None:
    """Prints which attributes cannot be evaluated, or have no average precision."""
    lacking = _without_known(names, targets)
    if lacking:
        _tell(f"{place} has no known value for {some(lacking)}: none is evaluated.")
    without = [
        name
        for name, column in zip(names, targets.T, strict=True)
        if name not in lacking and not (column == 1).any()
    ]
    if without:
        _tell(
            f"{place} has no image with {some(without)}: left out of the mean average "
            "precision."
        )


def _tell(line: str) -> None:
    console.print(line, markup=False)


def some(names: Sequence[str]) -> str:
    """Up to ten of the names, for a sentence."""
    more = f" and {len(names) - 10} others" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def class_counts(source: Source) -> np.ndarray:
    """How many records each class has, [classes] int64; reads every record.

    Those of which it is not known are left out.

    Raises:
      UserError: a class has none.
    """
    labels = np.array([source[index].target for index in range(len(source))])
    counts = np.bincount(labels[labels >= 0], minlength=len(source.names))
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

    One that is the same in all images is told: it cannot be learned.

    Args:
      place: where the images are, for the message.
      names: of the attributes, A of them.
      targets: [images, A], nan where unknown.

    Raises:
      UserError: there is such an attribute.
    """
    lacking = _without_known(names, targets)
    if lacking:
        raise UserError(
            f"{place} has no known value for {some(lacking)}: fill in some, or remove "
            "the column."
        )
    constant = [
        name
        for name, column in zip(names, targets.T, strict=True)
        if np.nanmin(column) == np.nanmax(column)
    ]
    if constant:
        _tell(
            f"{place} has the same value of {some(constant)} in all images: it cannot "
            "be learned. Add images with the other value, or remove the column."
        )


def _without_known(names: Sequence[str], targets: np.ndarray) -> list[str]:
    """The attributes of which nothing is known of any image."""
    known = (~np.isnan(targets)).sum(axis=0)
    return [name for name, count in zip(names, known, strict=True) if not count]
