"""Weights and images of the golden files, which are functions of names and sizes."""

import json
import pathlib
import zlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parents[1] / "nn/golden"


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def rebuilt_value(key, shape, gain):
    """A golden file's weights, a function of the key (tests/nn/golden/README.md)."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    if leaf in ("running_mean", "bias"):
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    values = gain * rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def rebuilt_state(reference):
    return {
        key: rebuilt_value(key, shape, reference["gain"])
        for key, shape in dict(reference["state"]).items()
    }


def rebuilt_images(resolution):
    rng = np.random.default_rng(resolution)
    coarse = rng.standard_normal((2, 8, 8, 3))
    cells = np.arange(resolution) * 8 // resolution
    noise = 0.3 * rng.standard_normal((2, resolution, resolution, 3))
    return (coarse[:, cells][:, :, cells] + noise).astype(np.float32)


def rebuilt_photograph():
    """[640, 1011, 3] uint8: patches of colours, and noise, which antialias softens."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (6, 8, 3))
    rows, columns = np.arange(640) * 6 // 640, np.arange(1011) * 8 // 1011
    noise = rng.integers(-120, 121, (640, 1011, 3))
    return (colors[rows][:, columns] + noise).clip(0, 255).astype(np.uint8)
