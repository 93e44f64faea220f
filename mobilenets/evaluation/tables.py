"""The results of evaluations for people, and as JSON for programs."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import rich.table

from mobilenets.errors import UserError
from mobilenets.evaluation.evaluator import Results
from mobilenets.evaluation.run import RunEvaluation
from mobilenets.runtime.console import console

_TITLES = {"top1": "top-1", "top5": "top-5", "count": "images counted"}
_MOST_COLUMNS = 5  # of metrics that fit into 80 letters
_LEFT_OUT = {"attributes_left_out", "classes_left_out"}
_COUNTS = {"count", "images", "pixels", "positives"} | _LEFT_OUT


def print_results(heading: str, results: Results) -> None:
    """Prints a row for each evaluation set and weights, a column for each metric.

    Many metrics have a row each instead. The set is not named where there is but one.
    """
    rows = {
        (*([name] if len(results) > 1 else []), weights): metrics
        for name, of_set in results.items()
        for weights, metrics in of_set.items()
    }
    if len(next(iter(rows.values()))) > _MOST_COLUMNS:
        _print_upright(heading, rows)
        return
    keys = ["set", "weights"] if len(results) > 1 else ["weights"]
    _print_table(heading, keys, rows)


def print_evaluation(evaluation: RunEvaluation) -> None:
    """Prints the metrics, those of each class where they were asked for, and files."""
    facts = [] if evaluation.step is None else [f"step {evaluation.step}"]
    if len(evaluation.results) == 1:
        facts.append(f"split {evaluation.split}")
    heading = ", ".join(facts)
    print_results(heading[:1].upper() + heading[1:], evaluation.results)
    for name, by_class in evaluation.by_class.items():
        rows = {(class_name,): numbers for class_name, numbers in by_class.items()}
        _print_table(f"{name}, by class", ["class"], rows)
    for path in evaluation.files:
        console.print(f"Wrote {path}")


def write_json(evaluation: RunEvaluation, path: pathlib.Path) -> None:
    """Writes step, results and, where they were asked for, the numbers by class.

    Raises:
      UserError: the file cannot be written.
    """
    values = {
        "step": evaluation.step,
        "results": evaluation.results,
        "by_class": evaluation.by_class,
    }
    try:
        path.write_text(json.dumps(_without_nan(values), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"Cannot write to {path}: {error.strerror}.") from None


def title(name: str) -> str:
    """A metric's name as people write it."""
    return _TITLES.get(name, name.replace("_", " "))


def number(name: str, value: float) -> str:
    """Counts whole, fractions of 1 in percent, losses and all else as they are.

    >>> number("count", 5000.0), number("loss", 1.25), number("top1", 0.5)
    ('5,000', '1.2500', '50.00%')
    >>> number("classes_left_out", 1.0), number("pixels", 0.0)
    ('1', '0')
    """
    if math.isnan(value):
        return "-"  # there was nothing to find it of
    if name in _COUNTS:
        return f"{value:,.0f}"
    is_fraction = name != "loss" and 0 <= value <= 1
    return f"{value:.2%}" if is_fraction else f"{value:.4f}"


def _print_table(
    heading: str, keys: list[str], rows: Mapping[tuple[str, ...], Mapping[str, float]]
) -> None:
    """A row starts with the values of the keys; all have the same metrics."""
    table = rich.table.Table(title=heading, title_justify="left")
    for key in keys:
        table.add_column(key)
    for name in next(iter(rows.values())):
        table.add_column(title(name), justify="right")
    for key_values, metrics in rows.items():
        table.add_row(*key_values, *(number(k, v) for k, v in metrics.items()))
    console.print(table)


def _print_upright(
    heading: str, columns: Mapping[tuple[str, ...], Mapping[str, float]]
) -> None:
    """A row for each metric; all columns have the same ones."""
    table = rich.table.Table(title=heading, title_justify="left")
    table.add_column("metric")
    for key_values in columns:
        table.add_column(" ".join(key_values), justify="right")
    for name in next(iter(columns.values())):
        values = (number(name, metrics[name]) for metrics in columns.values())
        table.add_row(title(name), *values)
    console.print(table)


def _without_nan(value: Any) -> Any:
    """The values with None for nan, which JSON does not have."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
