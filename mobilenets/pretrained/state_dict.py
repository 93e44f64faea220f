"""From the weights of a library to a spec and the variables of its module."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from mobilenets.config.schema import Preprocessing
from mobilenets.errors import UserError, unknown
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import ClassifierSpec
from mobilenets.nn.build import Network, build
from mobilenets.pretrained import heads, prefixes
from mobilenets.pretrained.formats.containers import Choice
from mobilenets.pretrained.formats.read import AVERAGED
from mobilenets.pretrained.libraries import (
    efficientnet_lite_pytorch,
    efficientnet_pytorch,
    keras,
    pretrainedmodels,
    tf_detection,
    tf_slim,
    timm,
    torchvision,
)
from mobilenets.pretrained.library import Library, Model, Weights

LIBRARIES = {
    "efficientnet_lite_pytorch": efficientnet_lite_pytorch.LIBRARY,
    "efficientnet_pytorch": efficientnet_pytorch.LIBRARY,
    "keras": keras.LIBRARY,
    "tf-detection": tf_detection.LIBRARY,
    "pretrainedmodels": pretrainedmodels.LIBRARY,
    "tf-slim": tf_slim.LIBRARY,
    "timm": timm.LIBRARY,
    "torchvision": torchvision.LIBRARY,
}


def find_model(library: str, model: str) -> tuple[Library, Model]:
    """A library, and a model by its name there.

    Args:
      library: a key of `LIBRARIES`.
      model: the name. In timm's, the tag of the weights may follow:
        "efficientnet_b0.ra_in1k".

    Raises:
      UserError: there is no such library or model.
    """
    if library not in LIBRARIES:
        raise unknown("library", library, LIBRARIES)
    models = LIBRARIES[library].models
    name = model.partition(".")[0] if library == "timm" else model
    if name not in models:
        raise unknown(f"model of {library}", model, models)
    return LIBRARIES[library], models[name]


def from_state_dict(
    state: Mapping[str, Any], library: str, model: str, choice: Choice = AVERAGED
) -> tuple[Network, dict[str, Any], Preprocessing]:
    """The network with the weights of another library's model.

    The names may have a prefix, see `prefixes`. Where the head is not the library's,
    but one dense layer on the same features, it is taken with its classes. Where there
    is none or another one, the network is a backbone, without classes. A segmenter has
    an auxiliary head if its weights are there.

    Args:
      state: the arrays by the library's keys, in its layout: `model.state_dict()` for
        timm and torchvision, `{w.path: w.numpy() for w in model.weights}` for Keras 3.
      library: a key of `LIBRARIES`, such as "timm".
      model: the model's name in that library: "tf_efficientnet_b0", "resnet50". For
        Keras, the call that builds it, without default arguments: "EfficientNetB0",
        "MobileNetV3Large(minimalistic=True)".
      choice: of the weights where the network is there several times; is told what is
        taken.

    Returns:
      spec: the network; the number of classes is that of the logits in the variables.
      variables: {"params": ..., "batch_stats": ...} for `apply` of its module, see
        `build`.
      preprocessing: what the weights expect, at `spec.resolution`, according to the
        library: for timm that of the default weights of the name
        (`resolve_data_config`), for torchvision that of its first weights,
        IMAGENET1K_V1 (for V2 see its documentation). For Keras see `keras.py`.

    Raises:
      UserError: the library or model is unknown; a key is missing, has another shape,
        or does not belong to the model.
    """
    source, entry = find_model(library, model)
    reader = _Reader(source.clean(state), entry, source, model, choice)
    preprocessing = reader.preprocessing()
    variables = reader.backbone()
    spec, head = reader.head()
    variables["params"] |= head
    return spec, variables, preprocessing


class _Reader:
    """Takes the variables of one model out of its weights."""

    def __init__(
        self,
        arrays: Mapping[str, Any],
        model: Model,
        library: Library,
        name: str,
        choice: Choice,
    ):
        self._model, self._library = model, library
        self._tell = choice.tell
        self._names = model.names(model.spec)
        if isinstance(model.spec, SegmenterSpec) and not self._has_auxiliary(arrays):
            spec = dataclasses.replace(model.spec, auxiliary=None)
            self._model = model = dataclasses.replace(model, spec=spec)
        self._shapes = _shapes(self._taken_whole)
        paths, _ = zip(*jax.tree.leaves_with_path(self._shapes), strict=True)
        keys = [self._key(*_layer_and_variable(path)) for path in paths]
        keys.sort(key=lambda key: not key.startswith(self._names["stem"][0]))
        self._weights = Weights(prefixes.without(arrays, keys, choice), name)
        if not isinstance(model.spec, ClassifierSpec):
            key = self._key(model.spec.output_layer, "bias")
            classes = model.spec.num_classes(self._weights.size(key))
            if classes < 1:
                raise UserError(
                    f"The key {key} of the weights is too short for a class."
                )
            self._shapes = _shapes(model.spec, classes)

    @property
    def _taken_whole(self) -> Network:
        """What all variables must be there of: of a classifier, the backbone."""
        spec = self._model.spec
        return spec.backbone if isinstance(spec, ClassifierSpec) else spec

    def preprocessing(self) -> Preprocessing:
        """The model's; some have it among their weights."""
        if not self._model.read_normalization:
            return self._model.preprocessing
        values = self._model.read_normalization(self._weights)
        return self._model.preprocessing.model_copy(update=values)

    def backbone(self) -> dict[str, Any]:
        """The variables of `_taken_whole`, as `init` returns them."""

        def take(path: tuple, wanted: jax.ShapeDtypeStruct) -> np.ndarray:
            return self._take(*_layer_and_variable(path), wanted.shape)

        return jax.tree.map_with_path(take, self._shapes)

    def head(self) -> tuple[Network, dict[str, Any]]:
        """The network as its head is, and the parameters of a classifier's head.

        Raises:
          UserError: arrays are left that are no head.
        """
        spec, params = self._model.spec, {}
        if not isinstance(spec, ClassifierSpec):
            self._weights.check_all_taken()
            return spec, {}
        features = spec.backbone.feature_channels
        if spec.head_dense_channels:
            if self._has_head_dense(features, spec.head_dense_channels):
                features = spec.head_dense_channels
                params["head_dense"] = self._take_head_dense(spec)
            else:
                spec = dataclasses.replace(spec, head_dense_channels=0)
        if self._has_logits(features):
            outputs = (self._shape("logits") or (0,))[-1]
            kernel = self._take("logits", "kernel", (features, outputs))
            bias = self._take("logits", "bias", kernel.shape[1:])
            self._weights.check_all_taken()
            return spec, params | {"logits": {"kernel": kernel, "bias": bias}}
        dense = heads.dense_on(self._weights, self._library, features)
        if dense:
            self._tell(
                f"The head is {dense.in_words}: it is taken as one dense layer on the "
                "means of the features."
            )
            logits = heads.take(self._weights, self._library, dense)
            return spec, params | {"logits": logits}
        self._leave_out_head([self._names[layer][0] for layer in params])
        return spec.backbone, {}

    def _leave_out_head(self, taken: list[str]) -> None:
        """Raises UserError unless what is left is a head; says what is left out.

        Args:
          taken: modules of the head that were there.
        """
        layers = self._names.keys() - {"head_dense", "logits"}
        modules = [module for layer in layers for module in self._names[layer]]
        if not heads.are_of_a_head(self._weights, self._library, modules):
            self._weights.check_all_taken()
        left = [*taken, *self._weights.left]
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        what = f" Left out: {', '.join(left[:5])}{more}." if left else ""
        self._tell(
            f"The weights have no head that is known here.{what} The network is a "
            "backbone, for `features` and init_from."
        )

    def _has_auxiliary(self, arrays: Mapping[str, Any]) -> bool:
        """Whether anything of a segmenter's auxiliary head is there."""
        modules = [
            f"{module}{self._library.separator}"
            for layer, modules in self._names.items()
            for module in modules
            if layer.startswith("auxiliary/")
        ]
        return any(module in key for module in modules for key in arrays)

    def _has_logits(self, features: int) -> bool:
        """Whether the head ends as the library's, on that many features.

        Several layers of the user's own in the place of its head, such as torchvision's
        "classifier", may be called like it.
        """
        module = self._names["logits"][0]
        parent = module.rpartition(self._library.separator)[0]
        own = {self._key("logits", variable) for variable in ("kernel", "bias")}
        others = self._weights.left.keys() - own
        beside = f"{parent}{self._library.separator}"
        if parent and any(key.startswith(beside) for key in others):
            return False
        shape = self._shape("logits")
        if shape and features not in shape:  # on a map instead of its means
            return False
        return not own.isdisjoint(self._weights.left)

    def _has_head_dense(self, features: int, dense: int) -> bool:
        """Whether the dense layer before the logits is there, or must be.

        A head of the user's own on the features may be in its place.
        """
        if shape := self._shape("head_dense"):
            return shape == (features, dense)
        return (self._shape("logits") or (0,))[0] == dense

    def _take_head_dense(self, spec: ClassifierSpec) -> dict[str, Any]:
        shape = (spec.backbone.feature_channels, spec.head_dense_channels)
        params = {"kernel": self._take("head_dense", "kernel", shape)}
        if spec.head_dense_bias:
            params["bias"] = self._take("head_dense", "bias", shape[1:])
        return params

    def _shape(self, layer: str) -> tuple[int, ...]:
        """Of the kernel of a dense layer; () if it is not there."""
        key = self._key(layer, "kernel")
        if key not in self._weights.left:
            return ()
        return heads.shape_in_our_layout(self._weights, key, self._library)

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


@functools.lru_cache(maxsize=8)
def _shapes(spec: Network, outputs: int = 1) -> dict[str, Any]:
    """Of the variables of a network; Linen takes a second to say them."""
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    return jax.eval_shape(build(spec, outputs).init, jax.random.key(0), image)


def _layer_and_variable(path: Iterable[Any]) -> tuple[str, str]:
    """Splits the path of a variable.

    >>> key = jax.tree_util.DictKey
    >>> _layer_and_variable(map(key, ["params", "block3", "expand", "conv", "kernel"]))
    ('block3/expand', 'conv/kernel')
    >>> _layer_and_variable(map(key, ["params", "block3", "se", "reduce", "bias"]))
    ('block3/se/reduce', 'bias')
    """
    parts = [part.key for part in path]
    start = -2 if parts[-2] in ("conv", "bn") else -1
    return "/".join(parts[1:start]), "/".join(parts[start:])
