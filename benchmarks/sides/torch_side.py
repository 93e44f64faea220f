"""torch with timm's networks, channels last, in four variants.

"eager"; "jit", through `torch.jit`; "compile", through `torch.compile`, for inference
with frozen weights; "amp", the same in mixed precision (bfloat16 on a CPU, float16 with
a gradient scaler on a GPU).
"""

from collections.abc import Callable
from typing import Any

import timm
import torch
import torch._inductor.config

from benchmarks.sides.torch_device import DEVICE, channels_last, wait
from benchmarks.sides.torch_device import accelerator_peak as accelerator_peak
from benchmarks.sides.torch_device import start as start
from benchmarks.workloads import (
    CLASSES,
    LEARNING_RATE,
    MOMENTUM,
    NAMES,
    Depthwise,
    Network,
    Segmentation,
)

Step = Callable[[], Any]


def training(variant: str, network: Network) -> Step:
    """An update by SGD with momentum, batch statistics included."""
    model, images = _model(network)
    labels = torch.arange(network.batch, device=DEVICE) % CLASSES
    return _update(variant, model, images, labels)


def segmentation_training(variant: str, workload: Segmentation) -> Step:
    """As `training`, with a label for every pixel."""
    model, images = _segmenter(workload)
    labels = torch.arange(images[:, 0].numel(), device=DEVICE) % workload.classes
    return _update(variant, model, images, labels.reshape(images[:, 0].shape))


def _update(
    variant: str, model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> Step:
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    if variant in ("compile", "amp"):
        model = torch.compile(model)
    is_mixed = variant == "amp"
    scaler = torch.amp.GradScaler(enabled=is_mixed and DEVICE.type == "cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE.type, enabled=is_mixed):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        wait()

    return step


def inference(variant: str, network: Network) -> Step:
    """The logits."""
    return _evaluation(variant, *_model(network))


def segmentation_inference(variant: str, workload: Segmentation) -> Step:
    """The logits of every pixel."""
    return _evaluation(variant, *_segmenter(workload))


def _evaluation(variant: str, model: Any, images: torch.Tensor) -> Step:
    model.eval()
    if variant == "jit":
        with torch.inference_mode():
            model = torch.jit.optimize_for_inference(
                torch.jit.freeze(torch.jit.trace(model, images))
            )
    if variant in ("compile", "amp"):
        torch._inductor.config.freezing = True  # weights are constants, as in ours
        model = torch.compile(model)

    def step():
        with (
            torch.inference_mode(),
            torch.autocast(DEVICE.type, enabled=variant == "amp"),
        ):
            model(images)
        wait()

    return step


def depthwise_forward(variant: str, workload: Depthwise) -> Step:
    """The convolution."""
    convolve, x, _ = _depthwise(workload)

    def step():
        with torch.inference_mode():
            convolve(x)
        wait()

    return step


def depthwise_training(variant: str, workload: Depthwise) -> Step:
    """The convolution and the gradients of its input and kernel."""
    convolve, x, kernel = _depthwise(workload)
    x.requires_grad_()
    kernel.requires_grad_()
    cotangent = torch.randn_like(convolve(x))  # randn_like keeps channels last

    def step():
        torch.autograd.grad(convolve(x), (x, kernel), cotangent)
        wait()

    return step


def _model(network: Network) -> tuple[Any, torch.Tensor]:
    """The model of timm and the images."""
    model = timm.create_model(
        NAMES[network.model].timm,
        num_classes=CLASSES,
        drop_rate=network.dropout_rate,
        drop_path_rate=network.drop_path_rate,
    )
    shape = (network.batch, 3, network.resolution, network.resolution)
    return (
        model.to(DEVICE, memory_format=torch.channels_last),
        channels_last(torch.randn(shape, device=DEVICE)),
    )


class _LogitsAlone(torch.nn.Module):
    """A segmenter of torchvision without the dictionary around its logits."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images)["out"]


def _segmenter(workload: Segmentation) -> tuple[Any, torch.Tensor]:
    """The model of torchvision and the images."""
    from torchvision.models import segmentation  # pyright: ignore[reportMissingImports]

    model = getattr(segmentation, workload.model)(
        weights=None, weights_backbone=None, num_classes=workload.classes
    )
    shape = (workload.batch, 3, workload.resolution, workload.resolution)
    return (
        _LogitsAlone(model).to(DEVICE, memory_format=torch.channels_last),
        channels_last(torch.randn(shape, device=DEVICE)),
    )


def _depthwise(workload: Depthwise) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """The convolution as a function of the input, an input and the kernel."""
    k, channels, size = workload.kernel_size, workload.channels, workload.size
    x = channels_last(torch.randn(workload.batch, channels, size, size, device=DEVICE))
    kernel = channels_last(torch.randn(channels, 1, k, k, device=DEVICE))

    def convolve(x):
        return torch.nn.functional.conv2d(
            x,
            kernel,
            stride=workload.stride,
            padding=k // 2,
            groups=channels,
        )

    return convolve, x, kernel
