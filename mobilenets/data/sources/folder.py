"""Images of a class in a folder of its name."""

import pathlib

from mobilenets.data.sources import division
from mobilenets.data.sources.base import (
    IMAGE_SUFFIXES,
    Record,
    Undivided,
    UnknownSplit,
    check_classes,
    tell_lacking_classes,
)
from mobilenets.errors import UserError

_File = tuple[pathlib.Path, str]  # and its class


class FolderSource:
    """The images FOLDER/SPLIT/CLASS/*.jpg (or png, webp), in the order of their names.

    The classes are those of all splits together, so that every split numbers them
    alike. The images are turned as their EXIF orientation says.

    Args:
      folder: the root.
      split: a folder in it.
      eval_fraction: above 0 the images are FOLDER/CLASS/*.jpg instead, or the folder
        has a single split, and this part of them is "validation", the others "train";
        see `division.side`.
      to_train: refuse a split without an image of some class.

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
    ):
        root = pathlib.Path(folder).expanduser()
        if not root.is_dir():
            raise UserError(f"dataset.folder {folder} is not a folder.")
        if eval_fraction:
            place = f"{root}, split {split},"
            classes, files = _divided(root, folder, split, eval_fraction)
        else:
            place = str(root / split)
            classes, files = _of_split(root, folder, split)
        self.names = tuple(classes)
        numbers = {name: number for number, name in enumerate(self.names)}
        self._files = [(path, numbers[name]) for path, name in files]
        check = check_classes if to_train else tell_lacking_classes
        check(place, self.names, [label for _, label in self._files])

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Record:
        path, label = self._files[index]
        return Record(path.read_bytes(), label, str(path))


def _of_split(
    root: pathlib.Path, folder: str, split: str
) -> tuple[list[str], list[_File]]:
    """All classes, and the images in FOLDER/SPLIT."""
    splits = _folders(root)
    if split not in splits:
        raise _no_split(root, folder, split, splits)
    classes = sorted({name for s in splits for name in _folders(root / s)})
    return classes, _images(root / split, classes)


def _no_split(
    root: pathlib.Path, folder: str, split: str, inner: list[str]
) -> UserError:
    """The error for a folder without that split, by what else is in it."""
    layout = f"Images are expected as {split}/CLASS/*.jpg in it."
    if not inner:
        return UserError(f"dataset.folder {folder} has no folders. {layout}")
    with_folders = [name for name in inner if _folders(root / name)]
    if not with_folders:
        shown = ", ".join(inner[:5]) + (", …" if inner[5:] else "")
        return Undivided(
            f"dataset.folder {folder} has no folder {split}. Its folders {shown} have "
            "none in them, so that they seem to be the classes."
        )
    if len(inner) == 1:
        return Undivided(
            f"dataset.folder {folder} has no split {split}, only {inner[0]}."
        )
    return UnknownSplit(folder, split, inner, layout)


def _divided(
    root: pathlib.Path, folder: str, split: str, eval_fraction: float
) -> tuple[list[str], list[_File]]:
    """All classes, and the images of FOLDER/CLASS that are on the split's side."""
    inner = _folders(root)
    nested = [name for name in inner if _folders(root / name)]
    if len(inner) == 1 and nested:
        root = root / inner[0]
    elif nested:
        raise UserError(
            f"dataset.eval_fraction divides the images of FOLDER/CLASS/*.jpg, but "
            f"{folder} has folders in {', '.join(nested)}: leave it out where those are"
            f" splits, or give one of them, as dataset.folder={root / nested[0]}."
        )
    classes = _folders(root)
    files = _images(root, classes)
    names = [path.relative_to(root).as_posix() for path, _ in files]
    sides = [division.side(name, eval_fraction) for name in names]
    division.check(folder, split, sides)
    return classes, [f for f, side in zip(files, sides, strict=True) if side == split]


def _images(folder: pathlib.Path, classes: list[str]) -> list[_File]:
    files = [
        (path, name)
        for name in classes
        for path in sorted((folder / name).glob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise UserError(
            f"{folder} holds no images: expected are files "
            f"CLASS/*{', CLASS/*'.join(IMAGE_SUFFIXES)}."
        )
    return files


def _folders(path: pathlib.Path) -> list[str]:
    return sorted(
        p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")
    )
