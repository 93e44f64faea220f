"""Results of sweeps that nobody ran."""

import pathlib
from typing import Any

from mobilenets.sweeps.results import Result


def result(number: int, accuracy: float | None = 0.8, **changes: Any) -> Result:
    """A finished point with one evaluation, but for the changes."""
    records = [{"step": 10, "eval/ema/top1": accuracy}] if accuracy is not None else []
    facts: dict[str, Any] = {
        "values": {"model.width_multiplier": float(number)},
        "state": "finished",
        "error": "",
        "network": "mobilenet_v2",
        "resolution": 32,
        "parameters": 100_000,
        "madds": 1_000_000,
        "records": records,
        "total_steps": 10,
        "workdir": pathlib.Path(f"points/{number:03}"),
        "command": f"python train.py --workdir points/{number:03}",
    }
    return Result(number=number, accuracy=accuracy, **(facts | changes))
