"""What timm and torchvision share: PyTorch's layout, and the names in a ResNet."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mobilenets.networks.spec import HasBackbone
from mobilenets.pretrained.library import Library, Model, Names, Place, block_names

# The constants of PyTorch's batch norm; its momentum of 0.1 is our 0.9.
BATCH_NORM = {"bn_momentum": 0.9, "bn_epsilon": 1e-5}


def pytorch_library(models: dict[str, Model]) -> Library:
    """A library of such models whose weights are PyTorch's."""
    return Library(
        models,
        separator=".",
        variables={
            "conv/kernel": "weight",
            "bn/scale": "weight",
            "bn/bias": "bias",
            "bn/mean": "running_mean",
            "bn/var": "running_var",
            "kernel": "weight",
            "bias": "bias",
        },
        clean=_without_counters,
        kernel_layout=_kernel_layout,
    )


def resnet(spec: HasBackbone) -> Names:
    """The modules of a ResNet or SE-ResNet."""

    def names_at(place: Place) -> Names:
        there = f"layer{place.stage + 1}.{place.index}"
        return {
            "reduce": (f"{there}.conv1", f"{there}.bn1"),
            "spatial": (f"{there}.conv2", f"{there}.bn2"),
            "restore": (f"{there}.conv3", f"{there}.bn3"),
            "first": (f"{there}.conv1", f"{there}.bn1"),
            "second": (f"{there}.conv2", f"{there}.bn2"),
            "se/reduce": (f"{there}.se.fc1",),
            "se/expand": (f"{there}.se.fc2",),
            "shortcut": (f"{there}.downsample.0", f"{there}.downsample.1"),
        }

    return {
        "stem": ("conv1", "bn1"),
        "logits": ("fc",),
        **block_names(spec, names_at),
    }


def _without_counters(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without the numbers of batches that batch norms and averages saw."""
    counters = ("num_batches_tracked", "n_averaged")
    return {k: v for k, v in state.items() if k.rpartition(".")[2] not in counters}


def _kernel_layout(kernel: np.ndarray, is_depthwise: bool) -> np.ndarray:
    """OIHW -> HWIO, and OI -> IO. A depthwise kernel is [channels, 1, k, k] there."""
    del is_depthwise
    return kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
