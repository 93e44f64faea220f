"""The anchors of an image: SSD, arXiv:1512.02325, Sec. 2.2."""

import numpy as np

from mobilenets.networks.detector import DetectorSpec


def anchor_boxes(spec: DetectorSpec) -> np.ndarray:
    """Every anchor of an image of `spec.resolution`, in the order of the outputs.

    Feature map by feature map, row by row, pixel by pixel. They may extend beyond the
    image.

    Args:
      spec: the detector.

    Returns:
      [anchors, 4] float32: top, left, bottom and right as fractions of the image.

    >>> from mobilenets.networks.architectures.ssd import get_detector
    >>> anchor_boxes(get_detector("ssdlite_mobilenet_v2", resolution=300)).shape
    (1917, 4)
    """
    maps = zip(spec.maps, spec.anchors, strict=True)
    return np.concatenate(
        [_of_map(size, np.array(shapes)) for (size, _), shapes in maps]
    ).astype(np.float32)


def _of_map(size: int, shapes: np.ndarray) -> np.ndarray:
    """[size * size * shapes, 4], centred on the pixels of a map."""
    middles = (np.arange(size) + 0.5) / size
    y, x = np.meshgrid(middles, middles, indexing="ij")
    centres = np.stack([y, x], axis=-1)[:, :, None]
    corners = np.concatenate([centres - shapes / 2, centres + shapes / 2], axis=-1)
    return corners.reshape(-1, 4)
