"""The options that the benchmarks share, and what they mean."""

import dataclasses
import os
import pathlib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

import typer

from benchmarks.driver import Contestant, Session
from benchmarks.sides import SIDES
from benchmarks.workloads import NAMES, Network
from mobilenets import get_spec
from mobilenets.cli import command_line
from mobilenets.errors import UserError, unknown

DEFAULT_OUTPUT = pathlib.Path("runs/benchmarks")

Models = Annotated[
    str,
    typer.Option(metavar="NAMES", help=f"Separated by commas, of: {', '.join(NAMES)}."),
]
Batch = Annotated[int, typer.Option(min=1, help="Images per step.")]
Resolution = Annotated[
    int, typer.Option(min=1, help="Height and width of the images in pixels.")
]
Threads = Annotated[
    int, typer.Option(min=0, help="Cores that a side may use; 0 for all.")
]
Processes = Annotated[
    int, typer.Option(min=1, help="Processes per side, one after the other.")
]
Repeats = Annotated[
    int,
    typer.Option(min=1, help="Rounds (per process); the result is their median."),
]
Seconds = Annotated[
    float, typer.Option(min=0, help="Duration of a side's calls in a round.")
]
Sides = Annotated[
    str, typer.Option(metavar="NAMES", help="What to compare, separated by commas.")
]
Pythons = Annotated[
    list[str] | None,
    typer.Option(
        "--python",
        metavar="SIDE=FILE",
        help="The Python interpreter of a separate environment for torch or keras; "
        "can be given for both.",
    ),
]
OneAtATime = Annotated[
    bool,
    typer.Option(
        "--one-at-a-time",
        help="End each side after its turn, for a device that only one process can "
        "use (TPU). Slow.",
    ),
]
Output = Annotated[
    pathlib.Path,
    typer.Option(metavar="FOLDER", help="For the JSON and the plot."),
]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The checked options.

    Args:
      sides: keys of `SIDES`.
      threads: cores that each may use.
      pythons: interpreters by environment, where it is not this one.
      one_at_a_time: see `Session`.
      output: a folder that exists.
      command: what was typed.
    """

    sides: tuple[str, ...]
    threads: int
    pythons: Mapping[str, str]
    one_at_a_time: bool
    output: pathlib.Path
    command: str

    def contestant(self, name: str) -> Contestant:
        """The process of a side."""
        side = SIDES[name]
        python = self.pythons.get(side.environment, sys.executable)
        command = (python, "-m", "benchmarks.sides", name, str(self.threads))
        return Contestant(name, command, side.install, side.variables)

    def session(self) -> Session:
        """All the sides."""
        contestants = [self.contestant(name) for name in self.sides]
        return Session(contestants, self.one_at_a_time, self.tell)

    def tell(self, line: str) -> None:
        """Prints progress."""
        print(f"… {line}", file=sys.stderr, flush=True)


def check(
    sides: str,
    allowed_sides: Iterable[str],
    threads: int,
    pythons: Iterable[str] | None,
    output: pathlib.Path,
    one_at_a_time: bool = False,
) -> Settings:
    """The options as `Settings`.

    Raises:
      UserError: one of them is wrong.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output} cannot be a folder: {error.strerror}.") from None
    program = pathlib.Path(sys.argv[0]).stem
    return Settings(
        sides=tuple(names("side", sides, allowed_sides)),
        threads=_threads(threads),
        pythons=dict(map(_python, pythons or ())),
        one_at_a_time=one_at_a_time,
        output=output,
        command=shlex.join(["python", "-m", f"benchmarks.{program}", *sys.argv[1:]]),
    )


def names(kind: str, text: str, allowed: Iterable[str]) -> list[str]:
    """The names in a list with commas, each once.

    Raises:
      UserError: one is not allowed.
    """
    allowed = list(allowed)
    given = [name.strip() for name in text.split(",")]
    for name in given:
        if name not in allowed:
            raise unknown(kind, name, allowed)
    return list(dict.fromkeys(given))


def networks(models: str, batch: int, resolution: int) -> list[Network]:
    """The workloads of networks by name.

    Raises:
      UserError: a name is unknown, or the resolution too small.
    """
    specs = {
        name: get_spec(name, resolution=resolution)
        for name in names("model", models, NAMES)
    }
    return [
        Network(
            model=name,
            batch=batch,
            resolution=resolution,
            dropout_rate=spec.dropout_rate,
            drop_path_rate=max(block.drop_path_rate for block in spec.backbone.blocks),
        )
        for name, spec in specs.items()
    ]


def run(benchmark: Callable[..., None], epilog: str) -> None:
    """Runs a benchmark's command line; a mistake ends with its sentence, exit code 1.

    Args:
      benchmark: its parameters are the options, its docstring the help.
      epilog: see `command_line.examples`.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(epilog=epilog)(benchmark)
    command_line.run(app)


def _threads(given: int) -> int:
    """The number of cores that a side may use."""
    if not hasattr(os, "sched_getaffinity"):
        if given:
            raise UserError("--threads works on Linux alone: leave it out.")
        return os.cpu_count() or 1
    there = len(os.sched_getaffinity(0))
    if given > there:
        raise UserError(f"--threads is {given}, but there are {there} cores.")
    return given or there


def _python(text: str) -> tuple[str, str]:
    """An environment and its interpreter, of "torch=/path/to/python"."""
    name, equals, path = text.partition("=")
    allowed = {side.environment for side in SIDES.values()} - {"jax"}
    if not equals:
        raise UserError(f"--python must be like torch=FILE, but is {text!r}.")
    if name not in allowed:
        raise unknown("environment", name, allowed)
    if shutil.which(path) is None:
        raise UserError(f"--python {name}: {path!r} is not a program that can be run.")
    return name, path
