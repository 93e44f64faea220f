"""Colours that tell classes apart, in boxes as in masks."""

import colorsys

from mobilenets.data.geometry import Color


def color_of(number: int) -> Color:
    """A colour for each class: neighbours differ most.

    >>> color_of(0), color_of(1)
    ((230, 57, 46), (46, 88, 230))
    """
    hue = (0.01 + number * 0.61803) % 1  # the golden section spreads them evenly
    red, green, blue = (round(255 * v) for v in colorsys.hsv_to_rgb(hue, 0.8, 0.9))
    return red, green, blue
