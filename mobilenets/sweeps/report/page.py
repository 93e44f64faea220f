"""What a sweep has found, on one page: pictures, tables, the command of each point."""

import collections
import csv
import dataclasses
import io
import os
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mobilenets.errors import UserError
from mobilenets.sweeps import definition
from mobilenets.sweeps.definition import Sweep, text
from mobilenets.sweeps.report import html, latencies, pictures
from mobilenets.sweeps.report.entries import (
    SEED,
    Entry,
    aspects,
    front,
    group,
    keys,
    measure,
    short,
    shown,
    varying,
)
from mobilenets.sweeps.report.pictures import Picture
from mobilenets.sweeps.results import Result

# Of points.csv, after the values that vary.
CSV_COLUMNS = (
    *("seed", "network", "resolution", "parameters", "madds", "latency_ms"),
    *("accuracy", "error", "command"),
)
NO_BREAK = "\u00a0"  # a space at which a line does not end
# The costs that have a front, as the table calls them.
COSTS = {"madds": "MAdds", "parameters": "parameters", "latency": "latency"}


@dataclasses.dataclass(frozen=True)
class _Column:
    """A column of the page's table.

    Args:
      heading: above it.
      cells: a text for each entry.
      kind: a number is aligned to the right.
    """

    heading: str
    cells: list[str]
    kind: Literal["number", "words"] = "number"


@dataclasses.dataclass(frozen=True)
class Heading:
    """What a page is about.

    Args:
      title: of the page.
      row: what a row of its table is: "point" of a sweep, or "run".
      facts: terms and descriptions for the head of the page.
    """

    title: str
    row: Literal["point", "run"]
    facts: tuple[tuple[str, str], ...]


def of_sweep(sweep: Sweep, results: Sequence[Result]) -> Heading:
    """The heading of a sweep's report."""
    states = collections.Counter(result.state for result in results)
    states["not chosen yet"] = sweep.size - len(results)
    points = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    search = f"{sweep.search} over {', '.join(sweep.parameters)}"
    if sweep.objectives != ("accuracy",):
        search += f", for {' and '.join(sweep.objectives)}"
    facts = [("search", search), ("points", f"{sweep.size}: {points or 'none yet'}")]
    if sweep.values:
        facts.insert(1, ("in all points", definition.in_words(sweep.values)))
    return Heading(f"Sweep of {sweep.config}", "point", tuple(facts))


def write(
    heading: Heading,
    results: Sequence[Result],
    seconds: Mapping[int, float],
    folder: pathlib.Path,
) -> None:
    """Writes report.html, points.csv and the pictures.

    A picture that has nothing to show is not written, and removed if it was there. Each
    file is complete or as it was before.

    Args:
      heading: of the page.
      results: of the points, or of the runs.
      seconds: median ones that inference takes for one image, by the number of the
        point; those that were not measured are missing.
      folder: where to; made if there is none.

    Raises:
      UserError: a file cannot be written.
    """
    entries = group(results, seconds)
    drawn = pictures.draw(entries)
    files = {f"{picture.name}.png": picture.png for picture in drawn}
    files["points.csv"] = _csv(results, seconds).encode()
    links = {result.number: _link(result.workdir, folder) for result in results}
    files["report.html"] = _page(heading, results, entries, drawn, links).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            unfinished = folder / f"{name}.unfinished"  # renamed when complete
            unfinished.write_bytes(content)
            unfinished.replace(folder / name)
        for name in pictures.NAMES:
            if f"{name}.png" not in files:
                (folder / f"{name}.png").unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {folder}: {error.strerror}."
        ) from None


