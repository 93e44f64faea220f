"""Weights of other libraries, converted exactly or refused."""

from mobilenets.pretrained.state_dict import from_state_dict

__all__ = ["from_state_dict"]
