"""The sides: who they are. Each module in this folder runs one library.

A module has a function for every task that it can run, named as in `workloads.TASKS`.
It takes the variant and the workload and returns the step: a function without arguments
that returns when its result has been computed. A module also has `start`, which is
called first and tells where it computes, and `accelerator_peak`, the memory of a step
there. It imports neither another side nor what that needs, so that each may live in an
environment of its own.
"""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Side:
    """One library in one form.

    Args:
      label: what tables and pictures say.
      module: of this package.
      variant: which of the module's forms.
      environment: whose interpreter runs it, a name that `--python` takes.
      packages: what it imports; their versions are reported.
      install: what makes it run, told where a package is missing.
      variables: of the process' environment.
    """

    label: str
    module: str
    variant: str
    environment: str
    packages: tuple[str, ...]
    install: str
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


# Packages, how to install them, and variables.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
_JAX = (("jax", "jaxlib", "flax"), "pip install .")
_LITERT = (("jax", "ai_edge_litert"), "pip install '.[litert]'", _QUIET)
_ONNX = (("jax", "onnxruntime"), "pip install '.[onnx]'", _QUIET)
_TORCH = (("torch", "timm"), "pip install torch timm")
_TORCHVISION = (("torch", "torchvision"), "pip install torch torchvision")
_TENSORFLOW = (
    ("keras", "tensorflow"),
    "pip install keras tensorflow",
    {"KERAS_BACKEND": "tensorflow"} | _QUIET,
)
_KERAS_ON_JAX = (
    ("keras", "jax"),
    "pip install keras jax",
    {"KERAS_BACKEND": "jax"} | _QUIET,
)

# What ours asks of glibc (`mobilenets.runtime.host_memory`), for any process:
# huge pages, one heap for blocks of all sizes, and that the heap is kept.
_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:"
    f"glibc.malloc.trim_threshold={2**34}"
}


def _with_our_memory(side: Side) -> Side:
    return dataclasses.replace(
        side,
        label=f"{side.label}, our memory settings",
        variables={**side.variables, **_MEMORY},
    )


# The ratios are to the first. Stock Flax is our network on Flax's and XLA's own layers.
OURS = "ours"
# fmt: off
_OURS = {
    OURS: Side("ours", "jax_side", "auto", "jax", *_JAX),
    "ours_workers": Side("ours, worker processes", "jax_side", "workers", "jax", *_JAX),
    "ours_bfloat16": Side("ours, bfloat16", "jax_side", "bfloat16", "jax", *_JAX),
    "litert_file": Side("our file in LiteRT", "export_side", "litert", "jax",
                        *_LITERT),
    "onnx_file": Side("our file in ONNX Runtime", "export_side", "onnx", "jax",
                      *_ONNX),
}
_PEERS = {
    "flax": Side("stock Flax", "jax_side", "native", "jax", *_JAX),
    "torch": Side("torch + timm", "torch_side", "eager", "torch", *_TORCH),
    "torch_jit": Side("torch.jit, optimized", "torch_side", "jit", "torch", *_TORCH),
    "torch_compile": Side("torch.compile", "torch_side", "compile", "torch", *_TORCH),
    "torch_amp": Side("torch.compile, mixed precision", "torch_side", "amp", "torch",
                      *_TORCH),
    "torchvision": Side("torchvision", "torchvision_side", "eager", "torch",
                        *_TORCHVISION),
    "tensorflow": Side("tf.data", "tensorflow_side", "tf.data", "keras",
                       ("tensorflow",), "pip install tensorflow", _QUIET),
    "keras_tensorflow": Side("Keras on TensorFlow", "keras_tensorflow_side",
                             "tensorflow", "keras", *_TENSORFLOW),
    "keras_jax": Side("Keras on JAX", "keras_jax_side", "jax", "keras", *_KERAS_ON_JAX),
    "litert": Side("LiteRT (XNNPACK)", "keras_tensorflow_side",
                   "litert", "keras", *_TENSORFLOW),
}
# fmt: on
# Each peer as it is installed, and on equal terms: with the memory settings of ours.
WITH_OUR_MEMORY = "_memory"
SIDES = _OURS | {
    name + suffix: _with_our_memory(side) if suffix else side
    for name, side in _PEERS.items()
    for suffix in ("", WITH_OUR_MEMORY)
}