def _csv(results: Sequence[Result], seconds: Mapping[int, float]) -> str:
    """A line for each point; what is not known is empty."""
    varied = keys(results)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["number", "state", *varied, *CSV_COLUMNS])
    for result in sorted(results, key=lambda result: result.number):
        latency = seconds.get(result.number)
        table.writerow(
            [
                result.number,
                result.state,
                *(result.values.get(key) for key in varied),
                result.values.get(SEED),
                result.network,
                result.resolution,
                result.parameters,
                result.madds,
                None if latency is None else f"{1e3 * latency:.6g}",
                result.accuracy,
                result.error,
                result.command,
            ]
        )
    return file.getvalue()


def _page(
    heading: Heading,
    results: Sequence[Result],
    entries: Sequence[Entry],
    drawn: Sequence[Picture],
    links: Mapping[int, str],
) -> str:
    """The page, which needs no other file; links to the folders of the runs."""
    by_accuracy = sorted(entries, key=_best_first)
    fronts = _fronts(entries)
    return html.render(
        "mobilenets.sweeps.report",
        "page.html.jinja",
        heading=heading,
        summary=_summary(heading, by_accuracy),
        pictures=[(p, html.embedded(p.png)) for p in drawn],
        latency_note=_latency_note(entries),
        entries=by_accuracy,
        columns=_columns(heading.row, by_accuracy, fronts),
        on_a_front=fronts,
        errors={e.number: _errors(heading.row, e) for e in entries},
        results=sorted(results, key=lambda result: result.number),
        links=links,
    )


def _link(workdir: pathlib.Path, folder: pathlib.Path) -> str:
    """From the page to the folder of a run."""
    relative = os.path.relpath(workdir.absolute(), folder.absolute())
    return urllib.parse.quote(pathlib.Path(relative).as_posix())


def _best_first(entry: Entry) -> tuple[float, int]:
    """By accuracy, at the end what has none, and then by number."""
    return 1 if entry.accuracy is None else -entry.accuracy, entry.number


def _summary(heading: Heading, by_accuracy: Sequence[Entry]) -> list[tuple[str, str]]:
    """The terms at the head of the page, each with its description."""
    summary = list(heading.facts)
    accuracies = [entry for entry in by_accuracy if entry.accuracy is not None]
    if accuracies:
        summary.append(("accuracy", _what_accuracy_is(accuracies)))
    if shown(by_accuracy, "latency"):
        summary.append(
            ("latency", f"of one image, the median on {latencies.machine()}")
        )
    networks = list({entry.network for entry in by_accuracy} - {""})
    if len(networks) == 1:
        summary.insert(0, ("network", networks[0]))
    differ = varying(by_accuracy)
    if by_accuracy and by_accuracy[0].accuracy is not None:
        best = _in_words(heading.row, by_accuracy[0], differ)
        summary.append(("most accurate", best))
    if on_front := front(by_accuracy, "madds"):
        ends = [
            _in_words(heading.row, entry, differ)
            for entry in (on_front[0], on_front[-1])
        ]
        count = f"{len(on_front)} of {len(by_accuracy)}"
        summary.append(
            ("front by MAdds", f"{count}: {' to '.join(dict.fromkeys(ends))}")
        )
    return summary


def _what_accuracy_is(entries: Sequence[Entry]) -> str:
    """The metric, the weights and the images of the accuracies."""
    results = [result for entry in entries for result in entry.results]
    headline = results[0].headline
    count = headline.replace(headline.rpartition("/")[2], "count")
    counts = {
        record[count]
        for result in results
        for record in result.records[-1:]
        if count in record
    }
    images = f"{counts.pop():,.0f} images of val" if len(counts) == 1 else "val"
    metric = headline.rpartition("/")[2]
    return f"{metric} of the averaged weights on {images}, at the last evaluation"


def _in_words(row: str, entry: Entry, differ: Sequence[str]) -> str:
    """Which entry, by the keys in which entries differ, and what it reached."""
    rows = f"{row}s" if len(entry.results) > 1 else row
    values = {key: entry.values[key] for key in differ if key in entry.values}
    what = [definition.in_words(values)] if values else []
    if entry.state != "finished":
        what.append(entry.state)
    which = f" ({', '.join(what)})" if what else ""
    reached = f"{entry.percent:.1f} %".replace(" ", NO_BREAK)
    madds = f"{short(entry.madds)} MAdds".replace(" ", NO_BREAK)
    return f"{rows} {_numbers(entry)}{which}: {reached} with {madds}"


