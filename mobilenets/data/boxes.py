"""The boxes of an image: where objects are, and of which class."""

import dataclasses

import numpy as np

from mobilenets.data.geometry import Geometry


@dataclasses.dataclass(frozen=True, eq=False)
class Boxes:
    """The target of an image for detection: n boxes.

    A box covers y_min to y_max and x_min to x_max of the upright image, in pixels from
    its upper left corner; the first pixel covers 0 to 1. This is TensorFlow Object
    Detection's order.

    The masks of instances will be one more array here.
    """

    corners: np.ndarray  # [n, 4] float32: y_min, x_min, y_max, x_max
    classes: np.ndarray  # [n] int32
    # A box around many objects of a class, which are not marked one by one. Whatever is
    # detected in it counts neither for nor against the detector.
    crowd: np.ndarray  # [n] bool
    # In square pixels; of the object itself, not its box, where that is known. COCO's
    # small, medium and large objects are told apart by it.
    area: np.ndarray  # [n] float32

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, chosen: np.ndarray | slice) -> "Boxes":
        """Some of the boxes.

        Args:
          chosen: indices, a mask or a slice.
        """
        return Boxes(*(getattr(self, f.name)[chosen] for f in dataclasses.fields(self)))

    def scaled(self, y: float, x: float) -> "Boxes":
        """The boxes of the same image with another size.

        Args:
          y: by what heights are multiplied.
          x: by what widths are multiplied.
        """
        corners = self.corners * np.array([y, x, y, x], np.float32)
        return dataclasses.replace(
            self, corners=corners, area=self.area * np.float32(y * x)
        )

    def padded(self, most: int) -> dict[str, np.ndarray]:
        """Arrays of a fixed size for a batch; what is left over is 0.

        Args:
          most: how many boxes there is room for; of more, the first ones are taken.

        Returns:
          "boxes" [most, 4] float32, "classes" [most] int32, "crowd" [most] bool, "area"
          [most] float32 and "valid" [most] bool, true for a box.
        """
        taken = self[:most]
        arrays = {
            "boxes": taken.corners,
            "classes": taken.classes,
            "crowd": taken.crowd,
            "area": taken.area,
            "valid": np.ones(len(taken), bool),
        }
        return {key: _filled_up(array, most) for key, array in arrays.items()}


def boxes_of(
    corners: np.ndarray | list,
    classes: np.ndarray | list,
    crowd: np.ndarray | list | None = None,
    area: np.ndarray | list | None = None,
) -> Boxes:
    """Boxes of anything that becomes the arrays.

    Args:
      corners: [n, 4]: y_min, x_min, y_max, x_max.
      classes: [n].
      crowd: [n]; None: no crowds.
      area: [n]; None: the area of each box.

    >>> boxes_of([[1, 2, 4, 8]], [0]).area.tolist()
    [18.0]
    """
    corners = np.asarray(corners, np.float32).reshape(-1, 4)
    if area is None:
        area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    if crowd is None:
        crowd = np.zeros(len(corners), bool)
    return Boxes(
        corners,
        np.asarray(classes, np.int32),
        np.asarray(crowd, bool),
        np.asarray(area, np.float32),
    )


def seen(boxes: Boxes, geometry: Geometry) -> Boxes:
    """What a change of an image makes of its boxes: those of which it shows the centre.

    They are clipped to what is shown, and fractions of the window: y_min, x_min, y_max,
    x_max of 0 to 1, and areas as parts of its area. SSD, arXiv:1512.02325, Sec. 2.2:
    "We keep the overlapped part of the ground truth box if the center of it is in the
    sampled patch."
    """
    corners = geometry.move(boxes.corners)
    start, stop = geometry.shown[:2], geometry.shown[2:]
    centers = (corners[:, :2] + corners[:, 2:]) / 2
    clipped = corners.reshape(-1, 2, 2).clip(start, stop).reshape(-1, 4)
    window = geometry.to_image[0]  # height and width in pixels of the image
    moved = Boxes(clipped, boxes.classes, boxes.crowd, boxes.area / window.prod())
    return moved[np.all((centers > start) & (centers < stop), axis=1)]


NO_BOXES = boxes_of([], [])


def _filled_up(array: np.ndarray, most: int) -> np.ndarray:
    filled = np.zeros((most, *array.shape[1:]), array.dtype)
    filled[: len(array)] = array
    return filled
