"""The short training of the proposals, and the images that rank them."""

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mobilenets.config import check, files, overrides, values
from mobilenets.config.schema import Configuration
from mobilenets.data.sources.base import Source
from mobilenets.data.sources.opening import open_source, open_sources
from mobilenets.data.sources.slices import Part
from mobilenets.errors import UserError
from mobilenets.evaluation.evaluator import Evaluator
from mobilenets.inference.description import Description
from mobilenets.runs import workdir
from mobilenets.runtime import sharding
from mobilenets.tasks.classification import Classification
from mobilenets.training.loop import jitted_functions

TASK = "classification"

# What the weights or the adaptation define.
_FIXED = ("model", "init_from", "preprocessing", "task.name", "epochs", "evals")
_RANKS = "dataset.eval_split"
# Ours: of the learning rate of the run, since the weights are trained already.
_RATE = 0.1
# Ours: of the images to train, unless `_RANKS` is given.
_HELD_OUT = 0.1


def config_of(
    weights: str, file: str | None, given: Mapping[str, Any]
) -> Configuration:
    """The config by which proposals are trained.

    It is that of the run of the weights, at a tenth of its learning rate, which a
    cosine brings to 0 in each proposal, without a warm-up.

    Args:
      weights: the folder.
      file: the config file to use instead; None for that of the run.
      given: other values by dotted key.

    Raises:
      UserError: a value is wrong, or the weights are of no run and there is no file.
    """
    for key in given:
        if any(key == fixed or key.startswith(f"{fixed}.") for fixed in _FIXED):
            raise UserError(
                f"--config.{key} is given, but weights and --steps define it: leave it "
                "out."
            )
    if file is not None:
        built = files.read(file)
    elif (run := workdir.of(weights)).config.exists():
        built = values.of(workdir.read_config(run))
    else:
        raise UserError(
            f"{weights} is not a run and has no config: give --config, by which the "
            "proposals are trained."
        )
    built.evals = values.Values()
    ours = {
        "init_from": weights,
        "trainable_stages": -1,
        "schedule.name": "cosine",
        "schedule.warmup_epochs": 0.0,
        "schedule.final_fraction": 0.0,
        "distillation.outputs": "",  # those of all images, some of which rank
    }
    overrides.apply(built, ours)
    rate = _RATE * check.check(built).optimizer.learning_rate
    overrides.apply(built, {"optimizer.learning_rate": rate, **given})
    config = check.check(built)
    if config.task.name != TASK:
        raise UserError(
            f"{file} has task.name={config.task.name}, but NetAdapt narrows networks "
            f"with task.name={TASK}."
        )
    return config


def task_of(
    config: Configuration, given: Mapping[str, Any], steps: int, weights: Description
) -> Classification:
    """The task by which proposals are trained, its images divided.

    Its set "val" ranks the proposals: a tenth of the images to train, chosen at random
    and not trained on, or the split that is given.

    Args:
      config: see `config_of`.
      given: see `config_of`.
      steps: of the training of a proposal.
      weights: that are adapted.

    Raises:
      UserError: the data set is not to be had, or has other classes than the weights.
    """
    sources = sources_of(config, is_ranking_given=_RANKS in given)
    names = tuple(sources["train"].names)
    if names != weights.class_names:
        raise UserError(
            f"The data set has {len(names)} classes, which are not the "
            f"{len(weights.class_names)} of the weights: NetAdapt needs the images that"
            " they were trained on."
        )
    size = len(sources["train"])
    if config.batch_size > size:
        raise UserError(
            f"batch_size {config.batch_size} is more than the {size} images to train: "
            f"use at most --config.batch_size={size}."
        )
    epochs = steps * config.batch_size / size
    return Classification(config.model_copy(update={"epochs": epochs}), None, sources)


def sources_of(config: Configuration, is_ranking_given: bool) -> dict[str, Source]:
    """The images to train, "train", and those that rank, "val"; see `task_of`.

    Args:
      config: see `config_of`.
      is_ranking_given: whether its `dataset.eval_split` ranks.

    Raises:
      UserError: the data set is not to be had.
    """
    if is_ranking_given:
        return open_sources(config, "class", to_train=True)
    split = config.dataset.train_split
    images = open_source(config.dataset, split, "class", to_train=True, in_use=[split])
    order = np.random.default_rng(0).permutation(len(images))
    held_out = max(1, round(_HELD_OUT * len(images)))
    return {
        "train": Part(images, np.sort(order[held_out:]).tolist()),
        "val": Part(images, np.sort(order[:held_out]).tolist()),
    }


class ShortTraining:
    """Trains and ranks networks whose weights have the shapes of one network.

    Args:
      task: see `task_of`.
      steps: of the training of a proposal.

    Raises:
      UserError: the batch cannot be split over the devices.
    """

    def __init__(self, task: Classification, steps: int):
        self._task, self._steps = task, steps
        config = task.config
        self._mesh = sharding.data_mesh(config.batch_size, config.accumulation_steps)
        self._create, self.update = jitted_functions(task, self._mesh)
        self._evaluator = Evaluator(task, self._mesh)
        self._rng = jax.random.key(config.seed)
        self._teacher_variables = jax.device_put(
            task.teacher_variables, sharding.replicated(self._mesh)
        )

    def accuracy(self, variables: Any) -> float:
        """Top-1 on the ranking images, from 0 to 1; 0 if the loss is not finite."""
        found = self._evaluator.evaluate({"it": variables})["val"]["it"]
        return found["top1"] if math.isfinite(found["loss"]) else 0.0

    def train(self, variables: Any, number: int) -> Any:
        """The averaged weights after the training.

        Args:
          variables: padded.
          number: of the step of the adaptation, from 1. Its proposals see the same
            batches, and other ones than those of other steps.
        """
        state = self._create(variables)
        rng = jax.random.fold_in(self._rng, number)
        batches = self._task.train_batches((number - 1) * self._steps)
        with contextlib.closing(batches):
            for _ in range(self._steps):
                batch = sharding.to_devices(self._mesh, next(batches))
                state, metrics = self.update(state, batch, rng, self._teacher_variables)
                jax.block_until_ready(metrics)
        return jax.device_get(state.variables(ema=True))
