"""NetAdapt: a trained network loses channels until it is fast enough.

MobileNetV3, arXiv:1905.02244, Sec. 4.2. A step proposes narrower networks, trains each
for a short time, and takes the one with the largest
(accuracy - accuracy before) / |latency - latency before|.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from mobilenets.config.schema import Configuration
from mobilenets.errors import UserError
from mobilenets.inference import trained
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks import complexity
from mobilenets.networks.spec import ClassifierSpec, with_backbone
from mobilenets.nn.part import PartSpec, parts
from mobilenets.runs import hashes, workdir
from mobilenets.runtime import tables
from mobilenets.search import (
    latency_table,
    netadapt_folder,
    netadapt_training,
    netadapt_weights,
    netadapt_widths,
)
from mobilenets.search.latency_table import Table
from mobilenets.search.netadapt_folder import Adaptation, AdaptationFolder, Trained
from mobilenets.search.netadapt_training import ShortTraining
from mobilenets.search.netadapt_widths import Proposal

Tell = Callable[[str], None]
Cost = Callable[[ClassifierSpec], float]


@dataclasses.dataclass(frozen=True)
class Given:
    """What is to be done.

    Args:
      weights: the folder of the network to narrow.
      adaptation: how.
      workdir: the folder for all output.
      config: the config file of the training; None for that of the run.
      values: of the config, by dotted key.
      table: the latency table of a device; None to measure this one.
    """

    weights: str
    adaptation: Adaptation
    workdir: str
    config: str | None
    values: Mapping[str, Any]
    table: str | None


def run(given: Given, tell: Tell) -> None:
    """Adapts, from where it was stopped, and prints what was reached.

    Args:
      given: what to do.
      tell: is given lines of progress.

    Raises:
      UserError: weights, folder, data or table cannot be used, or the target cannot be
        reached.
    """
    with _opened(given) as (files, net, config):
        steps, description = given.adaptation.steps, net.description
        task = netadapt_training.task_of(config, given.values, steps, description)
        training = ShortTraining(task, steps)
        adapting = _Adapting(given, net, files, training, tell)
        while not adapting.is_finished:
            adapting.step()
        adapting.write()
    adapting.show()


def write_blank(given: Given, path: pathlib.Path) -> None:
    """Writes the latency table, with rows for all that the next step may need.

    Args:
      given: see `run`.
      path: a new CSV file. Rows that the table lacks have no time.

    Raises:
      UserError: as `run`; or the file is there, or latency is not what is reduced.
    """
    if given.adaptation.objective != "latency":
        raise UserError("--blank writes a latency table, but the objective is madds.")
    if path.exists():
        raise UserError(f"{path} exists already: give a new file.")
    with _opened(given) as (files, net, _):
        table = netadapt_folder.use_table(files, given.table)
        number = files.steps_done()
        now = trained.load(str(files.chosen(number))) if number else net
    lacking = table.lacks(_may_need(_spec(now), len(now.description.class_names)))
    if not table.milliseconds:
        table = Table("NAME OF THE DEVICE", {})
    latency_table.write(table, [*table.milliseconds, *lacking], path)
    print(f"Wrote {path}: {len(lacking)} rows are to be filled in.")


@contextlib.contextmanager
def _opened(
    given: Given,
) -> Iterator[tuple[AdaptationFolder, TrainedNet, Configuration]]:
    """The folder, the network to narrow, and the config of the training."""
    if given.table and given.adaptation.objective != "latency":
        raise UserError(
            "--latency-table is given, but the objective is madds: leave out one."
        )
    description = trained.describe(given.weights)
    if description.task != netadapt_training.TASK:
        raise UserError(
            f"The weights in {given.weights} have task.name={description.task}, but "
            f"NetAdapt narrows networks with task.name={netadapt_training.TASK}."
        )
    netadapt_widths.check(description.network)
    config = netadapt_training.config_of(given.weights, given.config, given.values)
    net = trained.load(given.weights)
    of_weights = hashes.of_json(hashes.of_arrays(net.variables))
    with netadapt_folder.held(
        given.workdir, given.adaptation, config, of_weights
    ) as files:
        yield files, net, config


def choose(before: Trained, proposals: Sequence[Trained]) -> Trained:
    """That of the largest (accuracy - accuracy before) / |cost - cost before|.

    Of equal ones it is the first.

    Args:
      before: the network from which all are made.
      proposals: all cost less.
    """
    return max(
        proposals,
        key=lambda p: (p.accuracy - before.accuracy) / (before.cost - p.cost),
    )


class _Adapting:
    """An adaptation: the network as it is now, and its next steps.

    Args:
      given: what to do.
      first: the network that it began with.
      files: of the adaptation.
      training: of the proposals.
      tell: is given lines of progress.
    """

    def __init__(
        self,
        given: Given,
        first: TrainedNet,
        files: AdaptationFolder,
        training: ShortTraining,
        tell: Tell,
    ):
        self._adaptation, self._files, self._tell = given.adaptation, files, tell
        self._first, self._training = first, training
        self._classes = len(first.description.class_names)
        number = files.steps_done()
        self._net = trained.load(str(files.chosen(number))) if number else first
        self._cost: Cost = self._madds
        if given.adaptation.objective == "latency":
            table = netadapt_folder.use_table(files, given.table)
            now = _spec(self._net)
            self._latency = _Latency(table, files, self._classes, now, tell)
            self._cost = lambda network: self._latency(network, _spec(self._net))
        self._records = files.trained()
        if not self._records:
            cost = self._cost(_spec(first))
            self._add(Trained(0, "", 0, 0, cost, training.accuracy(first.variables)))
        self._path = [self._records[0]]  # what each step has chosen
        for step in range(1, number + 1):
            self._path.append(choose(self._path[-1], self._of_step(step)))

    @property
    def is_finished(self) -> bool:
        """Whether the target is reached."""
        return self._path[-1].cost <= self._adaptation.target * self._path[0].cost

    def step(self) -> None:
        """Trains the proposals, and continues with the best."""
        number, before = len(self._path), self._path[-1]
        proposals = self._proposals()
        done = {(one.width, one.channels): one for one in self._of_step(number)}
        kept: tuple[Trained, Any] | None = None  # the best, if it was trained just now
        for proposal in proposals:
            key = (proposal.width, proposal.channels)
            if key in done:
                continue
            variables = self._trained(proposal)
            done[key] = self._add(
                Trained(
                    number,
                    *(proposal.width, proposal.before, proposal.channels),
                    proposal.cost,
                    self._training.accuracy(variables),
                )
            )
            self._tell_of(done[key], f"proposal {len(done)} of {len(proposals)}")
            if choose(before, list(done.values())) is done[key]:
                kept = done[key], variables
        best = choose(before, list(done.values()))
        chosen = next(p for p in proposals if p.width == best.width)
        if kept is None or kept[0] is not best:
            kept = best, self._trained(chosen)
        self._go_on(chosen, kept[1])
        self._path.append(best)
        self._tell_of(best, "chosen")

    def _tell_of(self, one: Trained, what: str) -> None:
        self._tell(
            f"step {one.step}, {what}: {one.width} from {one.before} to "
            f"{one.channels} channels, {self._adaptation.objective} "
            f"{one.cost / self._path[0].cost:.1%}, accuracy {one.accuracy:.1%}"
        )

    def write(self) -> None:
        """Writes the network that was reached, and its weights."""
        name = f"{self._first.description.network.name}_adapted"
        network = with_backbone(_spec(self._net), name=name)
        text = json.dumps(dataclasses.asdict(network), indent=2)
        workdir.replace_file(self._files.spec, text + "\n")
        if not self._files.weights.exists():
            net = _with_spec(self._net, network, self._net.variables)
            trained.save(net, str(self._files.weights))

    def show(self) -> None:
        """Prints the steps, and where the result is."""
        is_latency = self._adaptation.objective == "latency"
        unit, of = ("milliseconds", 1) if is_latency else ("MAdds (M)", 1e6)
        table = tables.new(
            *(">step", "width", ">channels", f">{unit}", ">of the first", ">accuracy")
        )
        for one in self._path:
            change = f"{one.before} to {one.channels}" if one.step else ""
            table.add_row(
                *(str(one.step), one.width, change, f"{one.cost / of:,.3f}"),
                *(f"{one.cost / self._path[0].cost:.1%}", f"{one.accuracy:.1%}"),
            )
        files = self._files
        tables.show(
            table,
            f"The network is {files.spec}, and its weights are in {files.weights}.",
        )

    def _madds(self, network: ClassifierSpec) -> float:
        return float(complexity.madds(network, self._classes))

    def _of_step(self, number: int) -> list[Trained]:
        """The proposals of a step that were trained.

        Raises:
          UserError: it has ended, but there are none.
        """
        found = [one for one in self._records if one.step == number]
        if not found and self._files.chosen(number).exists():
            raise UserError(
                f"{self._files.proposals} lacks the proposals of step {number}: it is "
                "damaged. Use another --workdir."
            )
        return found

    def _add(self, record: Trained) -> Trained:
        self._files.add(record)
        self._records.append(record)
        return record

    def _proposals(self) -> list[Proposal]:
        """Those from the network as it is now.

        Raises:
          UserError: there are none.
        """
        first, now = self._path[0].cost, self._path[-1].cost
        delta = self._adaptation.delta
        found = netadapt_widths.proposals(_spec(self._net), self._cost, delta * first)
        if not found:
            raise UserError(
                f"--target {self._adaptation.target} cannot be reached: at "
                f"{now / first:.3f} no width can save {delta} of the first network. "
                f"The last weights are in {self._files.chosen(len(self._path) - 1)}. "
                "Use another --workdir with a higher --target or a smaller --delta."
            )
        return found

    def _trained(self, proposal: Proposal) -> Any:
        """The weights of a proposal after its training, padded."""
        variables = netadapt_weights.narrowed(
            self._net.variables, _spec(self._net), proposal.network
        )
        variables = netadapt_weights.padded(variables, self._first.variables)
        return self._training.train(variables, len(self._path))

    def _go_on(self, proposal: Proposal, variables: Any) -> None:
        """Makes a proposal the network as it is now."""
        shapes = netadapt_weights.shapes(proposal.network, self._classes)
        variables = netadapt_weights.truncated(variables, shapes)
        self._net = _with_spec(self._net, proposal.network, variables)
        folder = self._files.chosen(len(self._path))
        trained.save(self._net, str(folder))


class _Latency:
    """Milliseconds of networks by a table; that of this machine grows as it is read.

    Args:
      table: see `netadapt_folder.use_table`.
      files: of the adaptation; the table is written there.
      num_classes: of the networks.
      now: the network from which the next proposals are made.
      tell: is given lines of progress.
    """

    def __init__(
        self,
        table: Table,
        files: AdaptationFolder,
        num_classes: int,
        now: ClassifierSpec,
        tell: Tell,
    ):
        self._files, self._num_classes, self._tell = files, num_classes, tell
        self._table = table
        self._refuse_lacking(parts(now, num_classes), now)  # before it is kept
        self._table = self._written(table)

    def __call__(self, network: ClassifierSpec, now: ClassifierSpec) -> float:
        """Of a network.

        Args:
          network: which one.
          now: the network from which proposals are made.

        Raises:
          UserError: the table of another device lacks a piece of it.
        """
        pieces = parts(network, self._num_classes)
        self._refuse_lacking(pieces, now)
        if self._table.lacks(pieces):
            self._measure(network)
        return self._table.latency(network, self._num_classes)

    def _refuse_lacking(self, pieces: Sequence[PartSpec], now: ClassifierSpec) -> None:
        """Raises UserError if the table of another device lacks any of the pieces."""
        lacking = self._table.lacks(pieces)
        if lacking and self._table.device != latency_table.device_name():
            lacking = self._table.lacks(_may_need(now, self._num_classes))
            raise UserError(
                f"The latency table of {self._table.device} lacks the milliseconds of "
                f"{len(lacking)} of the pieces that the next step may need, the first: "
                f"{lacking[0]}. The same command with --blank FILE writes a table that "
                "has their rows: fill them in, and give it by --latency-table."
            )

    def _measure(self, network: ClassifierSpec) -> None:
        """Adds the pieces of a network to the table."""
        times = dict(self._table.milliseconds)
        pieces = [
            piece
            for piece in parts(network, self._num_classes)
            if latency_table.key_of(piece) not in times
        ]
        self._tell(f"measuring {len(pieces)} pieces")
        measured = latency_table.measure(pieces).milliseconds
        self._table = self._written(Table(self._table.device, {**measured, **times}))

    def _written(self, table: Table) -> Table:
        """The table as it is in its file, rounded: so it is the same to who resumes."""
        latency_table.write(table, table.milliseconds, self._files.table)
        return latency_table.read(self._files.table)


def _may_need(network: ClassifierSpec, num_classes: int) -> list[PartSpec]:
    """The pieces of a network and of all that its next step may propose, each once."""
    found = dict.fromkeys(parts(network, num_classes))
    for width in netadapt_widths.widths(network):
        for _, narrowed in netadapt_widths.narrower(network, width):
            found |= dict.fromkeys(parts(narrowed, num_classes))
    return list(found)


def _spec(net: TrainedNet) -> ClassifierSpec:
    return cast(ClassifierSpec, net.description.network)


def _with_spec(net: TrainedNet, network: ClassifierSpec, variables: Any) -> TrainedNet:
    description = net.description.model_copy(update={"network": network})
    return TrainedNet(description, variables)
