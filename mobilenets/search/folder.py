"""The folder of a search.

FOLDER/search.json          the search, its supernet's config, and the table's device
FOLDER/supernet/            the run of the supernet, as train.py leaves one
FOLDER/latency_table.csv    the table: measured here, or a copy of the one given
FOLDER/evaluated.jsonl      every candidate that was evaluated, a line each
FOLDER/found/a.json         a network of the front, a spec for `model.spec`
FOLDER/found/a/             its weights from the supernet, for `init_from`
FOLDER/report.html          what the search has found
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator

import filelock
import pydantic

from mobilenets.config import json_files
from mobilenets.config.differences import differences
from mobilenets.config.schema import Configuration, Section
from mobilenets.errors import UserError
from mobilenets.networks.search_space import Genes
from mobilenets.runs import workdir
from mobilenets.search import latency_table
from mobilenets.search.definition import Search
from mobilenets.search.latency_table import Table


class _Claim(Section):
    """What `search.json` holds; the table as it is written, with its device."""

    search: Search
    config: Configuration


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A candidate, and what it reaches.

    Args:
      genes: of the network.
      accuracy: on the ranking images, from 0 to 1; 0 if the loss is not finite.
      latency: milliseconds by the table.
      parameters: of the network.
      madds: for one image.
    """

    genes: Genes
    accuracy: float
    latency: float
    parameters: int
    madds: int


@dataclasses.dataclass(frozen=True)
class SearchFolder:
    """The paths of a search's files.

    Args:
      path: absolute.
    """

    path: pathlib.Path

    @property
    def supernet(self) -> pathlib.Path:
        """The workdir of the supernet's run."""
        return self.path / "supernet"

    @property
    def table(self) -> pathlib.Path:
        """The latency table."""
        return self.path / "latency_table.csv"

    @property
    def found(self) -> pathlib.Path:
        """The networks that were found."""
        return self.path / "found"

    @property
    def report(self) -> pathlib.Path:
        """The page."""
        return self.path / "report.html"

    @property
    def evaluated(self) -> pathlib.Path:
        """The candidates, in the order of their evaluation."""
        return self.path / "evaluated.jsonl"

    def candidates(self) -> dict[Genes, Evaluated]:
        """Those that were evaluated. A line that a kill has cut off is removed.

        Raises:
          UserError: the file is damaged.
        """
        if not self.evaluated.exists():
            return {}
        lines = self.evaluated.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            whole = b"".join(lines[:-1])
            with self.evaluated.open("r+b") as file:
                file.truncate(len(whole))
            lines = lines[:-1]
        result = {}
        for number, line in enumerate(lines, 1):
            try:
                values = json.loads(line)
                genes = tuple(values.pop("genes"))
                result[genes] = Evaluated(genes, **values)
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"{self.evaluated}, line {number} is damaged ({error}): delete that"
                    " line, and the candidate is evaluated again."
                ) from None
        return result

    def add(self, candidate: Evaluated) -> None:
        """Writes down a candidate."""
        with self.evaluated.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(candidate)) + "\n")


@contextlib.contextmanager
def held(path: str, search: Search, config: Configuration) -> Iterator[SearchFolder]:
    """The folder of a search, for this process alone.

    Raises:
      UserError: it belongs to another search or run, another search runs there, or it
        cannot be written.
    """
    if "://" in path:
        raise UserError(
            f"--workdir {path} is not a local folder: mount it, or use another."
        )
    files = SearchFolder(pathlib.Path(path).expanduser().absolute())
    if files.path.is_file():
        raise UserError(f"--workdir {path} is a file: use a folder.")
    for other in (workdir.Workdir(files.path).config, files.path / "sweep.json"):
        if other.exists():
            raise UserError(
                f"--workdir {path} belongs to a training or a sweep: use another."
            )
    try:
        files.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(files.path / ".lock").acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"Another search is running in --workdir {path}: wait until it ends, or use"
            " another --workdir."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot write to --workdir {path}: {error}.") from None
    with lock:
        _claim(files, path, _Claim(search=search, config=config))
        yield files


def _claim(files: SearchFolder, path: str, claim: _Claim) -> None:
    """Writes search.json, or raises UserError if another search has written it."""
    file = files.path / "search.json"
    text = claim.model_dump_json(indent=2)
    if not file.exists():
        write(file, text)
        return
    try:
        saved = _Claim.model_validate_json(json.dumps(json_files.load(file)))
    except pydantic.ValidationError as error:
        raise UserError(f"{file} is damaged: {error.errors()[0]['msg']}.") from None
    now = _Claim.model_validate_json(text)  # without tuples, as saved
    changed = [
        *differences(saved.search, now.search),
        *differences(saved.config, now.config),
    ]
    if changed:
        raise UserError(
            f"--workdir {path} belongs to another search: use another. It differs in "
            f"{changed[0]}."
        )


def use_table(files: SearchFolder, given: str | None) -> Table | None:
    """The search's latency table; None if it is still to be measured.

    Args:
      files: of the search.
      given: a CSV file; None for the one in the folder.

    Raises:
      UserError: it cannot be read, or is not the one that the search has begun with.
    """
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


def write(file: pathlib.Path, text: str) -> None:
    """Writes a file that is there completely or not at all."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(file)
