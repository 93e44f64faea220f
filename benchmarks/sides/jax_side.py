"""Our networks: "auto", as they are; "bfloat16", computed in that; "native", as Flax's.

Stock is the same `Classifier` with XLA's own grouped convolution and `nn.BatchNorm`.
"""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import mobilenets
from benchmarks.workloads import (
    CLASSES,
    LEARNING_RATE,
    MOMENTUM,
    Copy,
    Depthwise,
    Detector,
    InputPipeline,
    MatrixProduct,
    Network,
    Segmentation,
)
from mobilenets.config.schema import Flip, Preprocessing, RandAugment, RandomCrop
from mobilenets.data import pipeline
from mobilenets.data.loading import ImageLoader
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.folder import FolderSource
from mobilenets.detection import losses, matching
from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.losses import detection_loss
from mobilenets.detection.matching import assign
from mobilenets.detection.postprocessing import detect
from mobilenets.networks.architectures.deeplab import get_segmenter
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.nn.build import build
from mobilenets.nn.classifier import Classifier
from mobilenets.nn.depthwise import depthwise_conv
from mobilenets.nn.initialization import init_variables
from mobilenets.nn.normalization import normalize
from mobilenets.runtime import host_memory

Step = Callable[[], Any]


def start(variant: str) -> dict[str, str]:
    """Prepares the process; where JAX computes."""
    if variant != "native":
        host_memory.use_huge_pages()  # as our scripts do
    return {"platform": jax.default_backend(), "kind": jax.devices()[0].device_kind}


def accelerator_peak(step: Step) -> int | None:
    """Bytes of the accelerator in use at most since the process began."""
    step()
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use")


def use_cache(folder: str) -> None:
    """Keeps everything that is compiled in the folder, however small it is."""
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def training(variant: str, network: Network) -> Step:
    """An update by SGD with momentum, batch statistics included."""
    return _again_and_again(*_training(variant, network))


def inference(variant: str, network: Network) -> Step:
    """The logits."""
    compiled, arguments = _inference(variant, network)
    return lambda: jax.block_until_ready(compiled(*arguments))


def detector_training(variant: str, workload: Detector) -> Step:
    """An update by SGD with momentum: torchvision's matching, mining and losses."""
    return _again_and_again(*_detector_training(variant, workload))


def detector_inference(variant: str, workload: Detector) -> Step:
    """The detections, non-maximum suppression included."""
    model, variables, images = _detector(variant, workload)
    params = dict(variables["params"])
    for i, anchors in enumerate(model.spec.anchors):
        name = f"class_predictor{i}"
        output = params[name]["output"]
        bias = jnp.tile(jnp.array(workload.BIASES), len(anchors))
        params[name] = {**params[name], "output": {**output, "bias": bias}}
    variables = {**variables, "params": params}
    anchors = jnp.asarray(anchor_boxes(model.spec))

    @jax.jit
    def detections(images):
        raw, _ = model.apply(variables, normalize(images, Preprocessing()))
        return detect(raw.box_codes, raw.class_logits, anchors, model.spec)

    return lambda: jax.block_until_ready(detections(images))


def input_pipeline(variant: str, workload: InputPipeline) -> Step:
    """Batches by threads, or by processes if the variant is "workers"."""
    path = pathlib.Path(workload.folder)
    source = FolderSource(str(path.parent), path.name)
    crop = RandomCrop(
        min_area=workload.MIN_AREA, max_aspect_ratio=workload.MAX_ASPECT_RATIO
    )
    layers, magnitude = workload.RAND_AUGMENT
    policy = RandAugment(layers=layers, magnitude=magnitude)
    images = ImageLoader(
        workload.resolution,
        Preprocessing(),
        (crop, Flip(), *[policy][: workload.rand_augment]),
        source.upright,
    )

    def load(record: Record, rng: np.random.Generator) -> dict[str, Any]:
        return {"image": images.augmented(record, rng), "label": record.target}

    workers = workload.workers if variant == "workers" else 0
    batches = pipeline.train_batches(source, load, workload.batch, 0, workers)

    def step():
        for _ in range(workload.BATCHES):
            next(batches)

    return step


def segmentation_training(variant: str, workload: Segmentation) -> Step:
    """As `training`, with a label for every pixel."""
    model, variables, images = _segmenter(variant, workload)
    labels = jnp.arange(images[..., 0].size) % workload.classes
    labels = labels.reshape(images.shape[:3])
    return _again_and_again(
        *_update(model, variables, images, labels, lambda outputs: outputs.logits)
    )


def segmentation_inference(variant: str, workload: Segmentation) -> Step:
    """The logits of every pixel."""
    model, variables, images = _segmenter(variant, workload)
    compiled = jax.jit(lambda x: model.apply(variables, x)[0].logits)
    return lambda: jax.block_until_ready(compiled(images))


