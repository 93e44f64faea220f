"""Results of sweeps that nobody ran."""

import pathlib
from typing import Any

from mobilenets.sweeps.results import Result


def result(number: int, accuracy: float | None = 0.8, **changes: Any) -> Result:
    """A finished point with two evaluations, but for the changes."""
    key, records = "val/ema/top1", []
    if accuracy is not None:
        records = [{"step": 5, key: accuracy / 2}, {"step": 10, key: accuracy}]
    facts: dict[str, Any] = {
        "values": {"model.width_multiplier": float(number)},
        "state": "finished",
        "error": "",
        "network": "mobilenet_v2",
        "resolution": 32,
        "headline": key,
        "parameters": 100_000,
        "madds": 1_000_000,
        "records": records,
        "total_steps": 10,
        "workdir": pathlib.Path(f"points/{number:03}"),
        "command": f"python train.py --workdir points/{number:03}",
    }
    return Result(number=number, accuracy=accuracy, **(facts | changes))
