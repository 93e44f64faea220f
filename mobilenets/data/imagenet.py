"""ImageNet's thousand classes in the order of the logits, and its evaluation sets."""

import functools
import pathlib

# A line for each class: its WordNet id, the first of its words in WordNet, and "a", "r"
# or both where it is one of the 200 classes of ImageNet-A or ImageNet-R.
_FILE = pathlib.Path(__file__).parent / "imagenet_classes.tsv"

# The sets beside the validation images: the data set of TFDS and the split of each.
EVALUATION_SETS = {
    "v2": ("imagenet_v2/matched-frequency", "test"),
    "real": ("imagenet2012_real", "validation"),
    "a": ("imagenet_a", "test"),
    "r": ("imagenet_r", "test"),
    "sketch": ("imagenet_sketch", "test"),
}

# How many images were published, by the data set of TFDS and the split.
SIZES = {
    "imagenet2012": {"train": 1_281_167, "validation": 50_000},
    "imagenet2012_real": {"validation": 50_000},
    "imagenet_v2": {"test": 10_000},
    "imagenet_a": {"test": 7_500},
    "imagenet_r": {"test": 30_000},
    "imagenet_sketch": {"test": 50_889},
}

_SUBSETS = {"imagenet_a": "a", "imagenet_r": "r"}


@functools.cache
def class_names() -> dict[str, str]:
    """The name of each class by its WordNet id, "n01440764": "tench".

    TensorFlow Datasets calls the classes by their ids.
    """
    return {wordnet_id: name for wordnet_id, name, _ in _rows()}


def in_words(class_name: str) -> str:
    """The name of a class of ImageNet from its WordNet id; others as they are.

    >>> in_words("n01440764"), in_words("cat")
    ('tench', 'cat')
    """
    return class_names().get(class_name, class_name)


def candidates(data_set: str) -> tuple[str, ...] | None:
    """The ids of the classes between which a prediction is made; None: all.

    ImageNet-A and ImageNet-R have images of 200 classes each, and their authors compare
    the logits of these alone: arXiv:1907.07174 and arXiv:2006.16241, with the lists in
    their code.

    Args:
      data_set: its name in TensorFlow Datasets.

    >>> len(candidates("imagenet_a")), candidates("imagenet_v2")
    (200, None)
    """
    if data_set not in _SUBSETS:
        return None
    letter = _SUBSETS[data_set]
    return tuple(wordnet_id for wordnet_id, _, subsets in _rows() if letter in subsets)


def _rows() -> list[tuple[str, str, str]]:
    lines = (line.split("\t") for line in _FILE.read_text().splitlines())
    return [(wordnet_id, name, "".join(rest)) for wordnet_id, name, *rest in lines]