def compile_training(variant: str, network: Network) -> Callable[[], dict[str, float]]:
    """Times the phases before the first training step is done, see `_phases`."""
    return lambda: _phases(*_training(variant, network))


def compile_inference(variant: str, network: Network) -> Callable[[], dict[str, float]]:
    """Times the phases before the first logits are there, see `_phases`."""
    return lambda: _phases(*_inference(variant, network))


def depthwise_forward(variant: str, workload: Depthwise) -> Step:
    """The convolution."""
    compiled = jax.jit(_depthwise(variant, workload))
    x, kernel, _ = _depthwise_arrays(workload)
    return lambda: jax.block_until_ready(compiled(x, kernel))


def depthwise_training(variant: str, workload: Depthwise) -> Step:
    """The convolution and the gradients of its input and kernel."""
    convolve = _depthwise(variant, workload)

    @jax.jit
    def forward_and_backward(x, kernel, cotangent):
        y, pull_back = jax.vjp(convolve, x, kernel)
        return y, pull_back(cotangent)

    arrays = _depthwise_arrays(workload)
    return lambda: jax.block_until_ready(forward_and_backward(*arrays))


def matrix_product(variant: str, workload: MatrixProduct) -> Step:
    """In JAX's default precision, which on accelerators may be below float32's."""
    compiled = jax.jit(jnp.dot)
    x = jax.random.normal(jax.random.key(0), (workload.size, workload.size))
    return lambda: jax.block_until_ready(compiled(x, x))


def copy(variant: str, workload: Copy) -> Step:
    """Into memory that has been written before, as new pages cost more than a copy."""

    def write(source, target):  # the result takes the place of the donated target
        return source + 1

    compiled = jax.jit(write, donate_argnums=1, keep_unused=True)
    source = jnp.zeros(workload.elements)
    target = jnp.zeros(workload.elements)

    def step():
        nonlocal target
        target = jax.block_until_ready(compiled(source, target))

    return step


def _training(variant: str, network: Network) -> tuple[Any, tuple]:
    """The jitted training step, and its arguments: state, images and labels."""
    model, variables, images = _model(variant, network)
    labels = jnp.arange(network.batch) % CLASSES
    return _update(model, variables, images, labels, lambda logits: logits)


def _again_and_again(compiled: Any, arguments: tuple) -> Step:
    """A training step that goes on from the state of the one before."""
    state, *batch = arguments

    def step():
        nonlocal state  # the old one is donated
        state = jax.block_until_ready(compiled(state, *batch))

    step()  # compiles
    host_memory.give_back()  # as `mobilenets.training.loop` does
    return step


