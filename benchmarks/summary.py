"""From raw measurements to the numbers of a table."""

import dataclasses
import statistics
from collections.abc import Mapping

from benchmarks.driver import Measurement
from benchmarks.sides import OURS


@dataclasses.dataclass(frozen=True)
class Row:
    """One side in one case.

    Args:
      panel: the part of the picture that the case belongs to.
      case: what was run.
      side: a key of `SIDES`.
      images: that one call works through; 0 if the case is not about images.
      measurement: what the side gave.
      ours: what our side gave; None if it did not take part.
    """

    panel: str
    case: str
    side: str
    images: int
    measurement: Measurement
    ours: Measurement | None

    @property
    def median(self) -> float | None:
        """Seconds of a call, see `median`."""
        return median(self.measurement)

    @property
    def rounds(self) -> list[float]:
        """Seconds, see `round_medians`; none if the side has failed."""
        return [] if self.measurement.failure else round_medians(self.measurement)

    @property
    def images_per_second(self) -> float | None:
        """None where nothing was measured, or without images."""
        return self.images / self.median if self.images and self.median else None

    @property
    def ratio(self) -> float | None:
        """The side's time over ours: above 1 we are faster."""
        return _ratio(self.median, self.ours and median(self.ours))

    @property
    def memory_ratio(self) -> float | None:
        """The side's peak memory over ours: above 1 we need less."""
        return _ratio(self.measurement.peak_bytes, self.ours and self.ours.peak_bytes)


def rows(
    panel: str, case: str, measurements: Mapping[str, Measurement], images: int = 0
) -> list[Row]:
    """A row for each side, see `Row`."""
    ours = measurements.get(OURS)
    return [
        Row(panel, case, side, images, measurement, ours)
        for side, measurement in measurements.items()
    ]


def round_medians(measurement: Measurement) -> list[float]:
    """Of each round the median of its calls, in seconds.

    >>> round_medians(Measurement(rounds=[[1.0, 9.0, 2.0], [4.0]]))
    [2.0, 4.0]
    """
    return [statistics.median(calls) for calls in measurement.rounds]


def median(measurement: Measurement) -> float | None:
    """The median of the rounds' medians, in seconds.

    None if the side has failed: the rounds before that are not a result.
    """
    if measurement.failure or not measurement.rounds:
        return None
    return statistics.median(round_medians(measurement))


def fastest_call(measurement: Measurement) -> float | None:
    """Of all rounds, in seconds; None if there are none."""
    return min((min(calls) for calls in measurement.rounds), default=None)


def number(value: float | None, scale: float = 1.0) -> str:
    """Three significant digits, or all before the point; nothing for None.

    >>> number(0.0123456, 1e3), number(5123.4), number(None)
    ('12.3', '5,123', '')
    """
    if value is None:
        return ""
    value *= scale
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio_text(value: float | None) -> str:
    """Two digits after the point where they matter.

    >>> ratio_text(0.875), ratio_text(1.0), ratio_text(12.34)
    ('0.88', '1.00', '12.3')
    """
    return f"{value:.2f}" if value is not None and value < 10 else number(value)


def _ratio(peer: float | None, ours: float | None) -> float | None:
    return peer / ours if peer and ours else None
