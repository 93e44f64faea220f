"""What the sides of torch share: where it computes, and its memory."""

from collections.abc import Callable
from typing import Any

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def start(variant: str) -> dict[str, str]:
    """Where torch computes."""
    on_gpu = DEVICE.type == "cuda"
    kind = torch.cuda.get_device_name() if on_gpu else "cpu"
    return {"platform": "gpu" if on_gpu else "cpu", "kind": kind}


def accelerator_peak(step: Callable[[], Any]) -> int | None:
    """Bytes of the GPU allocated at most during a step."""
    if DEVICE.type == "cpu":
        return None
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated()


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """The same values, the channels of a pixel side by side."""
    return x.contiguous(memory_format=torch.channels_last)


def wait() -> None:
    """Until all that was begun is computed."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
