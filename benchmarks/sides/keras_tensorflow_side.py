"""Keras on TensorFlow ("tensorflow"), and its models converted ("litert")."""

import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.sides import keras_models
from benchmarks.sides.keras_models import training as training
from benchmarks.workloads import Network


def start(variant: str) -> dict[str, str]:
    """Where TensorFlow computes; LiteRT's XNNPACK has the processor alone."""
    platform = "gpu" if _gpus() and variant != "litert" else "cpu"
    return {"platform": platform, "kind": platform}


def accelerator_peak(step: Callable[[], Any]) -> int | None:
    """Bytes of the GPU in use at most during a step."""
    if not _gpus():
        return None
    tf.config.experimental.reset_memory_stats("GPU:0")
    step()
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def inference(variant: str, network: Network) -> Callable[[], Any]:
    """The logits."""
    model, images = keras_models.model(network), keras_models.images(network)
    if variant == "litert":
        return _litert(model, images)
    # `predict` would add milliseconds to each call.
    compiled = tf.function(lambda x: model(x, training=False))
    return lambda: compiled(images).numpy()  # the copy waits for the logits


def _litert(model: Any, images: Any) -> Callable[[], Any]:
    """By TensorFlow's own interpreter; XNNPACK is what it uses for float32."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        model.export(path, format="litert", verbose=False)
        interpreter = tf.lite.Interpreter(
            model_content=path.read_bytes(),
            num_threads=int(os.environ["OMP_NUM_THREADS"]),  # it counts no cores
        )
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, images.shape)  # converted for any batch
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, images.numpy())
    return interpreter.invoke


def _gpus() -> list[Any]:
    return tf.config.list_physical_devices("GPU")
