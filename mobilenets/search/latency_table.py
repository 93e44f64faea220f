"""How long each piece of a network takes on a device, and so each network of a space.

A piece (the stem, a block, the head) is known by what it is, not by where it stands: a
table serves every network that consists of such pieces. It is measured here, or filled
in by whoever has the device.

    # device: Pixel 1, one large core, TFLite
    operator,size,in_channels,expanded_channels,out_channels,…,milliseconds
    call,0,0,0,0,0,0,,0,0
    stem,224,3,0,16,3,2,hard_swish,0,1.25

The row "call" is the time of a call that computes nothing. It is part of no
piece, and counts once in a network. A row without milliseconds is to be filled in.
"""

import csv
import dataclasses
import io
import math
import pathlib
import platform
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from mobilenets.errors import UserError
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.spec import BlockSpec, ClassifierSpec
from mobilenets.nn.part import Part, PartSpec, parts
from mobilenets.profiling import latency

DEVICE = "# device:"
# Of the mean relative error of sums of pieces against whole networks.
TOLERANCE = 0.05
# A piece of a small network takes as long as JAX' threads take to hand it on, or less.
REPEATS = 20  # of a piece in one call
_NOTHING = 1e-30  # as a factor; XLA would leave out one of 0
# Each piece is measured so often, in turns that long; and each whole network. Many
# short turns agree better with other ones than a few long turns: a machine's speed
# changes from second to second.
ROUNDS = 15
SECONDS = 0.02
SECONDS_OF_WHOLE = 0.04


@dataclasses.dataclass(frozen=True)
class Key:
    """What a piece is: a row of the table but for its time.

    Args:
      operator: "inverted residual", …; "stem", "head", or "call" for no piece.
      size: height and width of the input in pixels.
      in_channels: of the input.
      expanded_channels: on which the spatial filter works; of the head those of its
        convolution.
      out_channels: of the output; of the head the classes.
      kernel_size: of the spatial filter.
      stride: of the whole.
      activation: by its name.
      squeeze: width between the layers of squeeze-and-excitation; of the head that of
        its dense layer; 0 where there is none.
    """

    operator: str
    size: int = 0
    in_channels: int = 0
    expanded_channels: int = 0
    out_channels: int = 0
    kernel_size: int = 0
    stride: int = 0
    activation: str = ""
    squeeze: int = 0

    def __str__(self) -> str:
        if self == CALL:
            return "call"
        kernel = f"{self.kernel_size}x{self.kernel_size}"
        squeeze = f", squeeze {self.squeeze}" if self.squeeze else ""
        pixels = "1 pixel" if self.size == 1 else f"{self.size} pixels"
        return (
            f"{self.operator} at {pixels}, {self.in_channels} to "
            f"{self.expanded_channels} to {self.out_channels} channels, {kernel}, "
            f"stride {self.stride}, {self.activation}{squeeze}"
        )


CALL = Key("call")
COLUMNS = tuple(field.name for field in dataclasses.fields(Key))


@dataclasses.dataclass(frozen=True)
class Table:
    """Times of pieces on a device.

    Args:
      device: what was measured, in words.
      milliseconds: by piece.
    """

    device: str
    milliseconds: Mapping[Key, float]

    def lacks(self, pieces: Iterable[PartSpec]) -> list[Key]:
        """The pieces that have no time, and `CALL` if that has none."""
        wanted = dict.fromkeys([CALL, *map(key_of, pieces)])
        return [key for key in wanted if key not in self.milliseconds]

    def latency(self, network: ClassifierSpec, num_classes: int) -> float:
        """Milliseconds of a network: the sum of its pieces, and a call.

        Raises:
          UserError: the table lacks a piece.
        """
        pieces = parts(network, num_classes)
        refuse_lacking(self.lacks(pieces))
        times = self.milliseconds
        return times[CALL] + sum(times[key_of(piece)] for piece in pieces)


def key_of(piece: PartSpec) -> Key:
    """What a piece is called in a table."""
    backbone = piece.network.backbone
    if piece.kind == "stem":
        return Key(
            "stem",
            piece.size,
            3,
            0,
            backbone.stem_channels,
            backbone.stem_kernel_size,
            backbone.stem_output_stride,
            backbone.act,
        )
    if piece.kind == "head":
        return Key(
            "head",
            piece.size,
            piece.in_channels,
            backbone.head_conv_channels,
            piece.num_classes,
            1,
            1,
            backbone.act,
            piece.network.head_dense_channels,
        )
    block = piece.block
    assert block
    residual = isinstance(block, BlockSpec) and block.residual
    return Key(
        f"{block.operator}{' with shortcut' if residual else ''}",
        piece.size,
        block.in_channels,
        round(block.expansion * block.in_channels),
        block.out_channels,
        block.kernel_size,
        block.stride,
        block.act,
        block.se.channels if block.se else 0,
    )


