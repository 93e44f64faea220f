"""How text and pixels are drawn in every picture."""

import matplotlib
import numpy as np

# For a function that draws names, to decorate it: a $ in one is a letter, not the start
# of a formula, which may end a run as it is parsed.
as_text = matplotlib.rc_context({"text.parse_math": False})


def as_drawn(pixels: np.ndarray) -> np.ndarray:
    """Pixels of 0 to 255 as uint8: those of some networks are not rounded."""
    return np.rint(pixels).astype(np.uint8)
