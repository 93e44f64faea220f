"""TensorFlow's input pipeline, tf.data."""

import glob
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.sides.keras_tensorflow_side import accelerator_peak as accelerator_peak
from benchmarks.sides.keras_tensorflow_side import start as start
from benchmarks.workloads import InputPipeline


def input_pipeline(variant: str, workload: InputPipeline) -> Callable[[], Any]:
    """Decodes the crop alone, as big_vision and TF-Vision do; bilinear, not smoothed.

    RandAugment is Keras', of which the operations differ a little.
    """
    files = sorted(glob.glob(f"{workload.folder}/*/*.jpg"))
    policy = _rand_augment(workload) if workload.rand_augment else None

    def load(file):
        content = tf.io.read_file(file)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(content),
            tf.zeros([0, 0, 4]),
            area_range=(workload.MIN_AREA, 1),
            aspect_ratio_range=(
                1 / workload.MAX_ASPECT_RATIO,
                workload.MAX_ASPECT_RATIO,
            ),
            min_object_covered=0,
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.concat([begin[:2], size[:2]], 0)
        image = tf.io.decode_and_crop_jpeg(content, window, channels=3)
        image = tf.image.resize(image, [workload.resolution] * 2)
        image = tf.image.random_flip_left_right(image)
        if policy:
            image = policy(image)
        return tf.cast(image, tf.uint8)

    parallel = tf.data.AUTOTUNE
    images = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files)).repeat()
    images = images.map(load, num_parallel_calls=parallel)
    batches = iter(images.batch(workload.batch).prefetch(parallel))

    def step():
        for _ in range(workload.BATCHES):
            next(batches)

    return step


def _rand_augment(workload: InputPipeline) -> Any:
    """Keras counts magnitudes from 0 to 1."""
    import keras

    layers, magnitude = workload.RAND_AUGMENT
    return keras.layers.RandAugment(
        value_range=(0, 255), num_ops=layers, factor=magnitude / 10
    )