def pieces_of(space: SearchSpace, num_classes: int) -> list[PartSpec]:
    """Every piece of which some network of the space consists, each once."""
    found: dict[PartSpec, None] = {}
    for i in range(max(space.counts)):
        genes = tuple(min(i, count - 1) for count in space.counts)
        found |= dict.fromkeys(parts(space.network(genes), num_classes))
    return list(found)


def measure(
    pieces: Sequence[PartSpec],
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    tell: Callable[[str], None] = lambda line: None,
) -> Table:
    """The table of this machine: one image, float32.

    Args:
      pieces: what is measured.
      rounds: see `latency.measure`.
      seconds: see `latency.measure`.
      tell: is given a line for each stage of the work.
    """
    by_key = {key_of(piece): piece for piece in pieces}
    calls = {CALL: _empty_call()}
    for i, (key, piece) in enumerate(by_key.items(), 1):
        if i % 20 == 1:
            tell(f"compiling {i} of {len(by_key)} pieces")
        calls[key] = _compiled(piece)
    measured = latency.in_turn(calls, rounds, seconds, tell)
    call = measured[CALL].median
    times = {
        key: 1e3 * max(0.0, measured[key].median - call) / REPEATS for key in by_key
    }
    return Table(device_name(), {CALL: 1e3 * call, **times})


def _empty_call() -> Callable[[], object]:
    run = jax.jit(lambda x: x + 1)
    x = jnp.zeros((1, 1))
    return lambda: jax.block_until_ready(run(x))


def _compiled(piece: PartSpec) -> Callable[[], object]:
    """A call that computes the piece `REPEATS` times, one after the other; warm.

    Weights are constants, as in `latency.measure`.
    """
    module = Part(piece)
    shape = (1, piece.size, piece.size, piece.in_channels)
    x = jax.random.normal(jax.random.key(0), shape)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    # Any numbers take as long. A generator for each array would take a minute.
    generator = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(generator.random(leaf.shape, np.float32) + 0.5), shapes
    )

    @jax.jit
    def run(x: jax.Array) -> jax.Array:
        def once_more(_: jax.Array, before: Any) -> Any:
            """The input waits for the output before, but does not change by it."""
            x, y = before
            x = x.at[0, 0, 0, 0].add(_NOTHING * y.ravel()[0])
            return x, module.apply(variables, x)

        output = jax.eval_shape(module.apply, variables, x)
        y = jnp.zeros(output.shape, output.dtype)
        return jax.lax.fori_loop(0, REPEATS, once_more, (x, y))[1]

    def call() -> object:
        return jax.block_until_ready(run(x))

    latency.warm_up(call)
    return call


def device_name() -> str:
    """This machine, in words that a table can be known by.

    With the way in which it is measured: rows of two ways must not be added up.
    """
    device = jax.devices()[0]
    name = _cpu_name() if device.platform == "cpu" else device.device_kind
    return f"{name}, JAX {jax.__version__}, {REPEATS} times in a call"


def _cpu_name() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()