def _update(
    model: nn.Module,
    variables: Any,
    images: jax.Array,
    labels: jax.Array,
    logits_of: Callable[[Any], jax.Array],
) -> tuple[Any, tuple]:
    """The jitted training step of a model, and its arguments, see `_training`."""
    optimizer = optax.sgd(LEARNING_RATE, MOMENTUM)
    rng = jax.random.key(1)

    def loss_and_statistics(params, batch_stats, images, labels, rng):
        (outputs, _), updated = model.apply(
            {"params": params, "batch_stats": batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": rng},
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(
            logits_of(outputs), labels
        )
        return losses.mean(), updated["batch_stats"]

    def train_step(state, images, labels):
        number, params, batch_stats, opt_state = state
        (loss, batch_stats), grads = jax.value_and_grad(
            loss_and_statistics, has_aux=True
        )(params, batch_stats, images, labels, jax.random.fold_in(rng, number))
        updates, opt_state = optimizer.update(grads, opt_state)
        params = optax.apply_updates(params, updates)
        return (number + 1, params, batch_stats, opt_state), loss

    def keep_state(state, images, labels):
        return train_step(state, images, labels)[0]

    params = variables["params"]
    state = (0, params, variables["batch_stats"], optimizer.init(params))
    state = jax.tree.map(jnp.asarray, state)
    return jax.jit(keep_state, donate_argnums=0), (state, images, labels)


def _inference(variant: str, network: Network) -> tuple[Any, tuple]:
    """The jitted network, and its argument, the images.

    The variables are constants of the program, as in `torch.jit`'s frozen modules and
    LiteRT's files.
    """
    model, variables, images = _model(variant, network)
    return jax.jit(lambda x: model.apply(variables, x)[0]), (images,)


def _model(variant: str, network: Network) -> tuple[Classifier, Any, jax.Array]:
    """The model, its variables and the images."""
    model = mobilenets.create_model(
        network.model,
        CLASSES,
        dtype=jnp.bfloat16 if variant == "bfloat16" else jnp.float32,
        resolution=network.resolution,
    ).clone(lowering="native" if variant == "native" else "auto")
    rng, images_rng = jax.random.split(jax.random.key(0))
    shape = (network.batch, network.resolution, network.resolution, 3)
    images = jax.random.normal(images_rng, shape)
    return model, init_variables(model, rng), images


def _detector_training(variant: str, workload: Detector) -> tuple[Any, tuple]:
    """The jitted training step, and its arguments: the state and the images."""
    model, variables, images = _detector(variant, workload)
    optimizer = optax.sgd(LEARNING_RATE, MOMENTUM)
    anchors = jnp.asarray(anchor_boxes(model.spec))
    every = range(workload.batch)
    corners = jnp.array([workload.corners(image) for image in every])
    boxes = corners[..., jnp.array([1, 0, 3, 2])]  # rows before columns
    classes = jnp.array([workload.classes(image) for image in every]) - 1
    valid = jnp.ones(classes.shape, bool)

    def loss_and_statistics(params, batch_stats, images, rng):
        (raw, _), updated = model.apply(
            {"params": params, "batch_stats": batch_stats},
            normalize(images, Preprocessing()),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": rng},
        )
        coder = model.spec.box_coder
        targets = assign(anchors, boxes, classes, valid, matching.TORCHVISION, coder)
        outputs = (raw.box_codes, raw.class_logits)
        loss, _ = detection_loss(*outputs, targets, anchors, coder, losses.TORCHVISION)
        return loss, updated["batch_stats"]

    def train_step(state, images):
        number, params, batch_stats, opt_state = state
        rng = jax.random.fold_in(jax.random.key(1), number)
        (_, batch_stats), grads = jax.value_and_grad(loss_and_statistics, has_aux=True)(
            params, batch_stats, images, rng
        )
        updates, opt_state = optimizer.update(grads, opt_state)
        return number + 1, optax.apply_updates(params, updates), batch_stats, opt_state

    params = variables["params"]
    state = (0, params, variables["batch_stats"], optimizer.init(params))
    state = jax.tree.map(jnp.asarray, state)
    return jax.jit(train_step, donate_argnums=0), (state, images)


def _detector(variant: str, workload: Detector) -> tuple[Any, Any, jax.Array]:
    """The model, its variables, and images of 0 to 255."""
    spec = get_detector(workload.model)
    model, variables, normal = _built(variant, spec, workload.CLASSES, workload.batch)
    return model, variables, 255 * jax.scipy.stats.norm.cdf(normal)


def _segmenter(variant: str, workload: Segmentation) -> tuple[Any, Any, jax.Array]:
    """The model, its variables and the images."""
    spec = get_segmenter(
        f"{workload.model}_torchvision", resolution=workload.resolution
    )
    return _built(variant, spec, workload.classes, workload.batch)


def _built(
    variant: str, spec: Any, classes: int, batch: int
) -> tuple[Any, Any, jax.Array]:
    """The model of a spec, its variables, and images of normal numbers."""
    model = build(
        spec,
        classes,
        dtype=jnp.bfloat16 if variant == "bfloat16" else jnp.float32,
        lowering="native" if variant == "native" else "auto",
    )
    rng, images_rng = jax.random.split(jax.random.key(0))
    shape = (batch, spec.resolution, spec.resolution, 3)
    images = jax.random.normal(images_rng, shape)
    return model, init_variables(model, rng), images


def _phases(jitted: Any, arguments: tuple) -> dict[str, float]:
    """The seconds of the first call, by phase.

    "trace" is from Python to StableHLO, "compile" XLA's part or the reading of its
    result from the cache, "first call" both and the run.
    """
    jax.block_until_ready(arguments)
    start = time.perf_counter()
    lowered = jitted.lower(*arguments)
    traced = time.perf_counter()
    compiled = lowered.compile()
    ready = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    return {
        "trace": traced - start,
        "compile": ready - traced,
        "first call": time.perf_counter() - start,
    }


def _depthwise(
    variant: str, workload: Depthwise
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The convolution as a function of input and kernel."""
    if variant != "native":
        return lambda x, kernel: depthwise_conv(
            x, kernel, workload.stride, padding="symmetric"
        )
    reach = workload.kernel_size // 2
    return lambda x, kernel: jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(workload.stride, workload.stride),
        padding=[(reach, reach)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=workload.channels,
    )


def _depthwise_arrays(workload: Depthwise) -> tuple[jax.Array, ...]:
    """Input, kernel and cotangent."""
    batch, size, k, channels = (
        workload.batch,
        workload.size,
        workload.kernel_size,
        workload.channels,
    )
    out = -(-size // workload.stride)
    shapes = [(batch, size, size, channels), (k, k, 1, channels)]
    shapes.append((batch, out, out, channels))
    keys = jax.random.split(jax.random.key(0), 3)
    return tuple(map(jax.random.normal, keys, shapes))
