"""The folder of a search.

    FOLDER/search.json          the search, its name in the storage, the run's config
    FOLDER/trials.db            Optuna's storage, unless another is given
    FOLDER/supernet/            the run of the supernet, as train.py leaves one
    FOLDER/latency_table.csv    the table: measured here, or a copy of the one given
    FOLDER/latency_check.json   the table against whole networks, if that was measured
    FOLDER/evaluated.jsonl      every candidate that was evaluated, a line each
    FOLDER/front_latencies.json networks of the front, measured as a whole
    FOLDER/found/a.json         a network of the front, a spec for `model.spec`
    FOLDER/found/a/             its weights from the supernet, for `init_from`
    FOLDER/workers/             what each worker has printed
    FOLDER/report.html          what the search has found

Several commands and workers may share it: each file is written under a lock.
"""

import contextlib
import dataclasses
import json
import pathlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import filelock
import pydantic
import sqlalchemy

from mobilenets.config import json_files
from mobilenets.config.differences import differences
from mobilenets.config.schema import Configuration, Section
from mobilenets.errors import UserError
from mobilenets.networks.search_space import Genes
from mobilenets.runs import workdir
from mobilenets.search import latency_table
from mobilenets.search.definition import Search
from mobilenets.search.latency_table import Table

# Locks of jobs: more than are in work at a time.
JOB_LOCKS = 64
_VERSION = 2  # of what a folder holds


