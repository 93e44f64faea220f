"""What there is in the masks of a split: sizes, and the pixels of each class."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np

from mobilenets.data.masks import UNLABELLED
from mobilenets.data.sources.annotations import counted
from mobilenets.errors import UserError
from mobilenets.runtime.console import progress_bar

_MOST_SHOWN = 20  # classes in the line


@dataclasses.dataclass(frozen=True)
class MaskCounts:
    """Of each mask its size, and how many of its pixels have each value."""

    sizes: np.ndarray  # [masks, 2] int64: height and width; 0 if it cannot be read
    values: np.ndarray  # [masks, 256] int32

    @property
    def is_readable(self) -> np.ndarray:
        """Whether each mask can be read, [masks] bool."""
        return self.sizes[:, 0] > 0

    @property
    def readable(self) -> "MaskCounts":
        """The same of the masks alone that can be read."""
        return MaskCounts(self.sizes[self.is_readable], self.values[self.is_readable])

    @property
    def of_values(self) -> np.ndarray:
        """The pixels of each value in all masks together, [256] int64."""
        return self.values.sum(axis=0, dtype=np.int64)

    def first_with(self, value: int) -> int:
        """The number of the first mask that has a value, which one must have."""
        return int(np.flatnonzero(self.values[:, value])[0])


def count_masks(read: Callable[[int], np.ndarray | None], masks: int) -> MaskCounts:
    """Reads all masks, by as many threads as there are cores.

    Args:
      read: gives the mask of a number, [H, W] uint8; None for one that cannot be read.
      masks: how many there are.

    Raises:
      UserError: whatever `read` raises, of the first mask for which it does.
    """

    def counted_in(number: int) -> tuple[tuple[int, int], np.ndarray]:
        mask = read(number)
        if mask is None:
            return (0, 0), np.zeros(256, np.int64)
        return mask.shape, np.bincount(mask.ravel(), minlength=256)

    sizes = np.zeros((masks, 2), np.int64)
    values = np.zeros((masks, 256), np.int32)
    with (
        progress_bar("reading masks", masks) as on_mask,
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads,
    ):
        try:
            for number, found in enumerate(threads.map(counted_in, range(masks))):
                sizes[number], values[number] = found
                on_mask()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return MaskCounts(sizes, values)


def check_labelled(place: str, counts: MaskCounts) -> None:
    """Makes sure that there is something to learn and to evaluate.

    Args:
      place: which split, and of what.
      counts: of its masks.

    Raises:
      UserError: no pixel of any mask has a label.
    """
    if not counts.of_values[:UNLABELLED].any():
        raise UserError(
            f"{place}, has masks without a single labelled pixel: give another split, "
            f"or masks with other values than {UNLABELLED}."
        )


def summary(
    place: str, names: Sequence[str], counts: MaskCounts, dropped: str = ""
) -> str:
    """One line on the masks of a split.

    Args:
      place: which split, and of what.
      names: of the classes.
      counts: of its masks.
      dropped: what was left out; "" for nothing.
    """
    of_values = counts.of_values
    of_classes, total = of_values[: len(names)], of_values.sum()
    labelled = of_values[:UNLABELLED].sum()
    shares = [
        f"{name} {pixels / labelled:.1%}"
        for name, pixels in zip(names, of_classes, strict=True)
        if pixels
    ]
    more = f" and {len(shares) - _MOST_SHOWN} others" * (len(shares) > _MOST_SHOWN)
    line = (
        f"{place}: {counted(len(counts.sizes), 'photograph')}, "
        f"{counted(len(names), 'class', 'classes')}; of the labelled pixels "
        f"{', '.join(shares[:_MOST_SHOWN])}{more}; {1 - labelled / total:.1%} of all "
        f"pixels ({total - labelled:,}) without label"
    )
    if without := int((counts.values[:, :UNLABELLED].sum(axis=1) == 0).sum()):
        line += f"; {counted(without, 'mask')} without any labelled pixel"
    absent = [n for n, pixels in zip(names, of_classes, strict=True) if not pixels]
    if absent:
        shown = ", ".join(absent[:5]) + (", …" if absent[5:] else "")
        line += f"; no pixel of {shown}"
    return line + (f"; dropped: {dropped}" if dropped else "") + "."
