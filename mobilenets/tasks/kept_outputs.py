"""A teacher's outputs for all images to train, computed once and kept in a folder.

A file has the outputs, [images, classes] float32, in the order of the data set. Its
name is a hash of what they follow from: the teacher, the data set and the crop.
"""

import concurrent.futures
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from mobilenets.config.schema import Configuration
from mobilenets.data.loading import ImageLoader
from mobilenets.data.sources.base import Record, Source
from mobilenets.errors import BrokenImage, UserError
from mobilenets.runs import hashes
from mobilenets.runtime.console import console, progress_bar
from mobilenets.tasks.distillation import Teacher

_AT_ONCE = 64  # images that pass through the teacher together
_COMPARED = 16  # images whose outputs are computed again when a file is used again
# How far the new outputs may be from the old ones, as a fraction of their deviation:
# more than another device makes of it, and less than another image.
_TOLERANCE = 0.05


class TaughtSource:
    """A source whose targets are (the source's own, the teacher's outputs [classes]).

    Args:
      source: of the images.
      file: of the outputs.
    """

    def __init__(self, source: Source, file: pathlib.Path):
        self.names, self.upright = source.names, source.upright
        self._source, self._file = source, file

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        record = self._source[index]
        # Opened each time: an open one would be copied into every worker process.
        outputs = np.array(np.load(self._file, mmap_mode="r")[index])
        return Record(record.image, (record.target, outputs), record.origin)


def with_kept_outputs(
    source: Source, teacher: Teacher, images: ImageLoader, config: Configuration
) -> TaughtSource:
    """The images to train with the teacher's outputs, which are computed if need be.

    Args:
      source: of the images.
      teacher: of the run.
      images: as the teacher sees them, in each epoch the same.
      config: of the run.

    Raises:
      UserError: the folder cannot be written, or has outputs of other images; there are
        none and several processes would compute them; or an image is broken.
    """
    folder = pathlib.Path(config.distillation.outputs).expanduser().absolute()
    file = folder / f"{_key(source, teacher, config)}.npy"
    outputs = _Outputs(source, teacher, images, config.dataset.max_bad_images > 0)
    try:
        if file.exists():
            _compare(file, outputs)
        elif jax.process_count() > 1:
            raise UserError(
                f"{folder} does not have the teacher's outputs yet, and one process "
                "must compute them: start the training once without --distributed."
            )
        else:
            _compute(file, outputs)
    except OSError as error:
        raise UserError(
            f"Cannot use distillation.outputs {folder}: {error.strerror or error}."
        ) from None
    return TaughtSource(source, file)


class _Outputs:
    """The teacher's outputs for images of a source.

    Args:
      source: of the images.
      teacher: of the run.
      images: as the teacher sees them.
      passes_over: whether an image may be broken; its outputs are never used.
    """

    def __init__(
        self, source: Source, teacher: Teacher, images: ImageLoader, passes_over: bool
    ):
        self.shape = (len(source), len(teacher.class_names))
        self._source, self._images, self._passes_over = source, images, passes_over
        side = teacher.resolution
        self._black = np.zeros((side, side, 3), np.uint8)
        self._unused = np.random.default_rng(0)  # nothing is random
        self._variables = jax.device_put(teacher.net.variables)
        self._run = jax.jit(teacher.outputs)

    def of(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """The outputs of some images, some of them at a time: [n, classes]."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            for first in range(0, len(numbers), _AT_ONCE):
                chosen = numbers[first : first + _AT_ONCE]
                images = np.stack([*threads.map(self._image, chosen)])
                padding = [(0, _AT_ONCE - len(images)), (0, 0), (0, 0), (0, 0)]
                found = self._run(self._variables, np.pad(images, padding))
                yield np.asarray(found)[: len(chosen)]

    def _image(self, number: int) -> np.ndarray:
        try:
            return self._images.augmented(self._source[number], self._unused)
        except BrokenImage:
            if not self._passes_over:
                raise
            return self._black


def _key(source: Source, teacher: Teacher, config: Configuration) -> str:
    """What the outputs follow from, but for the images themselves."""
    of_dataset = config.dataset.model_dump(
        mode="json", exclude={"num_workers", "max_bad_images", "eval_split"}
    )
    crop = teacher.preprocessing(config.preprocessing).model_dump(mode="json")
    facts: dict[str, Any] = {
        "teacher": teacher.identity,
        "dtype": config.dtype,
        "dataset": of_dataset,
        "images": len(source),
        # A folder has another order where its labels are read.
        "with_labels": config.distillation.label_weight > 0,
        "preprocessing": crop,
    }
    return hashes.of_json(facts)[:32]


def _compute(file: pathlib.Path, outputs: _Outputs) -> None:
    """Writes the file; it has its name when it is complete."""
    console.print(f"Computing the teacher's outputs, kept in {file}.", soft_wrap=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".unfinished.{os.getpid()}")
    images, _ = outputs.shape
    header = {"descr": "<f4", "fortran_order": False, "shape": outputs.shape}
    try:
        # Piece by piece: a full disk would kill a process that maps the file to memory.
        with (
            unfinished.open("wb") as stream,
            progress_bar("teacher", images) as on_image,
        ):
            np.lib.format.write_array_header_1_0(stream, header)
            for part in outputs.of(range(images)):
                stream.write(part.tobytes())
                for _ in part:
                    on_image()
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _compare(file: pathlib.Path, outputs: _Outputs) -> None:
    """Raises UserError if the file is not of these images."""
    try:
        kept = np.load(file, mmap_mode="r")
    except ValueError:
        raise UserError(f"{file} is damaged: delete it.") from None
    count = min(_COMPARED, len(kept))
    numbers = [int(n) for n in np.linspace(0, len(kept) - 1, count)]
    if kept.shape == outputs.shape:
        found = np.concatenate([*outputs.of(numbers)])
        if np.abs(found - kept[numbers]).max() <= _TOLERANCE * kept[numbers].std():
            return
    raise UserError(
        f"{file} has the teacher's outputs for other images than those to train: "
        "delete it, or give another distillation.outputs."
    )
