"""Evaluates trained weights as one of several processes, and prints the metrics.

python -m tests.evaluation_program MODULE PHOTOGRAPHS WEIGHTS [MODULE ...]
"""

import importlib
import json
import sys

from mobilenets.cli import command_line
from mobilenets.evaluation.run import evaluate_weights
from mobilenets.inference import trained
from mobilenets.runtime import sharding
from mobilenets.tasks.registry import make_task


def evaluate(make_config, photographs, folder):
    """The metrics of the weights of a run on the photographs of its config."""
    net = trained.load(folder)
    config = make_config(photographs, init_from=folder, preprocessing={})
    task = make_task(config, net.description)
    return evaluate_weights(task, "raw", net.variables).results["val"]["raw"]


if __name__ == "__main__":
    command_line.prepare_jax()
    with sharding.joined():
        for start in range(1, len(sys.argv), 3):
            name, *folders = sys.argv[start : start + 3]
            make_config = importlib.import_module(name).make_config
            print(json.dumps(evaluate(make_config, *folders)))
