"""Local files of weights, of any of the common formats, as arrays by name."""

from mobilenets.pretrained.formats.keras import rename_keras_variables
from mobilenets.pretrained.formats.read import read_state

__all__ = ["read_state", "rename_keras_variables"]
