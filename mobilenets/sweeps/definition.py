"""What a sweep varies, as data: a run's config file and the values to try in it.

A sweep's file has a function `get_sweep(arg)` that returns a `Sweep`.
"""

import itertools
import math
import pathlib
import random
import shlex
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import pydantic
from annotated_types import Ge

from mobilenets.config import check, files, overrides
from mobilenets.config import values as config_values
from mobilenets.config.schema import Configuration, Section
from mobilenets.errors import UserError

# The values that one point of a sweep gives to keys of the config. A value that is a
# dict gives several keys of a section.
Values = Mapping[str, Any]
Scalar = bool | int | float | str

MOST_POINTS = 10_000
_LARGEST_NUMBER = 1e300
# Points drawn at random with which a Bayesian search begins.
STARTUP_TRIALS = 10
# What a sweep may look for, and whether more of it is better.
OBJECTIVES = {"accuracy": True, "latency": False, "madds": False, "parameters": False}


class Choices(Section):
    """A choice among values. A dict sets several keys of a section together."""

    values: Annotated[tuple[Scalar | dict[str, Any], ...], pydantic.Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Choices":
        for i, value in enumerate(self.values):
            if value in self.values[:i]:
                raise ValueError(f"values has {value!r} twice")
        return self

    @property
    def size(self) -> float:
        """How many different values there are."""
        return len(self.values)


class Range(Section):
    """A number from `low` to `high`, both included; an integer if both are.

    With `log`, the logarithm is drawn uniformly. Use it for learning rates.
    """

    low: int | float
    high: int | float
    log: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Range":
        if not -_LARGEST_NUMBER <= self.low < self.high <= _LARGEST_NUMBER:
            raise ValueError(
                f"low, {self.low}, must be below high, {self.high}, and both finite"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithm needs low above 0, but it is {self.low}")
        return self

    @property
    def is_integer(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def size(self) -> float:
        """How many different values there are."""
        return self.high - self.low + 1 if self.is_integer else math.inf


class Sweep(Section):
    """The runs of a sweep: one for each point.

    Args:
      config: the config file of the runs, with its argument: "configs/a.py:width=0.5".
      values: config values for all points.
      parameters: what varies, by dotted key of the config. The key "seed" repeats each
        point of a grid; the report shows mean and spread over the seeds.
      search: "grid" runs every combination of choices; "random" draws `trials` points
        from choices and ranges, each once; "bayesian" chooses the next point from the
        finished ones (Optuna's TPE), after `STARTUP_TRIALS` random points.
      trials: the number of points of a random or Bayesian search.
      seed: the seed of the search.
      objectives: keys of `OBJECTIVES` for a Bayesian search. With several it searches
        for the Pareto front. Latency is measured on this machine after training.
      prune: whether a run stops early when its best accuracy so far is below the median
        of the other runs at the same evaluation, once five runs are finished (Optuna's
        `MedianPruner`).
    """

    config: str
    parameters: dict[str, Choices | Range]
    values: dict[str, Any] = pydantic.Field(default_factory=dict)
    search: Literal["grid", "random", "bayesian"] = "grid"
    trials: Annotated[int, Ge(0)] = 0
    seed: Annotated[int, Ge(0)] = 0
    objectives: tuple[Literal["accuracy", "latency", "madds", "parameters"], ...] = (
        "accuracy",
    )
    prune: bool = False

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> "Sweep":
        if not self.parameters:
            raise ValueError("parameters is empty: there is nothing to vary")
        ranges = [k for k, p in self.parameters.items() if isinstance(p, Range)]
        if self.search == "grid" and (self.trials or ranges):
            what = f"range ({ranges[0]})" if ranges else "trials"
            raise ValueError(f"a grid takes no {what}: use choices, or another search")
        if self.search != "grid" and not self.trials:
            raise ValueError(f"a {self.search} search needs trials, their number")
        combinations = math.prod(p.size for p in self.parameters.values())
        size = combinations if self.search == "grid" else self.trials
        if size > MOST_POINTS:
            raise ValueError(
                f"the sweep has {size:,} points: use fewer, at most {MOST_POINTS:,}"
            )
        if self.trials > combinations:
            raise ValueError(
                f"trials is {self.trials}, but of the values there are only "
                f"{combinations} combinations: use no more"
            )
        if self.search == "bayesian" and self.trials <= STARTUP_TRIALS:
            raise ValueError(
                f"a bayesian search draws its first {STARTUP_TRIALS} points at random: "
                f"with {self.trials} trials it has nothing to choose; use a random one"
            )
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives must be one or more, each once")
        if self.prune and self.objectives != ("accuracy",):
            raise ValueError("prune looks at accuracy alone: it allows no other goal")
        return self

    @property
    def points(self) -> list[Values]:
        """The points that are fixed before anything is run, in their order.

        All of a grid and of a random search, the first of a Bayesian one.
        """
        if self.search == "grid":
            choices = [p.values for p in self.parameters.values()]  # pyright: ignore[reportAttributeAccessIssue]
            return [
                dict(zip(self.parameters, point, strict=True))
                for point in itertools.product(*choices)
            ]
        first = STARTUP_TRIALS if self.search == "bayesian" else self.trials
        generator = random.Random(self.seed)
        drawn: list[Values] = []
        for _ in range(first):
            drawn.append(self.draw_other(drawn, generator))
        return drawn

    @property
    def size(self) -> int:
        """The number of points in all."""
        return len(self.points) if self.search == "grid" else self.trials

    def draw_other(self, drawn: Iterable[Values], generator: random.Random) -> Values:
        """A point at random that is none of those; there must be one."""
        known = list(drawn)
        while True:
            point = {k: _draw(p, generator) for k, p in self.parameters.items()}
            if point not in known:
                return point


def load(file: str, values: Values | None = None) -> Sweep:
    """The sweep of a file.

    Args:
      file: its path; after a colon the argument of its `get_sweep`.
      values: what else is set for all points.

    Raises:
      UserError: there is no such file, it fails, or a value in it is not allowed.
    """
    sweep = files.call(file, "get_sweep")
    if not isinstance(sweep, Sweep):
        raise UserError(
            f"get_sweep of {file} must return a Sweep, but returned {sweep!r}."
        )
    for key in values or {}:
        check.check_key(key)
        if key in varied_keys(sweep):
            raise UserError(f"--config.{key} is given, but the sweep varies it.")
    return sweep.model_copy(update={"values": {**sweep.values, **(values or {})}})


def run_config(sweep: Sweep, values: Values) -> Configuration:
    """The checked configuration of the run at a point.

    Raises:
      UserError: the config file or a value is wrong.
    """
    config = files.read(sweep.config)
    for key in flatten(sweep.values):
        check.check_key(key)
    try:
        overrides.apply(config, set_at(sweep, values))
        return check.check(config)
    except UserError as error:
        raise UserError(f"At {in_words(values)}: {error}") from None


def set_at(sweep: Sweep, values: Values) -> dict[str, Any]:
    """What the run at a point sets in its config file, by dotted key."""
    return flatten(sweep.values) | flatten(values)


def command(sweep: Sweep, values: Values, workdir: pathlib.Path) -> str:
    """What is typed to train the point by itself."""
    flags = [f"--config.{k}={v}" for k, v in set_at(sweep, values).items()]
    words = ["python", "-m", "mobilenets", "train", "--config", sweep.config, *flags]
    return shlex.join([*words, "--workdir", str(workdir)])


def in_words(values: Values) -> str:
    """The values of a point in a line, by the last part of their keys.

    >>> in_words({"model.width_multiplier": 0.5, "model": {"resolution": 24}})
    'width_multiplier 0.5, resolution 24'
    """
    flat = flatten(values)
    names = short_names(flat)
    return ", ".join(f"{names[key]} {text(value)}" for key, value in flat.items())


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The last part of each dotted key, or all of it where two end alike.

    >>> short_names(["a.name", "b.name", "c.rate"])
    {'a.name': 'a.name', 'b.name': 'b.name', 'c.rate': 'rate'}
    """
    last = {key: key.rpartition(".")[2] for key in keys}
    ends = list(last.values())
    return {key: end if ends.count(end) == 1 else key for key, end in last.items()}


def text(value: Any) -> str:
    """A value of a config for people, four digits of a fraction; "" for none.

    >>> text(0.0123456), text("adamw"), text(""), text(None)
    ('0.01235', 'adamw', "''", '')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "''"


def flatten(values: Values) -> dict[str, Any]:
    """The values by dotted key, those of dicts too."""
    return config_values.flatten(dict(values))


def varied_keys(sweep: Sweep) -> list[str]:
    """The dotted keys whose values may differ between points."""
    keys: dict[str, None] = {}
    for key, parameter in sweep.parameters.items():
        choices = parameter.values if isinstance(parameter, Choices) else (0,)
        for choice in choices:
            keys |= dict.fromkeys(flatten({key: choice}))
    return list(keys)


def _draw(parameter: Choices | Range, generator: random.Random) -> Any:
    """A value at random."""
    if isinstance(parameter, Choices):
        return generator.choice(parameter.values)
    low, high = parameter.low, parameter.high
    if parameter.is_integer and not parameter.log:
        return generator.randint(int(low), int(high))
    if not parameter.log:
        return generator.uniform(low, high)
    value = math.exp(generator.uniform(math.log(low), math.log(high)))
    return round(value) if parameter.is_integer else value
