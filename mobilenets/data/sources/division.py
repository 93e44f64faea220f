"""The division of images into those to train and those to evaluate, by their names."""

import hashlib
import unicodedata

from mobilenets.data.sources.base import UnknownSplit
from mobilenets.errors import UserError

TRAIN, VALIDATION = "train", "validation"
WHOLE = "all"  # the one split of images that are not divided


def side(name: str, eval_fraction: float) -> str:
    """The split of one image, which depends on nothing but its name.

    So it stays where it is when images are added, removed or put into another order.

    Args:
      name: the path of the file, within the folder of all images.
      eval_fraction: about this part of all names is in "validation". A larger one keeps
        those of a smaller one there.

    >>> side("cat/1.jpg", 0.0), side("cat/1.jpg", 0.5), side("cat/2.jpg", 0.5)
    ('train', 'validation', 'train')
    """
    # Some file systems take accents apart.
    text = unicodedata.normalize("NFC", name.replace("\\", "/"))
    # A name of broken bytes has letters that UTF-8 lacks.
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return VALIDATION if place < eval_fraction else TRAIN


def check(place: str, split: str, sides: list[str]) -> None:
    """Refuses another split than the two, or one without images.

    Args:
      place: the data set, for the message.
      split: the one that is opened.
      sides: of all images.
    """
    if split not in (TRAIN, VALIDATION):
        raise UnknownSplit(place, split, (TRAIN, VALIDATION))
    if split not in sides:
        raise UserError(
            f"dataset.eval_fraction leaves {split} without any of the {len(sides)} "
            f"images of {place}: choose another, or divide them yourself."
        )
