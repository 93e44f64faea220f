"""Reads every image of a source beforehand, to find the broken ones."""

import concurrent.futures
import functools
import os
from collections.abc import Callable, Iterator

from mobilenets.data.decoding import decode
from mobilenets.data.sources.base import Record, Source
from mobilenets.errors import BrokenImage

_AT_ONCE = 1024  # images that are handed to the threads; a data set has millions


def broken_images(
    source: Source, on_image: Callable[[], None] = lambda: None
) -> Iterator[BrokenImage]:
    """Yields the error of each image that cannot be decoded, in the source's order.

    Args:
      source: read by as many threads as there are cores; decoding releases Python's
        lock.
      on_image: called after each image, for a progress bar.
    """
    error_of = functools.partial(_error, source)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for first in range(0, len(source), _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, len(source)))
            for error in threads.map(error_of, numbers):
                on_image()
                if error:
                    yield error


def read(source: Source, number: int) -> Record:
    """A record whose image can be decoded.

    Raises:
      BrokenImage: it cannot.
    """
    record = source[number]
    decode(record.image, record.origin, source.upright)
    return record


def _error(source: Source, number: int) -> BrokenImage | None:
    """Why an image cannot be decoded; None if it can."""
    try:
        read(source, number)
    except BrokenImage as error:
        return error
    return None
