"""The photographs in a folder: which files are read, in training as in prediction.

A photograph is a file whose name ends with one of `SUFFIXES`, in the folder or in a
folder in it. Ignored is what systems and programs leave beside photographs: names that
begin with a dot, `__MACOSX` (of Mac archives), `@eaDir` (of Synology's indexer), the
workdir of a run, links to nothing, pipes, and files of another kind.
"""

import collections
import os
import pathlib
from collections.abc import Iterator

from mobilenets.errors import BrokenImage, UserError
from mobilenets.runtime.console import console

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

# How many there were of each kind of what is ignored: ".heic file", "hidden folder".
Ignored = collections.Counter[str]

_OF_SYSTEMS = ("__MACOSX", "@eaDir")
_PHOTOGRAPH, _FOLDER = "photograph", "folder"
UNLABELLED = "unlabelled photograph"  # one beside the folders of classes


def find(folder: pathlib.Path, ignored: Ignored) -> list[pathlib.Path]:
    """All photographs in a folder and in the folders in it, in the order of the paths.

    Args:
      folder: an existing one.
      ignored: what is ignored is added to it.

    Raises:
      UserError: a folder cannot be read.
    """
    return sorted(_walk(folder, ignored, frozenset()))


def folders(folder: pathlib.Path, ignored: Ignored) -> list[str]:
    """The names of the folders directly in a folder that may hold photographs.

    Args:
      folder: an existing one.
      ignored: what else there is in it is added to it; photographs as unlabelled.

    Raises:
      UserError: the folder cannot be read.
    """
    names = []
    for entry, kind in _entries(folder):
        if kind == _FOLDER:
            names.append(entry.name)
        else:
            ignored[UNLABELLED if kind == _PHOTOGRAPH else kind] += 1
    return sorted(names)


def are_in(folder: pathlib.Path) -> bool:
    """Whether there are photographs directly in a folder."""
    return bool(directly_in(folder))


def directly_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The photographs directly in a folder, in the order of their names."""
    entries = _entries(folder)
    return sorted(folder / e.name for e, kind in entries if kind == _PHOTOGRAPH)


def tell_ignored(place: str, ignored: Ignored) -> None:
    """Prints what was ignored in a folder, if anything was: "12 .heic files"."""
    parts = [
        f"{count:,} {kind}{'s' * (count > 1)}"
        for kind, count in sorted(ignored.items())
    ]
    if not parts:
        return
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    were = "were" if ignored.total() > 1 else "was"
    console.print(f"In {place}, {listed} {were} ignored.", markup=False)


def shown(path: pathlib.Path) -> str:
    """The path for messages and tables: bytes of its name that are no UTF-8 as "�"."""
    return os.fsencode(path).decode(errors="replace")


def read(path: pathlib.Path) -> bytes:
    """The content of a photograph's file.

    Raises:
      BrokenImage: there is no such file, or it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise BrokenImage(f"Cannot read the image {shown(path)}: it is not a file.")
        return path.read_bytes()
    except OSError as error:
        raise BrokenImage(
            f"Cannot read the image {shown(path)}: {error.strerror}."
        ) from None


def _walk(
    folder: pathlib.Path, ignored: Ignored, above: frozenset[str]
) -> Iterator[pathlib.Path]:
    """The photographs below a folder; a link to one `above` it is not followed."""
    above = above | {os.path.realpath(folder)}
    for entry, kind in _entries(folder):
        if kind == _PHOTOGRAPH:
            yield folder / entry.name
        elif kind != _FOLDER:
            ignored[kind] += 1
        elif os.path.realpath(entry.path) in above:
            ignored["circular link"] += 1
        else:
            yield from _walk(folder / entry.name, ignored, above)


def _entries(folder: pathlib.Path) -> Iterator[tuple[os.DirEntry[str], str]]:
    """What is directly in a folder, and of what kind it is."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry, _kind(entry)
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be read: {error.strerror}."
        ) from None


def _kind(entry: os.DirEntry[str]) -> str:
    """A photograph, a folder, or what is ignored."""
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:  # a link to itself
        return "broken link"
    if not is_folder and not is_file:
        return "broken link" if entry.is_symlink() else "pipe"
    if entry.name.startswith("."):
        return "hidden folder" if is_folder else "hidden file"
    if is_folder:
        return _kind_of_folder(entry)
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in SUFFIXES:
        return _PHOTOGRAPH
    return f"{suffix} file" if suffix else "other file"


def _kind_of_folder(entry: os.DirEntry[str]) -> str:
    if entry.name in _OF_SYSTEMS:
        return f"{entry.name} folder"
    of_a_run = ("config.json", "checkpoints")
    if all(os.path.exists(os.path.join(entry.path, name)) for name in of_a_run):
        return "run folder"
    return _FOLDER
