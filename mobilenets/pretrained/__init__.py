"""Weights of other libraries, converted exactly or refused."""

from mobilenets.pretrained.pytorch import from_state_dict

__all__ = ["from_state_dict"]