def write(table: Table, keys: Iterable[Key], path: pathlib.Path) -> None:
    """Writes a CSV file with a row for each piece, whose time may be missing.

    Raises:
      UserError: it cannot be written.
    """
    file = io.StringIO()
    file.write(f"{DEVICE} {table.device}\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow([*COLUMNS, "milliseconds"])
    for key in dict.fromkeys([CALL, *keys]):
        time = table.milliseconds.get(key)
        rows.writerow(
            [*dataclasses.astuple(key), "" if time is None else f"{time:.6g}"]
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_text(file.getvalue(), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from None


def read(path: pathlib.Path) -> Table:
    """The table in a CSV file.

    Raises:
      UserError: it cannot be read, or a row of it is wrong.
    """
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is empty or no text"
        raise UserError(f"The latency table {path} cannot be read: {reason}.") from None
    device = first.removeprefix(DEVICE).strip()
    if not first.startswith(DEVICE) or not device:
        raise UserError(
            f"The latency table {path} does not name its device: its first line must be"
            f" {DEVICE!r} and a name."
        )
    rows = csv.DictReader(lines)
    wanted = [*COLUMNS, "milliseconds"]
    if rows.fieldnames != wanted:
        raise UserError(
            f"The latency table {path} must have the columns {','.join(wanted)} in its "
            f"second line, but has {','.join(rows.fieldnames or ['none'])}."
        )
    times: dict[Key, float] = {}
    for number, row in enumerate(rows, 3):
        if None in row:
            raise UserError(
                f"{path}, line {number} has more than {len(wanted)} values. Half a "
                "millisecond is written 0.5, not 0,5."
            )
        key, time = _row(f"{path}, line {number}", row)
        if key in times:
            raise UserError(f"{path}, line {number}: the piece is there twice: {key}.")
        if time is not None:
            times[key] = time
    return Table(device, times)


def _row(place: str, row: Mapping[str, str | None]) -> tuple[Key, float | None]:
    types = {field.name: field.type for field in dataclasses.fields(Key)}
    values = {}
    for name in COLUMNS:
        text = row[name] or ""
        try:
            values[name] = int(text) if types[name] is int else text
        except ValueError:
            raise UserError(
                f"{place}: {name} is {text!r}, but must be a whole number."
            ) from None
    text = row["milliseconds"]
    if not text:
        return Key(**values), None
    try:
        time = float(text)
    except ValueError:
        time = math.nan
    if not 0 <= time < math.inf:
        raise UserError(
            f"{place}: milliseconds is {text!r}, but must be a number of 0 or more."
        )
    return Key(**values), time


def refuse_lacking(lacking: Sequence[Key], file: object = None) -> None:
    """Raises UserError, with the first of them, if a table lacks pieces.

    Args:
      lacking: the pieces.
      file: the table's, if it is known.
    """
    if lacking:
        table = f"The latency table {file}" if file else "The latency table"
        raise UserError(
            f"{table} lacks the milliseconds of {len(lacking)} of the pieces, the "
            f"first: {lacking[0]}. `mobilenets search --dry-run --latency-table CSV` "
            "lists them; fill in their rows."
        )


@dataclasses.dataclass(frozen=True)
class Check:
    """Sums of pieces against whole networks, measured here.

    Args:
      predicted: milliseconds by the table, of each network.
      measured: of the whole network.
    """

    predicted: tuple[float, ...]
    measured: tuple[float, ...]

    @property
    def error(self) -> float:
        """The mean of |predicted - measured| / measured."""
        pairs = zip(self.predicted, self.measured, strict=True)
        return statistics.mean(abs(p - m) / m for p, m in pairs)

    @property
    def rank_correlation(self) -> float:
        """Kendall's tau-b."""
        found: Any = scipy.stats.kendalltau(self.predicted, self.measured)
        return float(found.statistic)

    def __str__(self) -> str:
        warning = "warning: " if self.error > TOLERANCE else ""
        return (
            f"{warning}The latency table is off by {self.error:.1%} on average of "
            f"{len(self.measured)} whole networks; their ranks agree with tau "
            f"{self.rank_correlation:.2f}."
        )


def check(
    table: Table,
    space: SearchSpace,
    num_classes: int,
    networks: int = 30,
    tell: Callable[[str], None] = lambda line: None,
) -> Check:
    """Measures random networks of the space as a whole.

    Args:
      table: of this machine.
      space: whose networks.
      num_classes: of the head.
      networks: how many.
      tell: see `latency.measure`.

    Raises:
      UserError: the table is another device's, or lacks a piece.
    """
    here = device_name()
    if table.device != here:
        raise UserError(
            f"The latency table is of {table.device!r}, but this machine is {here!r}: "
            "only a table of this machine can be checked here."
        )
    draw = random.Random(0)
    specs = [
        space.network([draw.randrange(count) for count in space.counts])
        for _ in range(networks)
    ]
    return Check(
        tuple(table.latency(spec, num_classes) for spec in specs),
        tuple(measure_whole(specs, num_classes, tell)),
    )


def measure_whole(
    specs: Sequence[ClassifierSpec],
    num_classes: int,
    tell: Callable[[str], None] = lambda line: None,
    rounds: int = ROUNDS,
) -> list[float]:
    """The milliseconds that networks take here, one image, each as one program.

    Args:
      specs: the networks.
      num_classes: of the head.
      tell: see `latency.measure`.
      rounds: see `latency.measure`.
    """
    nets = {i: latency.Net(spec, num_classes) for i, spec in enumerate(specs)}
    measured = latency.measure(nets, rounds=rounds, seconds=SECONDS_OF_WHOLE, tell=tell)
    return [1e3 * measured[i].median for i in nets]
