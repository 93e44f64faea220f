"""Preparing a data set of TensorFlow Datasets for random access."""

import contextlib
import functools
import importlib.util
import logging
import pathlib
import re
import sys
import tarfile
import urllib.error
import urllib.parse
import zipfile
from collections.abc import Iterator
from typing import Any

import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core import file_adapters
from tensorflow_datasets.core.download import download_manager, downloader

from mobilenets.data import imagenet, shards
from mobilenets.data.sources import embedded
from mobilenets.data.sources.tfds import prepared_builder, tfds_builder
from mobilenets.errors import UserError, unreachable
from mobilenets.runtime import start_up
from mobilenets.runtime.console import progress_bar

_RETRIES = 2  # TFDS' 10 are four minutes until it gives up
_TIMEOUTS = (10, 60)  # seconds to connect, and between two parts of a file
_ARRAY_RECORD = file_adapters.FileFormat.ARRAY_RECORD
# What reading an archive raises that is none, or that was cut short.
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError)
_ARCHIVE = re.compile(r"[\w.-]+\.(?:tar\.gz|tar|tgz|zip)\b")  # in TFDS' instructions


def prepare(name: str, data_dir: str, manual_dir: str) -> None:
    """Downloads what can be downloaded and writes the data set as ArrayRecord files.

    One that is prepared as TFRecord files gets ArrayRecord files beside them. At the
    end the examples are counted, and the numbers are printed. What was downloaded
    before is not downloaded again. TFDS writes the records anew if it was killed; a
    conversion continues.

    Args:
      name: of the data set, or the folder of a prepared one.
      data_dir: the folder of all data sets; "": TFDS's own.
      manual_dir: holds what the user must download; "": data_dir/downloads/manual.

    Raises:
      UserError: there is no such data set, TensorFlow is not installed, files that
        must be downloaded by hand are missing or damaged, the others cannot be
        downloaded, or examples are missing.
    """
    if name in embedded.NAMES:
        raise UserError(f"{name} is embedded: it needs no preparation.")
    is_folder = (pathlib.Path(name).expanduser() / "dataset_info.json").exists()
    prepared = prepared_builder(name) if is_folder else tfds_builder(name, data_dir)
    if prepared.info.splits:
        if _has_random_access(prepared):
            _tell_sizes(prepared)
            print(f"{name} is prepared already: {prepared.data_dir}")
        else:
            _convert(prepared)
        return
    _need_tensorflow()
    if manual_dir and not pathlib.Path(manual_dir).is_dir():
        raise UserError(f"--manual-dir {manual_dir} is not a folder.")
    builder = tfds_builder(name, data_dir, file_format="array_record")
    by_hand = pathlib.Path(manual_dir or f"{builder.data_dir_root}/downloads/manual")
    missing = _missing_archives(builder, by_hand)
    _tell_leftovers(pathlib.Path(builder.data_dir))
    with _errors(name, builder, by_hand, missing), _not_for_long():
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=by_hand)
        )
    if missing:
        print(f"Not in {by_hand}, and so left out: {', '.join(missing)}.")
    _tell_sizes(builder)
    print(f"Prepared: {builder.data_dir}")


def _need_tensorflow() -> None:
    """Raises UserError if TensorFlow is not installed; it starts in silence."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "Preparing a data set needs TensorFlow: pip install '.[prepare]'."
        )
    start_up.silence_tensorflow()


def _has_random_access(builder: Any) -> bool:
    formats = file_adapters.FileFormat.with_random_access()
    return bool(builder.info.available_file_formats() & formats)


def _convert(builder: Any) -> None:
    """Adds ArrayRecord files to a data set of TFRecord files."""
    if builder.info.file_format != file_adapters.FileFormat.TFRECORD:
        raise UserError(
            f"{builder.data_dir} was prepared as {builder.info.file_format.value}, "
            "which cannot be converted: remove the folder and prepare the data set "
            "again."
        )
    _need_tensorflow()
    from mobilenets.data.converting import convert

    examples = sum(split.num_examples for split in builder.info.splits.values())
    try:
        with progress_bar("converting", examples) as on_example:
            convert(builder, on_example)
    except OSError as error:
        raise UserError(
            f"Cannot write to {builder.data_dir}: {error.strerror}. Make room or give "
            "access, and start the same command again: it continues."
        ) from None
    _tell_sizes(prepared_builder(str(builder.data_dir)))
    print(f"Converted: {builder.data_dir} has ArrayRecord files beside the TFRecord.")


def _missing_archives(builder: Any, folder: pathlib.Path) -> list[str]:
    """The archives that TFDS' instructions name and the folder lacks."""
    named = _ARCHIVE.findall(builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "")
    return [name for name in dict.fromkeys(named) if not (folder / name).exists()]


def _tell_leftovers(directory: pathlib.Path) -> None:
    """Prints which folders were left by preparations that were killed."""
    for path in sorted(directory.parent.glob(f"incomplete.*_{directory.name}")):
        print(f"{path} was left by a preparation that was killed: remove it.")


def _tell_sizes(builder: Any) -> None:
    """Counts the examples in the files and prints how many each split has.

    Raises:
      UserError: there are others than the data set says.
    """
    if _ARRAY_RECORD not in builder.info.available_file_formats():
        return
    suffix, published = _ARRAY_RECORD.file_suffix, imagenet.SIZES.get(builder.name, {})
    for split in builder.info.splits.values():
        template = split.filename_template.replace(filetype_suffix=suffix)
        paths = template.sharded_filepaths(num_shards=split.num_shards)
        found = sum(shards.count(pathlib.Path(path)) for path in paths)
        if found != split.num_examples:
            raise UserError(
                f"{builder.data_dir}, split {split.name}, holds {found:,} examples, but"
                f" should hold {split.num_examples:,}: remove the folder and prepare it"
                " again."
            )
        expected = published.get(split.name, found)
        of_all = f" of the {expected:,} published" if found != expected else ""
        print(f"{split.name}: {found:,} examples{of_all}")


@contextlib.contextmanager
def _errors(
    name: str, builder: Any, by_hand: pathlib.Path, missing: list[str]
) -> Iterator[None]:
    """Says in a sentence why a data set cannot be prepared."""
    import tensorflow as tf

    try:
        yield
    except (
        requests.exceptions.RequestException,
        urllib.error.URLError,
        tfds.download.DownloadError,
    ) as error:
        advice = _other_way(builder, by_hand, error)
        raise UserError(f"{_not_downloaded(name, error)}{advice}") from None
    except (
        download_manager.NonMatchingChecksumError,
        tf.errors.OutOfRangeError,
        *_DAMAGE,
    ) as error:
        raise UserError(
            f"{name} cannot be prepared, since an archive is damaged or is another one:"
            f" {' '.join(str(error).split())}"
        ) from None
    # What TFDS raises where a file of the manual folder is missing, and a full disk.
    except (AssertionError, tf.errors.NotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        if missing:
            paths = " and no ".join(str(by_hand / archive) for archive in missing)
            instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
            reason = f"there is no {paths}. {instructions}"
        raise UserError(f"{name} cannot be prepared: {reason}") from None


def _other_way(builder: Any, by_hand: pathlib.Path, error: Exception) -> str:
    """Where to put a file that TFDS cannot download, if it takes it from there."""
    request = getattr(error, "request", None)
    asked = f"{request.url if request is not None else ''} {error}"
    for url, info in (builder.url_infos or {}).items():
        if url in asked and info.filename:
            return f" Or download {url} by other means, as {by_hand / info.filename}."
    return ""


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
