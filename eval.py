"""Evaluates a trained network, as `mobilenets eval` does: `python eval.py --help`."""

from mobilenets.cli import command_line
from mobilenets.cli import eval as eval_command

if __name__ == "__main__":
    command_line.run_module(eval_command)
