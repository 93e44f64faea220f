"""Images of a class in a folder of its name."""

import pathlib
from collections.abc import Sequence

from mobilenets.data.sources import division, photographs
from mobilenets.data.sources.base import (
    TO_EVALUATE,
    Labelled,
    Record,
    Undivided,
    UnknownSplit,
    check_classes,
    check_some_labels,
    tell_lacking_classes,
)
from mobilenets.data.sources.photographs import Ignored
from mobilenets.errors import UserError

_File = tuple[pathlib.Path, str]  # and its class, "" if it has none

# Folders of these names hold splits, never the images of a class.
SPLITS = ("train", "training", *TO_EVALUATE)


class FolderSource:
    """The photographs FOLDER/SPLIT/CLASS/*, in the order of their names.

    `photographs` says which files those are; what else is there is counted and told.
    The classes are those of the splits in use, so that these number them alike. The
    images are turned as their EXIF orientation says.

    Args:
      folder: the root.
      split: a folder in it.
      eval_fraction: above 0 the images are FOLDER/CLASS/* instead, or the folder has a
        single split, and this part of them is "validation", the others "train"; see
        `division.side`. Without it, the split "all" has all of FOLDER/CLASS/*.
      to_train: refuse a split without an image of some class.
      in_use: the splits whose classes count, beside those of `split`.
      labelled: "some": photographs directly in the split, beside the folders of the
        classes, have none; their target is -1. "none": so have all below the split.

    Raises:
      UserError: the folder is not as it should be, or has no such split.
    """

    upright = True

    def __init__(
        self,
        folder: str,
        split: str,
        eval_fraction: float = 0.0,
        to_train: bool = False,
        in_use: Sequence[str] = (),
        labelled: Labelled = "all",
    ):
        root = existing(folder)
        if eval_fraction:
            place = f"{root}, split {split},"
            is_first = split == min({split, *in_use})  # "train" where both are opened
            classes, files = _divided(
                root, folder, split, eval_fraction, is_first, labelled
            )
        elif split == division.WHOLE and splits(folder) == [split]:
            place = str(root)
            classes, files = _folders(root), _images(root)
        else:
            place = str(root / split)
            classes, files = _of_split(root, folder, split, in_use, labelled)
        self.names = tuple(classes)
        _check_names(root, classes)
        numbers = {name: number for number, name in enumerate(self.names)} | {"": -1}
        self._files = [(path, numbers[name]) for path, name in files]
        labels = [label for _, label in self._files]
        if labelled == "some":
            check_some_labels(place, labels)
        elif labelled == "all":
            check = check_classes if to_train else tell_lacking_classes
            check(place, self.names, labels)

    @property
    def listed(self) -> list[tuple[pathlib.Path, int]]:
        """The file and the class of each image."""
        return self._files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Record:
        path, label = self._files[index]
        return Record(photographs.read(path), label, photographs.shown(path))


def splits(folder: str) -> list[str]:
    """The splits in a folder, or "all" where the folders in it are the classes.

    Raises:
      UserError: it is no folder, or cannot be read.
    """
    root = existing(folder)
    inner = _folders(root)
    seeming = [name for name in inner if _seems_split(root / name)]
    are_splits = seeming == inner or {*seeming} & {*SPLITS}
    return seeming if seeming and are_splits else [division.WHOLE]


def existing(folder: str) -> pathlib.Path:
    """The folder of the config.

    Raises:
      UserError: there is none.
    """
    root = pathlib.Path(folder).expanduser()
    if not root.is_dir():
        raise UserError(f"dataset.folder {folder} is not a folder.")
    return root


def _check_names(root: pathlib.Path, classes: list[str]) -> None:
    """Raises UserError unless all can be saved with the weights."""
    for name in classes:
        if name != photographs.shown(pathlib.Path(name)):
            raise UserError(
                f"The class {photographs.shown(pathlib.Path(name))} in {root} has a "
                "name that is not in UTF-8: rename its folder."
            )


def _of_split(
    root: pathlib.Path,
    folder: str,
    split: str,
    in_use: Sequence[str],
    labelled: Labelled,
) -> tuple[list[str], list[_File]]:
    """The classes of the splits in use, and the images in FOLDER/SPLIT."""
    splits = _folders(root)
    if split not in splits:
        raise _no_split(root, folder, split, splits, in_use)
    if labelled == "none":
        return [], [(path, "") for path in images_without_class(root / split)]
    used = {split, *in_use} & {*splits}
    classes = sorted({name for s in used for name in _folders(root / s)})
    return classes, _images(root / split, labelled=labelled)


