"""Efficient vision networks in JAX and Flax, exact to the papers' released models.

import mobilenets
model = mobilenets.create_model("mobilenet_v2", num_classes=10)
config = mobilenets.load_config("quickstart")
results = mobilenets.train(config, "runs/quickstart")
"""

import importlib
from typing import TYPE_CHECKING, Any

from mobilenets.errors import UserError
from mobilenets.networks.architectures import ARCHITECTURES, get_spec, replace
from mobilenets.networks.architectures.ssd import DETECTORS, get_detector
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.spec import BackboneSpec, ClassifierSpec

if TYPE_CHECKING:
    from mobilenets import pretrained
    from mobilenets.api import evaluate, load, load_config, save, train
    from mobilenets.data.sources.arrays import ArraySource
    from mobilenets.networks import complexity, scaling
    from mobilenets.nn.backbone import Backbone, create_backbone
    from mobilenets.nn.classifier import Classifier, create_model
    from mobilenets.nn.detector import Detector

__version__ = "0.1.0"
__all__ = [
    "ARCHITECTURES",
    "DETECTORS",
    "ArraySource",
    "Backbone",
    "BackboneSpec",
    "Classifier",
    "ClassifierSpec",
    "Detector",
    "DetectorSpec",
    "UserError",
    "complexity",
    "create_backbone",
    "create_model",
    "evaluate",
    "get_detector",
    "get_spec",
    "load",
    "load_config",
    "pretrained",
    "replace",
    "save",
    "scaling",
    "train",
]

# What is imported when it is first asked for, since it takes time or needs JAX: modules
# by name, and the modules that hold the others.
_MODULES = {
    "complexity": "mobilenets.networks.complexity",
    "pretrained": "mobilenets.pretrained",
    "scaling": "mobilenets.networks.scaling",
}
_HOLDERS = {
    "ArraySource": "mobilenets.data.sources.arrays",
    "Backbone": "mobilenets.nn.backbone",
    "Classifier": "mobilenets.nn.classifier",
    "Detector": "mobilenets.nn.detector",
    "create_backbone": "mobilenets.nn.backbone",
    "create_model": "mobilenets.nn.classifier",
    "evaluate": "mobilenets.api",
    "load": "mobilenets.api",
    "load_config": "mobilenets.api",
    "save": "mobilenets.api",
    "train": "mobilenets.api",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOLDERS:
        return getattr(importlib.import_module(_HOLDERS[name]), name)
    raise AttributeError(f"module 'mobilenets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
