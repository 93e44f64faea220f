"""A folder or a table of images as one data set of ArrayRecord files.

A few large files are read faster than a million small ones, and are copied in one go.
The images stay byte for byte what they are.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mobilenets.data import checking, shards
from mobilenets.data.sources import division, folder, table
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.folder import FolderSource
from mobilenets.data.sources.table import TableSource
from mobilenets.errors import BrokenImage, UserError

ListedSource = FolderSource | TableSource

_VERSION = "1.0.0"
_OF_SHARD = 1024  # images in a file, read at once: some 100 MB
_PROGRESS = "progress"  # the folder of what is known of the finished files


@dataclasses.dataclass(frozen=True)
class Packed:
    """A data set of ArrayRecord files.

    Args:
      directory: of the data set, for `dataset.directory`.
      sizes: images by split.
      broken: why an image could not be read and was left out.
    """

    directory: pathlib.Path
    sizes: dict[str, int]
    broken: list[str]


def open_folder(path: str) -> dict[str, ListedSource]:
    """All splits of a folder of images, FOLDER/SPLIT/CLASS/* or FOLDER/CLASS/*.

    The latter become "train", of which slices can be evaluated.

    Raises:
      UserError: the folder is not as it should be.
    """
    splits = folder.splits(path)
    return {
        name: FolderSource(path, split, in_use=splits)
        for name, split in _named(splits).items()
    }


def open_table(path: str) -> dict[str, ListedSource]:
    """All splits of a table of images with one class each; undivided it is "train".

    Raises:
      UserError: the table is not as it should be.
    """
    splits = table.splits(path)
    return {
        name: TableSource(path, split, "class", in_use=splits)
        for name, split in _named(splits).items()
    }


def _named(splits: list[str]) -> dict[str, str]:
    """The splits by their names in TFDS, where "all" means all splits together."""
    if splits == [division.WHOLE]:
        return {division.TRAIN: division.WHOLE}
    return {split: split for split in splits}


def name_of(path: str) -> str:
    """What a data set made of a folder or a table is called, as TFDS allows.

    >>> name_of("/data/My photos (2024)/"), name_of("labels.csv"), name_of("2024")
    ('my_photos_2024', 'labels', 'data_2024')
    """
    stem = pathlib.Path(path).expanduser().resolve().stem
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return name if name[:1].isalpha() else f"data_{name}".rstrip("_")


def pack(
    sources: Mapping[str, ListedSource],
    directory: pathlib.Path,
    on_image: Callable[[], None] = lambda: None,
) -> Packed:
    """Writes the images of all splits, in random order.

    The folder appears when it is complete. If this was killed before, it continues with
    the first file that is not complete, unless the images have changed since.

    Args:
      sources: by the name of the split; their classes are the same.
      directory: of the version of the data set, NAME/VERSION.
      on_image: called after each image, for a progress bar.

    Raises:
      UserError: TFDS cannot keep the name of a split or a class, none of the images of
        a file can be read, the files cannot be written, or there is a data set of other
        images.
    """
    _check_names(sources)
    plan = _digest(sources)
    if directory.exists():
        return _existing(directory, plan)
    work = directory.with_name(f".{directory.name}.unfinished")
    try:
        _begin(work, plan)
        done = {
            split: list(_write_split(source, work, directory, split, on_image))
            for split, source in sources.items()
        }
        lengths = {split: [s["count"] for s in of] for split, of in done.items()}
        _write_metadata(sources, work, directory, lengths, plan)
        work.rename(directory)
    except (OSError, RuntimeError) as error:  # of the disk; ArrayRecord has the latter
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(
            f"Cannot write to {work}: {reason}. Make room or "
            "give access, and start the same command again: it continues."
        ) from None
    shutil.rmtree(directory / _PROGRESS, ignore_errors=True)
    broken = [text for of in done.values() for shard in of for text in shard["broken"]]
    return Packed(directory, {s: sum(of) for s, of in lengths.items()}, broken)


def directory_of(data_dir: str, path: str) -> pathlib.Path:
    """The folder of the data set that is made of a folder or a table.

    Args:
      data_dir: of all data sets; "": TFDS's own.
      path: of the folder or the table.
    """
    from tensorflow_datasets.core import constants

    root = pathlib.Path(data_dir or constants.DATA_DIR).expanduser()
    return root / name_of(path) / _VERSION


def _check_names(sources: Mapping[str, ListedSource]) -> None:
    """Raises UserError unless TFDS gives back the names that it saves.

    It has a line for each class, without spaces around it.
    """
    for split, source in sources.items():
        if not re.fullmatch(r"[A-Za-z]\w*", split) or split == division.WHOLE:
            raise UserError(
                f"The split {split!r} must have a name of letters, digits and _, and "
                f"not {division.WHOLE!r}: rename it."
            )
        for name in source.names:
            if [name] != name.strip().splitlines():
                raise UserError(
                    f"The class {name!r} has spaces around its name, or several lines: "
                    "rename it."
                )


def _digest(sources: Mapping[str, ListedSource]) -> str:
    """Another one if an image was added, removed, changed or put into another class."""
    digest = hashlib.sha256()
    for split, source in sources.items():
        digest.update(json.dumps([split, source.names]).encode())
        for path, label in source.listed:
            try:
                stat = path.stat()
                state = stat.st_size, stat.st_mtime_ns
            except OSError:  # reported when it is read
                state = None
            line = json.dumps([os.fsencode(path).hex(), label, state])
            digest.update(line.encode())
    return digest.hexdigest()


def _existing(directory: pathlib.Path, plan: str) -> Packed:
    """The data set that is there; raises UserError if it is of other images."""
    from mobilenets.data.sources.tfds import prepared_builder

    builder = prepared_builder(str(directory))
    if (builder.info.metadata or {}).get("digest") != plan:
        raise UserError(
            f"{directory} was made from other images, or they have changed since: "
            "remove it, or give another --data-dir."
        )
    sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
    return Packed(directory, sizes, [])


def _begin(work: pathlib.Path, plan: str) -> None:
    """Makes the folder of what is not finished, empty unless it is of this plan."""
    file = work / _PROGRESS / "plan"
    if not file.exists() or file.read_text() != plan:
        if work.exists():
            shutil.rmtree(work)
        file.parent.mkdir(parents=True)
        file.write_text(plan)


def _write_split(
    source: ListedSource,
    work: pathlib.Path,
    directory: pathlib.Path,
    split: str,
    on_image: Callable[[], None],
) -> Iterator[dict[str, Any]]:
    """Writes the files of a split; of each, how many images it has, and the broken."""
    order = np.random.default_rng(0).permutation(len(source))
    total = -(-len(source) // _OF_SHARD)
    for index in range(total):
        name = f"{directory.parent.name}-{split}.array_record-{index:05}-of-{total:05}"
        numbers = order[index * _OF_SHARD : (index + 1) * _OF_SHARD]
        record = work / _PROGRESS / f"{name}.json"
        if record.exists():
            for _ in numbers:
                on_image()
        else:
            done = _write_shard(source, numbers, work / name, on_image)
            unfinished = record.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(done))
            unfinished.replace(record)
        yield json.loads(record.read_text())


def _write_shard(
    source: ListedSource,
    numbers: np.ndarray,
    path: pathlib.Path,
    on_image: Callable[[], None],
) -> dict[str, Any]:
    serialize = _serializer(source.names)
    broken: list[str] = []

    def examples() -> Iterator[bytes]:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            for found in threads.map(lambda i: _read(source, int(i)), numbers):
                on_image()
                if isinstance(found, BrokenImage):
                    broken.append(str(found))
                else:
                    yield serialize(found)

    count = shards.write(path, examples())
    if not count:
        raise UserError(f"None of {len(broken):,} images can be read. {broken[0]}")
    return {"count": count, "broken": broken}


def _read(source: ListedSource, number: int) -> Record | BrokenImage:
    try:
        return checking.read(source, number)
    except BrokenImage as error:
        return error


def _features(names: tuple[str, ...]) -> Any:
    """What TFDS calls the parts of an example."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=names),
            "file_name": tfds.features.Text(),
        }
    )


def _serializer(names: tuple[str, ...]) -> Callable[[Record], bytes]:
    """Makes the bytes of an example from a record."""
    from tensorflow_datasets.core import example_serializer

    specs = _features(names).get_serialized_info()
    serializer = example_serializer.ExampleSerializer(specs)

    def serialize(record: Record) -> bytes:
        return serializer.serialize_example(
            {
                "image": record.image,
                "label": record.target,
                "file_name": record.origin.encode(),
            }
        )

    return serialize


def _write_metadata(
    sources: Mapping[str, ListedSource],
    work: pathlib.Path,
    directory: pathlib.Path,
    lengths: Mapping[str, list[int]],
    plan: str,
) -> None:
    """Writes what TFDS reads beside the records, after counting those once more."""
    import tensorflow_datasets as tfds
    from etils import epath

    whole = tfds.core.ShardedFileTemplate(
        dataset_name=directory.parent.name,
        filetype_suffix="array_record",
        data_dir=epath.Path(work),
    )
    infos = []
    for split, of_split in lengths.items():
        template = whole.replace(split=split)
        files = template.sharded_filepaths(num_shards=len(of_split))
        paths = [pathlib.Path(file) for file in files]
        if [shards.count(path) for path in paths] != of_split:
            raise UserError(
                f"The files in {work} were changed while they were written: remove the "
                "folder and start again."
            )
        info = tfds.core.SplitInfo(
            name=split,
            shard_lengths=of_split,
            num_bytes=sum(path.stat().st_size for path in paths),
            filename_template=template,
        )
        infos.append(info)
    first = next(iter(sources.values()))
    metadata = {"upright": first.upright, "digest": plan}
    tfds.folder_dataset.write_metadata(
        data_dir=work,
        features=_features(first.names),
        split_infos=infos,
        version=directory.name,
        filename_template=whole,
        check_data=False,  # it would need TensorFlow
        metadata=tfds.core.MetadataDict(metadata),
    )
