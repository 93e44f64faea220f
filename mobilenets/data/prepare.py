"""Preparing a data set of TensorFlow Datasets for random access."""

import contextlib
import functools
import importlib.util
import logging
import pathlib
import sys
import urllib.error
import urllib.parse
from collections.abc import Iterator

import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from mobilenets.data.sources import embedded
from mobilenets.data.sources.tfds import needs_conversion, tfds_builder
from mobilenets.errors import UserError, unreachable
from mobilenets.runtime import start_up

_RETRIES = 2  # TFDS' 10 are four minutes until it gives up
_TIMEOUTS = (10, 60)  # seconds to connect, and between two parts of a file


def prepare(name: str, data_dir: str, manual_dir: str) -> None:
    """Downloads what can be downloaded and writes the data set as ArrayRecord files.

    Args:
      name: of the data set.
      data_dir: the folder of all data sets; "": TFDS's own.
      manual_dir: holds what the user must download; "": data_dir/downloads/manual.

    Raises:
      UserError: there is no such data set, TensorFlow is not installed, files that
        must be downloaded by hand are missing, or the others cannot be downloaded.
    """
    if name in embedded.NAMES:
        raise UserError(f"{name} is embedded: it needs no preparation.")
    prepared = tfds_builder(name, data_dir)
    if prepared.info.splits:
        if prepared.info.file_format.value != "array_record":
            raise needs_conversion(prepared)
        print(f"{name} is prepared already: {prepared.data_dir}")
        return
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "Preparing a data set needs TensorFlow: pip install '.[prepare]'."
        )
    if manual_dir and not pathlib.Path(manual_dir).is_dir():
        raise UserError(f"--manual-dir {manual_dir} is not a folder.")
    start_up.silence_tensorflow()
    import tensorflow as tf

    builder = tfds_builder(name, data_dir, file_format="array_record")
    try:
        with _not_for_long():
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    manual_dir=manual_dir or None
                )
            )
    except (
        requests.exceptions.RequestException,
        urllib.error.URLError,
        tfds.download.DownloadError,
    ) as error:
        raise _not_downloaded(name, error) from None
    # What TFDS raises where a file of the manual folder is missing, and a full disk.
    except (AssertionError, tf.errors.NotFoundError, OSError) as error:
        raise UserError(
            f"{name} cannot be prepared: {' '.join(str(error).split())}"
        ) from None
    print(f"Prepared: {builder.data_dir}")


@contextlib.contextmanager
def _not_for_long() -> Iterator[None]:
    """Has TFDS give up soon where a host cannot be reached, without telling each try.

    It has no options for that.
    """
    retries, open_url = downloader.MAX_RETRIES, downloader._open_url
    of_requests = logging.getLogger("urllib3")
    level = of_requests.level
    downloader.MAX_RETRIES = _RETRIES
    downloader._open_url = functools.partial(open_url, timeout=_TIMEOUTS)
    of_requests.setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        yield
    finally:
        downloader.MAX_RETRIES, downloader._open_url = retries, open_url
        of_requests.setLevel(level)


def _not_downloaded(name: str, error: Exception) -> UserError:
    """The error for a download that failed."""
    no_answer = (requests.exceptions.ConnectionError, requests.exceptions.Timeout)
    has_reason = isinstance(error, requests.exceptions.SSLError)
    request = getattr(error, "request", None)
    if isinstance(error, no_answer) and request is not None and not has_reason:
        return unreachable(name, urllib.parse.urlsplit(request.url).hostname or "")
    return UserError(f"{name} cannot be downloaded: {' '.join(str(error).split())}")
