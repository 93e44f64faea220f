"""One number for accuracy and latency together: MnasNet, arXiv:1807.11626, Eq. 2."""


def reward(accuracy: float, latency: float, target: float, exponent: float) -> float:
    """The accuracy times (latency / target) ** exponent; more is better.

    Args:
      accuracy: from 0 to 1.
      latency: in any unit.
      target: in the same unit.
      exponent: below 0. MnasNet has -0.07, by which twice the latency is worth about 5
        % of the accuracy; MobileNetV3-Small -0.15 (arXiv:1905.02244, Sec. 4.1).

    >>> reward(0.75, 75.0, 75.0, -0.07)
    0.75
    >>> round(reward(0.75 * 1.05, 150.0, 75.0, -0.07), 2)
    0.75
    """
    return accuracy * (latency / target) ** exponent
