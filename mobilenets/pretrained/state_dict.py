"""From the weights of a library to a spec and the variables of its module."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mobilenets.config.schema import Preprocessing
from mobilenets.errors import unknown
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.spec import ClassifierSpec
from mobilenets.nn.build import build
from mobilenets.pretrained.libraries import (
    efficientnet_lite_pytorch,
    keras,
    tf_detection,
    tf_slim,
    timm,
    torchvision,
)
from mobilenets.pretrained.library import Library, Model, Weights

LIBRARIES = {
    "efficientnet_lite_pytorch": efficientnet_lite_pytorch.LIBRARY,
    "keras": keras.LIBRARY,
    "tf-detection": tf_detection.LIBRARY,
    "tf-slim": tf_slim.LIBRARY,
    "timm": timm.LIBRARY,
    "torchvision": torchvision.LIBRARY,
}


def from_state_dict(
    state: Mapping[str, Any], library: str, model: str
) -> tuple[ClassifierSpec | DetectorSpec, dict[str, Any], Preprocessing]:
    """The network with the weights of another library's model.

    Args:
      state: the arrays by the library's keys, in its layout: `model.state_dict()` for
        timm and torchvision, `{w.path: w.numpy() for w in model.weights}` for Keras 3.
      library: a key of `LIBRARIES`, such as "timm".
      model: the model's name in that library: "tf_efficientnet_b0", "resnet50". For
        Keras, the call that builds it, without default arguments: "EfficientNetB0",
        "MobileNetV3Large(minimalistic=True)".

    Returns:
      spec: the network; the number of classes is that of the logits in the variables.
      variables: {"params": ..., "batch_stats": ...} for `Classifier.apply` or
        `Detector.apply`.
      preprocessing: what the weights expect, at `spec.resolution`, according to the
        library: for timm that of the default weights of the name
        (`resolve_data_config`), for torchvision that of its first weights,
        IMAGENET1K_V1 (for V2 see its documentation). For Keras see `keras.py`.

    Raises:
      UserError: the library or model is unknown; a key is missing, has another shape,
        or does not belong to the model.
    """
    if library not in LIBRARIES:
        raise unknown("library", library, LIBRARIES)
    source = LIBRARIES[library]
    if model not in source.models:
        raise unknown(f"model of {library}", model, source.models)
    entry = source.models[model]
    weights = Weights(source.clean(state), model)
    preprocessing = entry.preprocessing
    if entry.read_normalization:
        normalization = entry.read_normalization(weights)
        preprocessing = preprocessing.model_copy(update=normalization)
    variables = _Reader(weights, entry, source).variables()
    weights.check_all_taken()
    return entry.spec, variables, preprocessing


class _Reader:
    """Takes the variables of one model out of its weights."""

    def __init__(self, weights: Weights, model: Model, library: Library):
        self._weights, self._model, self._library = weights, model, library
        self._names = model.names(model.spec)

    def variables(self) -> dict[str, Any]:
        """All of them, as `init` of the module would return them."""
        network = build(self._model.spec, self._num_classes())
        image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
        shapes = jax.eval_shape(network.init, jax.random.key(0), image)

        def take(path: tuple, wanted: jax.ShapeDtypeStruct) -> np.ndarray:
            layer, variable = _layer_and_variable([part.key for part in path])
            return self._take(layer, variable, wanted.shape)

        return jax.tree.map_with_path(take, shapes)

    def _num_classes(self) -> int:
        spec = self._model.spec
        if isinstance(spec, DetectorSpec):
            key = self._key("class_predictor0/output", "bias")
            return spec.num_classes(self._weights.size(key))
        return self._weights.size(self._key("logits", "bias"))

    def _key(self, layer: str, variable: str) -> str:
        """The library's key of one of our variables."""
        module = self._names[layer][1 if variable.startswith("bn/") else 0]
        name = self._library.variables[variable]
        return f"{module}{self._library.separator}{name}"

    def _take(self, layer: str, variable: str, shape: tuple[int, ...]) -> np.ndarray:
        if variable.endswith("kernel"):
            return self._take_kernel(layer, variable, shape)
        value = self._weights.take(self._key(layer, variable), shape)
        if variable == "bn/mean" and self._model.conv_biases:
            # (x + bias) - mean = x - (mean - bias)
            value = value - self._weights.take(self._key(layer, "conv/bias"), shape)
        return value

    def _take_kernel(
        self, layer: str, variable: str, shape: tuple[int, ...]
    ) -> np.ndarray:
        is_depthwise = layer.endswith("/depthwise")

        def to_our_layout(kernel: np.ndarray) -> np.ndarray:
            kernel = self._library.kernel_layout(kernel, is_depthwise)
            # Of a 1x1 convolution that is a dense layer here.
            is_pointwise = kernel.ndim == 4 and kernel.shape[:2] == (1, 1)
            return kernel[0, 0] if is_pointwise and len(shape) == 2 else kernel

        kernel = self._weights.take(self._key(layer, variable), shape, to_our_layout)
        takes_bgr = self._model.channel_order == "BGR"
        return kernel[:, :, ::-1] if takes_bgr and layer == "stem" else kernel


def _layer_and_variable(path: list[str]) -> tuple[str, str]:
    """Splits the path of a variable.

    >>> _layer_and_variable(["params", "block3", "expand", "conv", "kernel"])
    ('block3/expand', 'conv/kernel')
    >>> _layer_and_variable(["params", "block3", "se", "reduce", "bias"])
    ('block3/se/reduce', 'bias')
    """
    start = -2 if path[-2] in ("conv", "bn") else -1
    return "/".join(path[1:start]), "/".join(path[start:])
