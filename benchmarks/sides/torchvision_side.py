"""torchvision: ssdlite320_mobilenet_v3_large, eager, channels last; transforms."""

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.models import detection

from benchmarks.sides.torch_device import DEVICE, channels_last, wait
from benchmarks.sides.torch_device import accelerator_peak as accelerator_peak
from benchmarks.sides.torch_device import start as start
from benchmarks.workloads import LEARNING_RATE, MOMENTUM, Detector, InputPipeline

Step = Callable[[], Any]
SIDE = 320  # pixels


def detector_training(variant: str, workload: Detector) -> Step:
    """An update by SGD with momentum: matching, mining, losses, batch statistics."""
    model, images = _model(workload)
    model.train()
    targets = [_target(workload, image) for image in range(workload.batch)]
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def step():
        optimizer.zero_grad(set_to_none=True)
        sum(model(images, targets).values()).backward()
        optimizer.step()
        wait()

    return step


def detector_inference(variant: str, workload: Detector) -> Step:
    """The detections, non-maximum suppression included."""
    model, images = _model(workload)
    model.eval()
    with torch.no_grad():
        for predictor in model.head.classification_head.module_list:
            bias = predictor[-1].bias
            values = torch.tensor(workload.BIASES, device=DEVICE)
            bias.copy_(values.repeat(len(bias) // len(values)))

    def step():
        with torch.inference_mode():
            detections = model(images)
        wait()
        return detections

    return step


def input_pipeline(variant: str, workload: InputPipeline) -> Step:
    """Pillow's images by a `DataLoader`, as in timm and torchvision's references."""
    layers, magnitude = workload.RAND_AUGMENT
    policy = transforms.RandAugment(layers, magnitude)
    aspect_ratios = 1 / workload.MAX_ASPECT_RATIO, workload.MAX_ASPECT_RATIO
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                workload.resolution, (workload.MIN_AREA, 1), aspect_ratios
            ),
            transforms.RandomHorizontalFlip(),
            *[policy][: workload.rand_augment],
            transforms.PILToTensor(),  # uint8: an accelerator normalises
        ]
    )
    images = torchvision.datasets.ImageFolder(workload.folder, transform)
    loader = DataLoader(
        images,
        workload.batch,
        sampler=RandomSampler(images, num_samples=2**30),  # endless
        num_workers=workload.workers,
    )
    batches = iter(loader)

    def step():
        for _ in range(workload.BATCHES):
            next(batches)

    return step


def _model(workload: Detector) -> tuple[Any, list[torch.Tensor]]:
    """The model with random weights, and images of 0 to 1, which it normalises."""
    model = detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=workload.CLASSES + 1
    )
    images = torch.rand(workload.batch, 3, SIDE, SIDE, device=DEVICE)
    model = model.to(DEVICE, memory_format=torch.channels_last)
    return model, list(channels_last(images))


def _target(workload: Detector, image: int) -> dict[str, torch.Tensor]:
    corners = torch.tensor(workload.corners(image), device=DEVICE) * SIDE
    return {
        "boxes": corners,
        "labels": torch.tensor(workload.classes(image), device=DEVICE),
    }
