"""Trains a network, as `mobilenets train` does: `python train.py --help`."""

from mobilenets.cli import command_line
from mobilenets.cli import train as train_command

if __name__ == "__main__":
    command_line.run_module(train_command)
