"""LiteRT: the file of a network, and LiteRT's interpreter to run it."""

import contextlib
import io
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from mobilenets.errors import UserError
from mobilenets.export import formats, signature
from mobilenets.export.formats import Call, Options, Scale
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
    ir, passmanager, converter_api_ext = (
        formats.needed("litert", f"litert_converter.mlir.{name}")
        for name in ("ir", "passmanager", "_mlir_libs.converter_api_ext")
    )
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
        passes, config = (
            passmanager.PassManager(),
            converter_api_ext.ConvertToTFLConfig(),
        )
        try:
            converter_api_ext.run_convert_to_tfl_passes(module, passes, config)
        except ValueError as error:
            reason = str(error).splitlines()[0].rpartition("error: ")[2]
            raise UserError(
                f"LiteRT's converter cannot write {network.name} at "
                f"{network.resolution} pixels: {reason}. Give --format onnx or "
                "stablehlo."
            ) from None
        return converter_api_ext.export_flatbuffer_to_bytes(module.operation)


def quantize(content: bytes, inputs: Sequence[np.ndarray]) -> bytes:
    """See `formats.Writer`."""
    formats.needed("litert", "litert_quantizer")
    from litert_quantizer.calibrator import Calibrator
    from litert_quantizer.qtyping import TFLOperationName
    from litert_quantizer.quantizer import Quantizer
    from litert_quantizer.recipe_manager import RecipeManager
    from litert_quantizer.utils.qsv_utils import min_max_update

    rules = RecipeManager()
    every = TFLOperationName.ALL_SUPPORTED
    rules.add_static_config(".*", every, activation_num_bits=8, weight_num_bits=8)
    # The library's own choice, a moving average, forgets the ranges of early images.
    calibrator = Calibrator(content, qsv_update_func=min_max_update)
    calls = [{signature.INPUT: images} for images in inputs]
    silent = io.StringIO()  # of bars and of warnings for who debugs
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        calibrator.calibrate({_SIGNATURE: calls}, rules)
        quantizer = Quantizer(content, rules.get_quantization_recipe())
        result = quantizer.quantize(calibrator.get_model_qsvs())
    return bytes(result.quantized_model or b"")


def scales(content: bytes) -> dict[str, Scale]:
    """See `formats.Writer`. In an int8 file input and outputs are int8, too."""
    runner = Interpreter(model_content=content).get_signature_runner(_SIGNATURE)
    details = runner.get_input_details() | runner.get_output_details()
    return {
        name: Scale(*detail["quantization"])
        for name, detail in details.items()
        if detail["dtype"] == np.int8
    }


def open_file(content: bytes, outputs: Sequence[str], threads: int) -> Call:
    """A call of LiteRT, see `formats.Writer`."""
    interpreter = Interpreter(model_content=content, num_threads=threads)
    runner = interpreter.get_signature_runner(_SIGNATURE)
    of = scales(content)

    def call(images: np.ndarray) -> list[np.ndarray]:
        given = of[signature.INPUT].quantized(images) if of else images
        found = runner(**{signature.INPUT: given})
        return [
            of[name].numbers(found[name]) if of else found[name] for name in outputs
        ]

    return call
