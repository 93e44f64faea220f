"""Files of trained networks for other runtimes: StableHLO, LiteRT and ONNX."""
