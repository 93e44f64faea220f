"""The points of a sweep as its report shows them: seeds together, and their fronts."""

import dataclasses
import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mobilenets.sweeps.definition import Values, short_names
from mobilenets.sweeps.results import Result, State

SEED = "seed"
FOLDER = "folder"  # the one value of runs that are no points of a sweep: their name
# The states of points whose accuracy says something about their network, from the one
# that says most.
EVALUATED: tuple[State, ...] = ("finished", "pruned", "unfinished")
_STATES: tuple[State, ...] = (*EVALUATED, "failed", "waiting")


@dataclasses.dataclass(frozen=True)
class Entry:
    """Points that differ in nothing but their seed.

    Args:
      results: of the points, by number; at least one.
      latency: seconds that inference takes for one image; None if not measured.
    """

    results: tuple[Result, ...]
    latency: float | None

    @property
    def values(self) -> Values:
        """Those that the points have in common."""
        return {k: v for k, v in self.results[0].values.items() if k != SEED}

    @property
    def number(self) -> int:
        """Of the first of the points; it names the entry."""
        return self.results[0].number

    @property
    def network(self) -> str:
        """The name of the architecture."""
        return self.results[0].network

    @property
    def resolution(self) -> int:
        """Height and width of the images in pixels."""
        return self.results[0].resolution

    @property
    def parameters(self) -> int:
        """Of the network."""
        return self.results[0].parameters

    @property
    def madds(self) -> int:
        """Multiply-adds for one image."""
        return self.results[0].madds

    @property
    def state(self) -> State:
        """That of the points which got furthest; the accuracy is theirs."""
        states = {result.state for result in self.results}
        return next(state for state in _STATES if state in states)

    @property
    def furthest(self) -> list[Result]:
        """The results of the points that are in `state`."""
        return [result for result in self.results if result.state == self.state]

    @property
    def accuracies(self) -> list[float]:
        """Of the furthest points, from 0 to 1; none if they say nothing."""
        if self.state not in EVALUATED:
            return []
        return [r.accuracy for r in self.furthest if r.accuracy is not None]

    @property
    def accuracy(self) -> float | None:
        """The mean over the seeds, from 0 to 1."""
        return statistics.mean(self.accuracies) if self.accuracies else None

    @property
    def percent(self) -> float:
        """The accuracy in percent, of an entry that has one."""
        return 100 * statistics.mean(self.accuracies)


def group(results: Sequence[Result], latencies: Mapping[int, float]) -> list[Entry]:
    """The entries, in the order of their first points.

    Args:
      results: of the points of a sweep.
      latencies: seconds by number of the point, where measured. An entry has the median
        of those of its points, since a seed changes nothing in the network.
    """
    groups: dict[tuple, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.number):
        # By repr, so that 1, 1.0 and True are three values, and a list is one.
        key = sorted((k, repr(v)) for k, v in result.values.items() if k != SEED)
        groups.setdefault(tuple(key), []).append(result)
    entries = []
    for of_entry in groups.values():
        known = [latencies[r.number] for r in of_entry if r.number in latencies]
        latency = statistics.median(known) if known else None
        entries.append(Entry(tuple(of_entry), latency))
    return entries


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other one beats, by rising cost.

    A point beats another one if it costs no more, is worth no less, and is better in
    one of the two. So of points equal in both none beats the other, and either all of
    them are on the front or none is.

    Args:
      points: (cost, worth) of each: less cost and more worth are better.

    Returns:
      Their indices.

    >>> pareto_front([(3, 0.9), (1, 0.5), (2, 0.4), (3, 0.8), (1, 0.5)])
    [1, 4, 0]
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for i in order:
        best = points[front[-1]] if front else None
        if best is None or points[i][1] > best[1] or points[i] == best:
            front.append(i)
    return front


def front(entries: Sequence[Entry], cost: str) -> list[Entry]:
    """The finished entries on the Pareto front of accuracy, by rising cost.

    Args:
      entries: of a sweep.
      cost: "madds", "parameters" or "latency"; entries without it are left out.
    """
    finished = [e for e in shown(entries, cost) if e.state == "finished"]
    points = [(getattr(e, cost), e.percent) for e in finished]
    return [finished[i] for i in pareto_front(points)]


def shown(entries: Sequence[Entry], cost: str) -> list[Entry]:
    """The entries that have both an accuracy and that cost."""
    return [
        entry
        for entry in entries
        if entry.accuracy is not None and getattr(entry, cost) is not None
    ]


def measure(entries: Sequence[Entry]) -> str:
    """What axes and columns call the accuracy: that of a metric by its name, as "AP".

    Args:
      entries: of one task.
    """
    headlines = {r.headline for entry in entries for r in entry.results} - {""}
    metric = next(iter(headlines), "").rpartition("/")[2]
    return "accuracy" if metric in ("", "top1") else metric


def keys(results: Sequence[Result]) -> list[str]:
    """The keys of the values, without the seed, in the order of their first use."""
    every = itertools.chain.from_iterable(result.values for result in results)
    return [key for key in dict.fromkeys(every) if key != SEED]


def varying(entries: Sequence[Entry]) -> list[str]:
    """The keys whose values differ between entries, or that only some have."""
    return [
        key
        for key in keys([entry.results[0] for entry in entries])
        if len({repr(entry.values.get(key)) for entry in entries}) > 1
    ]


def aspects(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """In what the entries differ: by short name the value of each entry.

    The network comes first where there are several; a key that only repeats its name is
    left out. An entry that does not set a key has None there.
    """
    networks: list[Any] = [entry.network or None for entry in entries]
    found = {"network": networks} if len(set(networks) - {None}) > 1 else {}
    for key, name in short_names(varying(entries)).items():
        values = [entry.values.get(key) for entry in entries]
        if values != networks:
            found[name] = values
    return found


def short(number: float) -> str:
    """A count in thousands (k), millions (M) or billions (G), with three digits.

    >>> short(470_072), short(4_231_976), short(999_999), short(12)
    ('470 k', '4.23 M', '1 M', '12')
    """
    number = float(f"{number:.3g}")
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.4g} {unit}"
    return f"{number:g}"
