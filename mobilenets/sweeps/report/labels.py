"""Names beside the points of a picture, where nothing else is drawn."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

FONT_SIZE = 8
CLEARANCE = 3  # pixels around a name
STEP = (
    4  # pixels from one place of a line that is looked at to the next; names are higher
)
LEADER = 15  # points: a name farther away than that has a line to its own point

# Where the middle of a name's near side may be, in points from its own point; the first
# free place is taken. Above to the left of a Pareto front nothing is better, so there
# is mostly room.
NEAR = ((-5, 8), (-5, -8), (6, -9), (6, 8), (0, 12), (0, -12))
AROUND = (
    *NEAR,
    *((-16, 18), (12, -20), (-26, 28), (22, -30), (-6, 34), (-40, 16), (14, 30)),
)
ASIDE = 16  # points from an end to its name in a column

Place = tuple[float, float]
Label = tuple[float, float, str]  # of which point, and the words
Line = tuple[Place, Place]  # its ends, in the units of the axes; equal for a point


def place(
    axis: Axes,
    labels: Sequence[Label],
    lines: Sequence[Line],
    offsets: Sequence[Place] = AROUND,
) -> list[Annotation]:
    """Writes each label near its point; one for which there is no room is left out.

    Args:
      axis: with its final limits, in a figure whose layout will not change.
      labels: (x, y, text); the first ones have the best places.
      lines: what is not to be written over.
      offsets: where a label may be, in points from its own point.

    Returns:
      What was written.
    """
    figure = cast(Figure, axis.figure)
    figure.draw_without_rendering()  # now the layout knows where the axes are
    covered = np.concatenate([_pixels(axis, line) for line in lines])
    boxes: list[Bbox] = []
    written = []
    for x, y, text in labels:
        for offset in offsets:
            label = _write(axis, x, y, text, offset)
            box = label.get_window_extent().padded(CLEARANCE)
            leader = _leader(axis, x, y, offset)
            if (
                _is_inside(box, axis.bbox)
                and not box.count_contains(covered)
                and not box.count_overlaps(boxes)
                and not any(other.count_contains(leader) for other in boxes)
            ):
                boxes.append(box)
                written.append(label)
                if len(leader):
                    covered = np.concatenate([covered, leader])
                    _lead(axis, x, y, offset)
                break
            label.remove()
    return written


def place_in_column(axis: Axes, labels: Sequence[Label]) -> list[Annotation]:
    """Writes labels to the right of their points, one below the other.

    Each is level with its point or, where the one above needs the room, lower. One that
    would lie below the axes is left out.

    Args:
      axis: with its final limits, in a figure whose layout will not change.
      labels: (x, y, text), of points with nothing to their right.

    Returns:
      What was written, from the top.
    """
    figure = cast(Figure, axis.figure)
    figure.draw_without_rendering()
    written: list[Annotation] = []
    free = axis.bbox.y1
    for x, y, text in sorted(labels, key=lambda label: -label[1]):
        label = _write(axis, x, y, text, (ASIDE, 0))
        box = label.get_window_extent().padded(1)
        down = max(0.0, box.y1 - free) * 72 / figure.dpi  # in points
        free = min(free, box.y1) - box.height
        label.remove()
        if free >= axis.bbox.y0:
            written.append(_write(axis, x, y, text, (ASIDE, -down)))
            _lead(axis, x, y, (ASIDE, -down))
    return written


def _pixels(axis: Axes, line: Line) -> np.ndarray:
    """Places on a line, [N, 2] in pixels."""
    return _between(*axis.transData.transform(line))


def _leader(axis: Axes, x: float, y: float, offset: Place) -> np.ndarray:
    """Places on the line from a point to its name, [N, 2]; none if they are close."""
    if max(map(abs, offset)) <= LEADER:
        return np.empty((0, 2))
    start = axis.transData.transform((x, y))
    return _between(start, start + np.array(offset) * axis.figure.dpi / 72)


def _between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / STEP))


def _write(axis: Axes, x: float, y: float, text: str, offset: Place) -> Annotation:
    dx, _ = offset
    return axis.annotate(
        text,
        (x, y),
        offset,
        textcoords="offset points",
        ha="center" if dx == 0 else "left" if dx > 0 else "right",
        va="center",
        fontsize=FONT_SIZE,
        zorder=5,
    )


def _lead(axis: Axes, x: float, y: float, offset: Place) -> None:
    """A thin line from a point to its distant name."""
    axis.annotate(
        "",
        (x, y),
        offset,
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": "#7a808a", "linewidth": 0.6},
    )


def _is_inside(box: Bbox, outer: Bbox) -> bool:
    return (
        outer.x0 <= box.x0
        and box.x1 <= outer.x1
        and outer.y0 <= box.y0
        and box.y1 <= outer.y1
    )
