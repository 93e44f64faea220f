"""Specs of segmenters against the counts of papers and of released models."""

from mobilenets.networks import complexity
from mobilenets.networks.architectures.deeplab import (
    get_segmenter,
)

FULL, HALF = (1024, 2048), (512, 1024)  # Cityscapes


def counts(name, num_classes, size, **options):
    spec = get_segmenter(name, **options)
    madds = complexity.madds_of_image(spec, *size, num_classes)
    return complexity.params(spec, num_classes), madds


for name, classes, size, options in [
    ("deeplabv3_mobilenet_v1", 21, (513, 513), {}),
    ("deeplabv3_mobilenet_v2", 21, (513, 513), {}),
    ("raspp_mobilenet_v2", 21, (513, 513), {}),
    ("deeplabv3_mobilenet_v1", 21, (513, 513), {"output_stride": 8}),
    ("deeplabv3_mobilenet_v2", 21, (513, 513), {"output_stride": 8}),
    ("raspp_mobilenet_v2", 21, (513, 513), {"output_stride": 8}),
    ("raspp_mobilenet_v2", 19, FULL, {}),
    ("raspp_mobilenet_v2", 19, FULL, {"reduced": True}),
    ("lraspp_mobilenet_v2", 19, FULL, {"filters": 256}),
    ("lraspp_mobilenet_v2", 19, FULL, {}),
    ("raspp_mobilenet_v3_large", 19, FULL, {}),
    ("raspp_mobilenet_v3_large", 19, FULL, {"reduced": True}),
    ("lraspp_mobilenet_v3_large", 19, FULL, {"filters": 256}),
    ("lraspp_mobilenet_v3_large", 19, FULL, {}),
    ("lraspp_mobilenet_v2", 19, FULL, {"width_multiplier": 0.5}),
    ("lraspp_mobilenet_v2", 19, FULL, {"width_multiplier": 0.35}),
    ("lraspp_mobilenet_v3_small", 19, FULL, {}),
    ("lraspp_mobilenet_v3_large", 19, HALF, {}),
    ("lraspp_mobilenet_v3_large", 19, FULL, {"output_stride": 32}),
    ("lraspp_mobilenet_v3_large", 19, HALF, {"output_stride": 32}),
    ("lraspp_mobilenet_v3_small", 19, HALF, {}),
    ("lraspp_mobilenet_v3_small", 19, FULL, {"output_stride": 32}),
    ("lraspp_mobilenet_v3_small", 19, HALF, {"output_stride": 32}),
    ("lraspp_mobilenet_v3_large_torchvision", 21, (520, 520), {}),
    ("deeplabv3_mobilenet_v3_large_torchvision", 21, (520, 520), {}),
    ("deeplabv3_resnet50_torchvision", 21, (520, 520), {}),
]:
    if __name__ == "__main__":
        print(name, options, size, *counts(name, classes, size, **options))
