"""Our networks in exported files: "litert", in LiteRT; "onnx", in ONNX Runtime."""

from collections.abc import Callable
from typing import Any

from benchmarks.workloads import CLASSES, Network
from mobilenets import get_spec
from mobilenets.export.measured import NetInFile
from mobilenets.runtime import host_memory


def start(variant: str) -> dict[str, str]:
    """Both compute on the CPU."""
    host_memory.use_huge_pages()  # as `mobilenets benchmark` does
    return {"platform": "cpu", "kind": "cpu"}


def accelerator_peak(step: Callable[[], Any]) -> None:
    """There is none."""


def inference(variant: Any, network: Network) -> Callable[[], Any]:
    """The logits."""
    spec = get_spec(network.model, resolution=network.resolution)
    return NetInFile(variant, spec, CLASSES).timed(network.batch)
