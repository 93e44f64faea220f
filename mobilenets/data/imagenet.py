"""The names of ImageNet's thousand classes, in the order of the logits."""

import functools
import pathlib

# A line for each class: its WordNet id and the first of its words in WordNet.
_FILE = pathlib.Path(__file__).parent / "imagenet_classes.tsv"


@functools.cache
def class_names() -> dict[str, str]:
    """The name of each class by its WordNet id, "n01440764": "tench".

    TensorFlow Datasets calls the classes by their ids.
    """
    lines = _FILE.read_text().splitlines()
    return dict(line.split("\t") for line in lines)


def in_words(class_name: str) -> str:
    """The name of a class of ImageNet from its WordNet id; others as they are.

    >>> in_words("n01440764"), in_words("cat")
    ('tench', 'cat')
    """
    return class_names().get(class_name, class_name)
