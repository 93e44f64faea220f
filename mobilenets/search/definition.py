"""What a search does, as data: the run of its supernet, and how it evolves.

A search's file has a function `get_search(arg)` that returns a `Search`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from annotated_types import Ge, Gt, Le, Lt

from mobilenets.config import check, files, overrides
from mobilenets.config.schema import Configuration, Section
from mobilenets.errors import UserError

Objective = Literal["accuracy", "latency", "parameters", "madds", "activations"]


class Reward(Section):
    """MnasNet's single objective; see `search.reward`.

    Args:
      target: the latency in milliseconds that is wanted.
      exponent: what latency beyond it costs.
    """

    target: Annotated[float, Gt(0)]
    exponent: Annotated[float, Lt(0)] = -0.07


class Search(Section):
    """A search for networks.

    Args:
      supernet: the config file of the supernet's run, with its argument. Its set "val"
        ranks the candidates, so that must be a part of the training images.
      values: other values of that config, by dotted key.
      objectives: the weight of each objective in the crowding distance. Above 0, more
        of it is better; below 0, less is better. MoGA searches for more parameters,
        which cost its devices little; its weights are not known, and these are ours.
      reward: searches for one number instead of the front of the objectives.
      population: candidates of a generation. MoGA's is 70.
      generations: MoGA's are 120.
      crossover: the probability that a child has two parents, cut at one point.
      mutation: the probability that a gene is drawn anew.
      random_search: whether as many random candidates are evaluated beside it.
      calibration_images: images to train that give each candidate its statistics of
        batch norm.
      check_networks: whole networks that a latency table of this machine is compared
        with; 0: none.
      found: networks of the front that are written down, from the slowest to the
        fastest. A search by `reward` finds one.
      seed: of the evolution.
    """

    supernet: str
    values: dict[str, Any] = pydantic.Field(default_factory=dict)
    objectives: dict[Objective, float] = pydantic.Field(
        default_factory=lambda: {"accuracy": 1.0, "latency": -1.0, "parameters": 1.0}
    )
    reward: Reward | None = None
    population: Annotated[int, Ge(2), Le(10_000)] = 70
    generations: Annotated[int, Ge(1), Le(10_000)] = 120
    crossover: Annotated[float, Ge(0), Le(1)] = 0.9
    mutation: Annotated[float, Ge(0), Le(1)] = 0.1
    random_search: bool = True
    calibration_images: Annotated[int, Ge(2), Le(100_000)] = 256
    check_networks: Annotated[int, Ge(0), Le(1000)] = 30
    found: Annotated[int, Ge(1), Le(100)] = 3
    seed: Annotated[int, Ge(0)] = 0

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> "Search":
        if not any(self.objectives.values()):
            raise ValueError("objectives must have a weight other than 0")
        if self.check_networks == 1:
            raise ValueError("check_networks is 1, but ranks need 2 or more, or give 0")
        return self

    @property
    def budget(self) -> int:
        """Candidates that the evolution evaluates."""
        return self.population * self.generations


def load(file: str, values: Mapping[str, Any] | None = None) -> Search:
    """The search of a file.

    Args:
      file: its path; after a colon the argument of its `get_search`.
      values: what else is set in the supernet's config.

    Raises:
      UserError: there is no such file, it fails, or a value in it is not allowed.
    """
    search = files.call(file, "get_search")
    if not isinstance(search, Search):
        raise UserError(
            f"get_search of {file} must return a Search, but returned {search!r}."
        )
    for key in values or {}:
        check.check_key(key)
    return search.model_copy(update={"values": {**search.values, **(values or {})}})


def supernet_config(search: Search) -> Configuration:
    """The checked configuration of the supernet's run.

    Raises:
      UserError: the config file or a value is wrong, or it trains no supernet.
    """
    config = files.read(search.supernet)
    for key in search.values:
        check.check_key(key)
    overrides.apply(config, search.values)
    checked = check.check(config)
    if checked.task.name != "supernet":
        raise UserError(
            f"{search.supernet} trains no supernet: its task.name is "
            f"{checked.task.name!r}, but must be 'supernet'."
        )
    return checked
