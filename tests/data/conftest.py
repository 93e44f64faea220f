"""Photographs with boxes, as annotation tools write them."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def painted():
    """An image, black but for a white box given as y_min, x_min, y_max, x_max."""

    def painted(width, height, box=None):
        pixels = np.zeros((height, width, 3), np.uint8)
        if box:
            y_min, x_min, y_max, x_max = box
            pixels[y_min:y_max, x_min:x_max] = 255
        return Image.fromarray(pixels)

    return painted


@pytest.fixture
def painted_box():
    """Where an image is white, as `painted` takes it."""

    def painted_box(pixels):
        rows, columns = np.nonzero(np.asarray(pixels)[..., 0] > 125)
        return [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]

    return painted_box


@pytest.fixture
def line(capsys):
    """What is printed at opening, in one line."""
    return lambda: " ".join(capsys.readouterr().out.split())


@pytest.fixture
def coco(tmp_path, painted):
    """Writes SPLIT/_annotations.coco.json and its photographs; gives the root.

    It is called with the boxes of each photograph by its name, (category id, x, y,
    width, height), the names of the categories by their ids, and the split.
    """

    def coco(boxes, categories=None, split="train"):
        folder = tmp_path / split
        folder.mkdir(parents=True, exist_ok=True)
        images, annotations = [], []
        for image_id, (name, of_image) in enumerate(boxes.items(), start=7):
            painted(40, 30).save(folder / name)
            size = {"width": 40, "height": 30}
            images.append({"id": image_id, "file_name": name, **size})
            for category, *bbox in of_image:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": category,
                        "bbox": bbox,
                        "iscrowd": 0,
                    }
                )
        categories = categories or {3: "cat", 5: "dog"}
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i, "name": n} for i, n in categories.items()],
        }
        path = folder / "_annotations.coco.json"
        path.write_text(json.dumps(content))
        return tmp_path

    return coco