def _no_split(
    root: pathlib.Path,
    folder: str,
    split: str,
    inner: list[str],
    in_use: Sequence[str],
) -> UserError:
    """The error for a folder without that split, by what else is in it."""
    layout = f"Images are expected as {split}/CLASS/*.jpg in it."
    if not inner:
        return UserError(f"dataset.folder {folder} has no folders. {layout}")
    if not any(_seems_split(root / name) for name in inner):
        shown = ", ".join(inner[:5]) + (", …" if inner[5:] else "")
        return Undivided(
            f"dataset.folder {folder} has no folder {split}. The folders in it, "
            f"{shown}, hold no folders, so they seem to be the classes."
        )
    is_only_one = {*in_use} == {split}  # an evaluation needs no other
    if len(inner) == 1 and not is_only_one:
        return Undivided(
            f"dataset.folder {folder} has no split {split}, only {inner[0]}."
        )
    return UnknownSplit(folder, split, inner, layout)


def _divided(
    root: pathlib.Path,
    folder: str,
    split: str,
    eval_fraction: float,
    to_tell: bool,
    labelled: Labelled,
) -> tuple[list[str], list[_File]]:
    """All classes, and the images of FOLDER/CLASS that are on the split's side.

    Args:
      root: the folder.
      folder: the same as the user gave it.
      split: "train" or "validation".
      eval_fraction: see `FolderSource`.
      to_tell: what is ignored; it is the same for both splits.
      labelled: see `FolderSource`. Photographs without a class are all in "train".
    """
    inner = _folders(root)
    seeming = [name for name in inner if _seems_split(root / name)]
    if len(inner) == 1 and seeming:
        root = root / inner[0]
    elif seeming and (seeming == inner or {*seeming} & {*SPLITS}):
        raise UserError(
            f"dataset.eval_fraction divides the images of FOLDER/CLASS/*.jpg, but "
            f"{folder} has folders in {', '.join(seeming)}: leave it out where those "
            f"are splits, or give one of them, as dataset.folder={root / seeming[0]}."
        )
    files = _images(root, to_tell, labelled)
    sides = [
        division.side(path.relative_to(root).as_posix(), eval_fraction)
        if name
        else division.TRAIN
        for path, name in files
    ]
    division.check(folder, split, sides)
    mine = [file for file, side in zip(files, sides, strict=True) if side == split]
    return _folders(root), mine


def _seems_split(folder: pathlib.Path) -> bool:
    """Whether it has folders and no photographs beside them, as that of a split."""
    return not photographs.are_in(folder) and bool(_folders(folder))


def _images(
    folder: pathlib.Path, to_tell: bool = True, labelled: Labelled = "all"
) -> list[_File]:
    """The images in FOLDER/CLASS/*, and in the folders below.

    Args:
      folder: of the classes.
      to_tell: whether to print what is ignored.
      labelled: unless it is "all", photographs beside the classes are images, too.
    """
    ignored = Ignored()
    files = [
        (path, name)
        for name in photographs.folders(folder, ignored)
        for path in photographs.find(folder / name, ignored)
    ]
    if labelled != "all":
        ignored.pop(photographs.UNLABELLED, None)
        files += [(path, "") for path in photographs.directly_in(folder)]
    if to_tell:
        photographs.tell_ignored(str(folder), ignored)
    if not files:
        kinds = ", CLASS/*".join(photographs.SUFFIXES)
        found = (
            "has images, but no folders of classes with images"
            if photographs.are_in(folder)
            else "holds no images"
        )
        raise UserError(f"{folder} {found}: expected are files CLASS/*{kinds}.")
    return files


def images_without_class(
    folder: pathlib.Path, to_tell: bool = True
) -> list[pathlib.Path]:
    """The images in a folder, and in the folders below.

    Args:
      folder: an existing one.
      to_tell: whether to print what is ignored.

    Raises:
      UserError: there are none.
    """
    ignored = Ignored()
    files = photographs.find(folder, ignored)
    if to_tell:
        photographs.tell_ignored(str(folder), ignored)
    if not files:
        kinds = ", *".join(photographs.SUFFIXES)
        raise UserError(f"{folder} holds no images: it must have {kinds} files.")
    return files


def _folders(path: pathlib.Path) -> list[str]:
    return photographs.folders(path, Ignored())