class _Claim(Section):
    """What `search.json` holds; the config is resolved, so it needs no other file.

    The first version, which wrote none, drew other random candidates, and gave those
    whose loss is not finite the accuracy 0.
    """

    version: int = 1
    name: str
    search: Search
    config: Configuration


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A candidate, and what it reaches.

    Args:
      genes: of the network.
      accuracy: on the ranking images, from 0 to 1; None if the loss is not finite.
      latency: milliseconds by the table.
      parameters: of the network.
      madds: for one image.
      activations: elements of the outputs of all its layers, for one image; a training
        keeps them, so that they are its memory.
    """

    genes: Genes
    accuracy: float | None
    latency: float
    parameters: int
    madds: int
    activations: int


@dataclasses.dataclass(frozen=True)
class SearchFolder:
    """The paths of a search's files, and its facts.

    Args:
      path: absolute.
      name: of the study in the storage, unlike that of any other search.
      search: what is done.
      config: of the supernet's run.
    """

    path: pathlib.Path
    name: str
    search: Search
    config: Configuration

    @property
    def storage_url(self) -> str:
        """Of the file that is Optuna's storage by default."""
        url = sqlalchemy.URL.create("sqlite", database=str(self.path / "trials.db"))
        return url.render_as_string()

    @property
    def supernet(self) -> pathlib.Path:
        """The workdir of the supernet's run."""
        return self.path / "supernet"

    @property
    def table(self) -> pathlib.Path:
        """The latency table."""
        return self.path / "latency_table.csv"

    @property
    def latency_check(self) -> pathlib.Path:
        """The table against whole networks."""
        return self.path / "latency_check.json"

    @property
    def front_latencies(self) -> pathlib.Path:
        """What whole networks of the front take."""
        return self.path / "front_latencies.json"

    @property
    def evaluated(self) -> pathlib.Path:
        """The candidates, in the order of their evaluation."""
        return self.path / "evaluated.jsonl"

    @property
    def found(self) -> pathlib.Path:
        """The networks that were found."""
        return self.path / "found"

    @property
    def workers(self) -> pathlib.Path:
        """What each worker prints, a file each."""
        return self.path / "workers"

    @property
    def report(self) -> pathlib.Path:
        """The page."""
        return self.path / "report.html"

    def lock(self) -> filelock.FileLock:
        """Held while what several processes may write is written."""
        return filelock.FileLock(self.path / ".lock")

    def job_lock(self, number: int) -> filelock.FileLock:
        """Held by the worker of a job, so that its candidates are evaluated once."""
        locks = self.path / "workers/locks"
        locks.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(locks / str(number % JOB_LOCKS))

    @contextlib.contextmanager
    def alone(self, work: str, tell: Callable[[str], None]) -> Iterator[None]:
        """Held while one of several commands does what is done once.

        Args:
          work: in words, "latency table".
          tell: is given a line if another command is at it.
        """
        lock = filelock.FileLock(self.path / f".{work.replace(' ', '_')}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            tell(f"waiting for another command, which is at work on the {work}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def add(self, candidate: Evaluated) -> None:
        """Writes down a candidate."""
        line = json.dumps(dataclasses.asdict(candidate)) + "\n"
        with self.lock(), self.evaluated.open("a+b") as file:
            _cut_off_half_a_line(file)
            file.write(line.encode())


class Known:
    """The candidates of a folder that were evaluated, by whatever worker.

    Args:
      files: of the search.
    """

    def __init__(self, files: SearchFolder):
        self._file = files.evaluated
        self._bytes = self._lines = 0  # that were read
        self._known: dict[Genes, Evaluated] = {}

    def read(self) -> Mapping[Genes, Evaluated]:
        """All of them; only what is new is read. Half a line is left for later.

        Raises:
          UserError: the file is damaged.
        """
        if not self._file.exists():
            return self._known
        with self._file.open("rb") as file:
            file.seek(self._bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._bytes += len(line)
                self._lines += 1
                one = self._candidate(line)
                self._known[one.genes] = one
        return self._known

    def _candidate(self, line: bytes) -> Evaluated:
        try:
            values = json.loads(line)
            return Evaluated(tuple(values.pop("genes")), **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{self._file}, line {self._lines} is damaged ({error}): delete that "
                "line, and the candidate is evaluated again."
            ) from None


def _cut_off_half_a_line(file: BinaryIO) -> None:
    """Removes what a kill has left of the last line."""
    size = file.seek(0, 2)
    if not size:
        return
    file.seek(size - 1)
    if file.read() != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def claim(path: str, search: Search, config: Configuration) -> SearchFolder:
    """Makes the folder this search's, or finds that it already is.

    Args:
      path: the folder.
      search: whose it becomes.
      config: of the supernet's run, resolved.

    Raises:
      UserError: it belongs to another search or run, or it cannot be written.
    """
    folder = workdir.of(path).path
    workdir.refuse_other_owner(path, "search.json")
    name = f"{folder.name}-{uuid.uuid4().hex[:8]}"
    claimed = _Claim(version=_VERSION, name=name, search=search, config=config)
    text = claimed.model_dump_json(indent=2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
            if not (folder / "search.json").exists():
                workdir.replace_file(folder / "search.json", f"{text}\n")
    except OSError as error:
        raise workdir.unwritable(path, error) from None
    files = open_folder(folder)
    now = _Claim.model_validate_json(text)  # without tuples, as saved
    changed = [
        *differences(files.search, now.search),
        *differences(files.config, now.config),
    ]
    if changed:
        raise UserError(
            f"--workdir {path} belongs to another search: use another. It differs in "
            f"{changed[0]}."
        )
    return files


def open_folder(path: pathlib.Path) -> SearchFolder:
    """The folder of a search that has begun.

    Raises:
      UserError: its file cannot be read.
    """
    file = path / "search.json"
    try:
        saved = _Claim.model_validate_json(json.dumps(json_files.load(file)))
    except pydantic.ValidationError as error:
        raise UserError(f"{file} is damaged: {error.errors()[0]['msg']}.") from None
    if saved.version != _VERSION:
        raise UserError(
            f"The search in {path} was begun by another version of this package, which "
            "evaluated other candidates: use another --workdir. Its report stays."
        )
    return SearchFolder(path, saved.name, saved.search, saved.config)


def use_table(files: SearchFolder, given: str | None) -> Table | None:
    """The search's latency table; None if it is still to be measured.

    Args:
      files: of the search.
      given: a CSV file; None for the one in the folder.

    Raises:
      UserError: it cannot be read, or is not the one that the search has begun with.
    """
    with files.lock():
        saved = latency_table.read(files.table) if files.table.exists() else None
        if given is None:
            return saved
        table = latency_table.read(pathlib.Path(given))
        if saved is None:
            latency_table.write(table, table.milliseconds, files.table)
            return latency_table.read(files.table)
    if table.device != saved.device:
        raise UserError(
            f"The latency table {given} is of {table.device!r}, but the search has "
            f"begun with one of {saved.device!r}: use another --workdir."
        )
    rounded = {key: float(f"{t:.6g}") for key, t in table.milliseconds.items()}
    if rounded != saved.milliseconds:
        raise UserError(
            f"The latency table {given} differs from {files.table}, with which the "
            "search has begun: use another --workdir."
        )
    return saved
