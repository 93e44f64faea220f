"""Data sets that TensorFlow Datasets has prepared, and those embedded in the package.

TFDS costs half a second to import; it is imported where it is needed.
"""

import difflib
import pathlib
from collections.abc import Sequence
from typing import Any

from mobilenets.data import imagenet
from mobilenets.data.sources import embedded
from mobilenets.data.sources.base import Record, Source, UnknownSplit, WrongSplit
from mobilenets.errors import UserError


def open_classes(builder: Any, split: str, to_train: bool = False) -> Source:
    """A split of a prepared data set of images with classes.

    Args:
      builder: of the data set.
      split: of it, or a slice.
      to_train: refuse a data set that is only for evaluations.

    Raises:
      UserError: it has no such images, or no such split.
    """
    if "real_label" not in builder.info.features:
        return TfdsSource(builder, split)
    if to_train:
        raise UserError(
            f"The data set {builder.name} has any number of classes per image, which is"
            " only for evaluations: give dataset.name=imagenet2012 to train."
        )
    return ReassessedSource(builder, split)


class TfdsSource:
    """A split of a data set prepared by TensorFlow Datasets as ArrayRecord.

    That of ImageNet-A or ImageNet-R has `candidates`, see `SubsetSource`.
    """

    def __init__(self, builder: Any, split: str):
        import tensorflow_datasets as tfds

        self._name = f"{builder.name}, split {split}"
        # Of a folder of photographs, see `packing`.
        self.upright = bool((builder.info.metadata or {}).get("upright"))
        self.candidates = imagenet.candidates(builder.name)
        features = dict(builder.info.features.items())
        needed = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
        if not all(isinstance(features.get(k), kind) for k, kind in needed.items()):
            advice = " Give task.name=multilabel." if "attributes" in features else ""
            raise UserError(
                f"The data set {builder.name} is not for classification: it needs the "
                f"features image and label, but has {', '.join(sorted(features))}."
                f"{advice}"
            )
        self.names = tuple(features["label"].names)
        self._records = records(builder, split)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        record = self._records[index]
        origin = f"record {index} of {self._name}"
        return Record(record["image"], int(record["label"]), origin)


class ReassessedSource:
    """A `RelabelledSource`: ImageNet's validation images with the labels of ReaL.

    "Are we done with ImageNet?", arXiv:2006.07159: people were asked again which
    classes are seen. An image may have several, or none.
    """

    upright = False
    has_several = True

    def __init__(self, builder: Any, split: str):
        self._name = f"{builder.name}, split {split}"
        self.names = tuple(builder.info.features["real_label"].feature.names)
        self._records = records(builder, split)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        record = self._records[index]
        classes = tuple(int(number) for number in record["real_label"])
        return Record(record["image"], classes, f"record {index} of {self._name}")


def records(
    builder: Any, split: str, images: Sequence[str] = ("image",)
) -> Sequence[Any]:
    """The records of a split, their images as they are stored.

    Args:
      builder: of a prepared data set.
      split: of it, or a slice.
      images: the features that are images.

    Raises:
      UserError: there is no such split or slice, or it is empty, or the data set has no
        random access.
    """
    import tensorflow_datasets as tfds

    parts_of_split(builder.name, split, builder.info.splits)
    try:
        return builder.as_data_source(
            split, decoders={name: tfds.decode.SkipDecoding() for name in images}
        )
    except NotImplementedError:
        raise needs_conversion(builder) from None


def embedded_builder(name: str) -> Any:
    """The builder of one of `embedded.PREPARED`."""
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(embedded.PREPARED[name])


def prepared_builder(directory: str) -> Any:
    """The builder of a prepared data set, wherever it lies.

    Args:
      directory: of one version.

    Raises:
      UserError: no data set is prepared there.
    """
    import tensorflow_datasets as tfds

    path = pathlib.Path(directory).expanduser()
    if not (path / "dataset_info.json").exists():
        raise UserError(
            f"dataset.directory {directory} is not a prepared TFDS data set: it has no "
            "dataset_info.json. Give the folder of one version, such as "
            ".../imagenet2012/5.1.0."
        )
    return tfds.builder_from_directory(path)


def named_builder(name: str, data_dir: str) -> Any:
    """The builder of a data set of TFDS that is prepared.

    Args:
      name: of the data set.
      data_dir: the folder of all data sets; "": TFDS's own.

    Raises:
      UserError: there is no such data set, or it is not prepared.
    """
    builder = tfds_builder(name, data_dir)
    if not builder.info.splits:
        where = f" --data-dir {data_dir}" if data_dir else ""
        if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            where += " --manual-dir FOLDER_OF_THE_DOWNLOADED_FILES"
        raise UserError(
            f"The data set {name} is not prepared in {builder.data_dir}. "
            f"Prepare it: pip install '.[prepare]' && mobilenets prepare {name}{where}"
        )
    return builder


def tfds_builder(name: str, data_dir: str, **options: Any) -> Any:
    """The builder of a data set of TensorFlow Datasets, prepared or not.

    Args:
      name: of the data set, perhaps with its config and version.
      data_dir: the folder of all data sets; "": TFDS's own.
      **options: more arguments of `tfds.builder`.

    Raises:
      UserError: there is no such data set, config or version.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir or None, **options)
    except (tfds.core.DatasetNotFoundError, ModuleNotFoundError):
        # Without TensorFlow, TFDS fails to import it in its search for other sources.
        raise unknown_dataset(name) from None
    except (ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"There is no data set {name!r}: {reason}") from None


def parts_of_split(name: str, split: str, splits: Any) -> list[Any]:
    """The slices that a split consists of, as TFDS reads "train[:90%]+test".

    Each has `splitname`, `from_` and `to`, of which None is the end of its split.

    Args:
      name: of the data set.
      split: the one asked for.
      splits: TFDS's `SplitDict`.

    Raises:
      UserError: there is no such split, or a slice of it is empty. (TFDS subtracts one
        that ends before it begins from the others.)
    """
    from tensorflow_datasets import core

    try:
        parts = core.ReadInstruction.from_spec(split).to_absolute(splits)
    except ValueError as error:
        if "unknown split" in str(error).lower():
            raise UnknownSplit(name, split, splits) from None
        reason = str(error).splitlines()[-1].rstrip(".")
        raise WrongSplit(
            f"The split {split!r} is wrong: {reason}. The splits of {name} are "
            f"{', '.join(sorted(splits))}."
        ) from None
    for part in parts:
        size = splits[part.splitname].num_examples
        begin, end, _ = slice(part.from_, part.to).indices(size)
        if end <= begin:
            raise WrongSplit(
                f"The split {split!r} of {name} holds no images: its slice of "
                f"{part.splitname} goes from image {begin} to {end}."
            )
    return list(parts)


def needs_conversion(builder: Any) -> UserError:
    """The error for a prepared data set without random access."""
    return UserError(
        f"{builder.data_dir} was prepared as {builder.info.file_format.value}, which "
        "has no random access. Convert it: pip install '.[prepare]' && mobilenets "
        f"prepare {builder.data_dir}"
    )


def unknown_dataset(name: str) -> UserError:
    """As `unknown`, but TFDS has too many data sets to list."""
    import tensorflow_datasets as tfds

    names = {*embedded.NAMES, *tfds.list_builders(with_community_datasets=False)}
    close = difflib.get_close_matches(name, names)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return UserError(
        f"Unknown data set {name!r}.{hint} Choose one of TensorFlow Datasets, or an "
        f"embedded one: {', '.join(embedded.NAMES)}. For images of your own use "
        "--config.dataset.folder=FOLDER."
    )