def _fronts(entries: Sequence[Entry]) -> dict[int, list[str]]:
    """On the fronts of which costs an entry is; only for those on one."""
    fronts: dict[int, list[str]] = {}
    for cost, name in COSTS.items():
        for entry in front(entries, cost):
            fronts.setdefault(entry.number, []).append(name)
    return fronts


def _latency_note(entries: Sequence[Entry]) -> str:
    """What is missing of the latencies, and how to get it; "" if nothing."""
    evaluated = shown(entries, "madds")
    measured = len(shown(entries, "latency"))
    if measured == len(evaluated):
        return ""
    how = f"measured for {measured} of {len(evaluated)} rows only"
    return (
        f"Latency was {how if measured else 'not measured'}: "
        "mobilenets report FOLDER measures it on the machine where it is run."
    )


def _columns(
    row: str, entries: Sequence[Entry], fronts: Mapping[int, Sequence[str]]
) -> list[_Column]:
    """The table of the entries; columns that would be empty are left out."""
    differ = aspects(entries)
    pixels = [_count(entry.resolution) for entry in entries]
    if "resolution" in differ or len(set(pixels)) == 1:
        pixels = []  # told already, or nothing to tell
    on_fronts = [", ".join(fronts.get(entry.number, [])) for entry in entries]
    columns = [
        _Column(row, [_numbers(entry) for entry in entries]),
        *(_values_column(name, values) for name, values in differ.items()),
        _Column("pixels", pixels),
        _Column("parameters", [_count(entry.parameters) for entry in entries]),
        _Column("MAdds", [_count(entry.madds) for entry in entries]),
        _Column("latency, ms", [_milliseconds(entry) for entry in entries]),
        _Column(f"{measure(entries)}, %", [_accuracy(entry) for entry in entries]),
        _Column("over seeds", [_range(entry) for entry in entries]),
        _Column("seeds", [_seeds(entry) for entry in entries]),
        _Column("on the front by", on_fronts, "words"),
        _Column("state", [entry.state for entry in entries], "words"),
    ]
    return [column for column in columns if any(column.cells)]


def _values_column(name: str, values: Sequence[Any]) -> _Column:
    is_number = all(isinstance(value, int | float | None) for value in values)
    return _Column(name, [text(v) for v in values], "number" if is_number else "words")


def _count(number: int) -> str:
    """Of a network; a point that is none has nothing to count."""
    return f"{number:,}" if number else ""


def _numbers(entry: Entry) -> str:
    return ", ".join(str(result.number) for result in entry.results)


def _milliseconds(entry: Entry) -> str:
    return "" if entry.latency is None else f"{1e3 * entry.latency:,.3g}"


def _accuracy(entry: Entry) -> str:
    return "" if entry.accuracy is None else f"{entry.percent:.2f}"


def _range(entry: Entry) -> str:
    """The lowest and the highest accuracy, where there are several."""
    if len(entry.accuracies) < 2:
        return ""
    low, high = 100 * min(entry.accuracies), 100 * max(entry.accuracies)
    return f"{low:.2f} to {high:.2f}"


def _seeds(entry: Entry) -> str:
    """How many the accuracy is the mean of, where there are several points."""
    count, of_all = len(entry.accuracies), len(entry.results)
    if of_all == 1:
        return ""
    return str(of_all) if count == of_all else f"{count} of {of_all}"


def _errors(row: str, entry: Entry) -> str:
    """Why points have failed; "" if none has."""
    return "; ".join(
        f"{row} {result.number} failed: {result.error}"
        for result in entry.results
        if result.state == "failed"
    )
