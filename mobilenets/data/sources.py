"""Where images come from: random access to encoded images and their labels."""

import dataclasses
import difflib
import pathlib
from typing import Any, Protocol

from mobilenets.config.schema import (
    FolderDataset,
    NamedDataset,
    NoDataset,
    PreparedDataset,
    TableDataset,
)
from mobilenets.errors import UserError, unknown

# The data sets inside the package, as prepared TFDS directories.
EMBEDDED = {
    "fashion_mnist_subset": pathlib.Path(__file__).parent
    / "embedded/fashion_mnist_subset/1.0.0",
}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclasses.dataclass(frozen=True)
class Example:
    """One labelled image."""

    image: bytes  # JPEG, PNG or WebP
    label: int
    origin: str  # for messages: a file, or a record of a data set


class Source(Protocol):
    """A split of a data set."""

    class_names: tuple[str, ...]
    upright: bool  # whether its images are turned as their EXIF orientation says

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


Dataset = NamedDataset | PreparedDataset | FolderDataset | TableDataset | NoDataset


def open_source(dataset: Dataset, split: str) -> Source:
    """Opens one split of the configured data set; reads no image yet.

    Raises:
      UserError: there is no such data set or split, it is not prepared (the message has
        the command that prepares it), or it does not hold labelled images.
    """
    if isinstance(dataset, NoDataset | TableDataset):
        raise UserError(
            "The data set is missing: give dataset.name, dataset.directory or "
            "dataset.folder."
        )
    if isinstance(dataset, FolderDataset):
        return FolderSource(dataset.folder, split, split == dataset.train_split)
    # TFDS costs half a second and is not needed for a folder.
    import tensorflow_datasets as tfds

    if isinstance(dataset, PreparedDataset):
        path = pathlib.Path(dataset.directory).expanduser()
        if not (path / "dataset_info.json").exists():
            raise UserError(
                f"dataset.directory {dataset.directory} is not a prepared TFDS data "
                "set: it has no dataset_info.json. Give the folder of one version, "
                "such as .../imagenet2012/5.1.0."
            )
        return TfdsSource(tfds.builder_from_directory(path), split)
    if dataset.name in EMBEDDED:
        return TfdsSource(tfds.builder_from_directory(EMBEDDED[dataset.name]), split)
    return TfdsSource(_named_builder(dataset), split)


class TfdsSource:
    """A split of a data set prepared by TensorFlow Datasets as ArrayRecord."""

    upright = False

    def __init__(self, builder: Any, split: str):
        import tensorflow_datasets as tfds

        self._name = f"{builder.name}, split {split}"
        features = dict(builder.info.features.items())
        needed = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
        if not all(isinstance(features.get(k), kind) for k, kind in needed.items()):
            raise UserError(
                f"The data set {builder.name} is not for classification: it needs the "
                f"features image and label, but has {', '.join(sorted(features))}."
            )
        self.class_names = tuple(features["label"].names)
        try:
            self._records = builder.as_data_source(
                split, decoders={"image": tfds.decode.SkipDecoding()}
            )
        except NotImplementedError:
            raise needs_conversion(builder) from None
        except ValueError as error:
            if "unknown split" in str(error).lower():
                raise unknown(
                    f"split of {builder.name}", split, builder.info.splits
                ) from None
            reason = str(error).splitlines()[-1]
            raise UserError(f"The split {split!r} is wrong: {reason}") from None
        if not len(self._records):
            raise UserError(f"The data set {self._name} holds no images.")

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        record = self._records[index]
        origin = f"record {index} of {self._name}"
        return Example(record["image"], int(record["label"]), origin)


class FolderSource:
    """The images FOLDER/SPLIT/CLASS/*.jpg (or png, webp), in the order of their names.

    The classes are those of all splits together, so that every split numbers them
    alike. The images are turned as their EXIF orientation says.

    Args:
      folder: the root.
      split: a folder in it.
      needs_all_classes: refuse a split without an image of some class, to train on.
    """

    upright = True

    def __init__(self, folder: str, split: str, needs_all_classes: bool = False):
        root = pathlib.Path(folder).expanduser()
        if not root.is_dir():
            raise UserError(f"dataset.folder {folder} is not a folder.")
        splits = _folders(root)
        if split not in splits:
            layout = f"Images are expected as {split}/CLASS/*.jpg in it."
            if not splits:
                raise UserError(f"dataset.folder {folder} has no folders. {layout}")
            raise UserError(f"{unknown(f'split of {folder}', split, splits)} {layout}")
        classes = {name for s in splits for name in _folders(root / s)}
        self.class_names = tuple(sorted(classes))
        self._files = [
            (path, label)
            for label, name in enumerate(self.class_names)
            for path in sorted((root / split / name).glob("*"))
            if path.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not self._files:
            raise UserError(
                f"{root / split} holds no images: expected are files "
                f"CLASS/*{', CLASS/*'.join(IMAGE_SUFFIXES)}."
            )
        if needs_all_classes:
            self._check_classes(root / split)

    def _check_classes(self, path: pathlib.Path) -> None:
        """Refuses to train on one class, or on none of the images of a class."""
        if len(self.class_names) == 1:
            raise UserError(
                f"{path} has the one class {self.class_names[0]}: to tell classes apart"
                " there must be two or more folders of images."
            )
        seen = {label for _, label in self._files}
        lacking = [n for i, n in enumerate(self.class_names) if i not in seen]
        if lacking:
            raise UserError(
                f"{path} has no images of {', '.join(lacking)}, which other splits or "
                "an empty folder name as classes: add some, or remove the folders."
            )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Example:
        path, label = self._files[index]
        return Example(path.read_bytes(), label, str(path))


def _folders(path: pathlib.Path) -> list[str]:
    return sorted(
        p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")
    )


def _named_builder(dataset: NamedDataset) -> Any:
    """The prepared TFDS builder of `dataset.name`."""
    builder = tfds_builder(dataset.name, dataset.data_dir)
    if not builder.info.splits:
        where = f" --data-dir {dataset.data_dir}" if dataset.data_dir else ""
        if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            where += " --manual-dir FOLDER_OF_THE_DOWNLOADED_FILES"
        raise UserError(
            f"The data set {dataset.name} is not prepared in {builder.data_dir}. "
            f"Prepare it: pip install '.[prepare]' && mobilenets prepare "
            f"{dataset.name}{where}"
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


def needs_conversion(builder: Any) -> UserError:
    """The error for a prepared data set without random access."""
    return UserError(
        f"{builder.data_dir} was prepared as {builder.info.file_format.value}, which "
        "has no random access. Convert it: pip install apache-beam mlcroissant && "
        f"tfds convert_format --dataset_version_dir={builder.data_dir} "
        "--out_file_format=array_record, then give "
        f"--config.dataset.directory={builder.data_dir}."
    )


def unknown_dataset(name: str) -> UserError:
    """As `unknown`, but TFDS has too many data sets to list."""
    import tensorflow_datasets as tfds

    names = {*EMBEDDED, *tfds.list_builders(with_community_datasets=False)}
    close = difflib.get_close_matches(name, names)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return UserError(
        f"Unknown data set {name!r}.{hint} Known are those of TensorFlow Datasets "
        f"and, embedded, {', '.join(EMBEDDED)}; for images of your own use "
        "--config.dataset.folder=FOLDER."
    )
