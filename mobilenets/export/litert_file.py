"""LiteRT: the file of a network, and LiteRT's interpreter to run it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from litert_converter.mlir import ir, passmanager
from litert_converter.mlir._mlir_libs import converter_api_ext

from mobilenets.export import signature
from mobilenets.export.formats import Call, Options
from mobilenets.export.stablehlo_file import forward
from mobilenets.inference.trained import TrainedNet

_SIGNATURE = "serving_default"


def convert(net: TrainedNet, options: Options) -> bytes:
    """The file of a network whose batch norms are folded."""
    network = net.description.network
    shape = (options.batch or 1, network.resolution, network.resolution, 3)
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    # Of the two forms of a convolution the native one, which the converter knows.
    call = jax.jit(forward(net, lowering="native"))
    exported = jax.export.export(call, platforms=["cpu"])(images)
    context = ir.Context()
    converter_api_ext.prepare_mlir_context(context)
    with context:
        module = ir.Module.parse(exported.mlir_module())
        converter_api_ext.set_signature(
            module.operation,
            _SIGNATURE,
            [signature.INPUT],
            list(signature.output_names(network)),
        )
        converter_api_ext.run_convert_to_tfl_passes(
            module, passmanager.PassManager(), converter_api_ext.ConvertToTFLConfig()
        )
        return converter_api_ext.export_flatbuffer_to_bytes(module.operation)


def open_file(content: bytes, outputs: Sequence[str], threads: int) -> Call:
    """A call of LiteRT, see `formats.Writer`."""
    interpreter = Interpreter(model_content=content, num_threads=threads)
    runner = interpreter.get_signature_runner(_SIGNATURE)

    def call(images: np.ndarray) -> list[np.ndarray]:
        found = runner(**{signature.INPUT: images})
        return [found[name] for name in outputs]

    return call
