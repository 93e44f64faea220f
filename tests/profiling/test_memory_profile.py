"""The memory of a training step is that of its state, its batch and XLA's plan."""

import jax
import numpy as np
import pytest

from configs import quickstart
from mobilenets import UserError, get_spec
from mobilenets.cli.tables import print_memory
from mobilenets.config import check
from mobilenets.networks import complexity
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.profiling import memory_profile
from mobilenets.profiling.memory_profile import StepMemory
from mobilenets.tasks.registry import make_task
from tests import small_model
from tests.small_detector import small_detector
from tests.tasks.test_detection import make_config, saved_weights, write_photographs

MODEL = {
    "name": "mobilenet_v1",
    "width_multiplier": 0.25,
    "depth_multiplier": 0.2,
    "resolution": 32,
}
OPTIONS = ["mobilenet_v1", "--width", "0.25", "--depth", "0.2", "--resolution", "32"]


@pytest.mark.usefixtures("four_devices")
def test_the_bytes_are_those_worked_by_hand(run_json):
    name = small_model.VALUES["model.spec"]
    options = ["--num-classes", "7", "--memory", "--batch", "8"]
    found = run_json("profile", name, *options)
    spec = small_model.network()
    parameters = complexity.params(spec, 7)
    # A mean and a variance for each channel of each convolution.
    convolutions = complexity.layers(spec, 7)[:-1]
    statistics = 2 * sum(layer.channels for layer in convolutions)
    # Once the weights and once their average, and RMSProp's mean of squares and
    # momentum; the steps of the run and of the schedule.
    state = 4 * (2 * (parameters + statistics) + 2 * parameters) + 2 * 4
    image = 32 * 32 * 3 + 4  # and its label
    assert found["devices"] == 4
    # Without dropout the random key is no argument of the program.
    assert found["argument_bytes"] == state + 8 // 4 * image
    assert found["alias_bytes"] == state
    # Loss, top-1, learning rate and norm of the gradient; an address of each output.
    assert 4 * 4 <= found["output_bytes"] - state < 10_000
    # The norm is of all gradients, so that they are there at once.
    assert found["temporary_bytes"] > 4 * parameters
    assert found["total_bytes"] == (
        found["argument_bytes"]
        + found["output_bytes"]
        + found["temporary_bytes"]
        + found["generated_code_bytes"]
        - found["alias_bytes"]
    )
    facts = {"name": name, "resolution": 32, "num_classes": 7, "batch": 8}
    facts |= {"dtype": "float32", "remat": False, "optimizer": "rmsprop"}
    assert facts.items() <= found.items()


class Compiled(Exception):
    """Raised in place of the compilation."""


def test_the_options_are_those_of_the_step(run, monkeypatch):
    def step_of(task, mesh):
        raise Compiled(task.model, task.config.batch_size)

    monkeypatch.setattr(memory_profile, "jitted_functions", step_of)
    options = ["--memory", "--batch", "12", "--dtype", "bfloat16", "--remat"]
    with pytest.raises(Compiled) as compiled:
        run("profile", *OPTIONS, "--num-classes", "5", *options)
    model, batch_size = compiled.value.args
    assert model.spec == get_spec(**MODEL)
    assert (model.num_classes, model.dtype, model.remat) == (5, "bfloat16", True)
    assert batch_size == 12


def test_the_batch_is_what_the_pipeline_yields():
    config = check.check(quickstart.get_config("smoke"))
    batch = next(make_task(config).train_batches())
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), dict(batch))
    assert memory_profile.batch_shapes(16, 32) == shapes


def test_the_batch_of_a_detector_is_what_the_pipeline_yields(tmp_path):
    write_photographs(tmp_path, "train", 8, seed=0)
    write_photographs(tmp_path, "valid", 2, seed=1)
    batch = dict(next(make_task(make_config(tmp_path)).train_batches()))
    most = batch["valid"].shape[1]  # boxes of an image here: two
    shapes = memory_profile.box_batch_shapes(8, 64)
    expected = {
        key: (array.shape[0], memory_profile.MOST_BOXES, *array.shape[2:])
        for key, array in batch.items()
    }
    assert most == 2
    assert {key: s.shape for key, s in shapes.items()} == {
        **expected,
        "image": batch["image"].shape,
    }
    assert {k: s.dtype for k, s in shapes.items()} == {
        k: array.dtype for k, array in batch.items()
    }


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("ssdlite_mobilenet_v2", "focal"),
        ("ssdlite320_mobilenet_v3_large", "mined_softmax"),
    ],
)
def test_the_step_of_a_detector_is_that_of_its_loss(run, monkeypatch, name, loss):
    def step_of(task, mesh):
        raise Compiled(task.model, task.config)

    monkeypatch.setattr(memory_profile, "jitted_functions", step_of)
    with pytest.raises(Compiled) as compiled:
        run("profile", name, "--resolution", "64", "--memory", "--batch", "4")
    model, config = compiled.value.args
    assert model.spec == get_detector(name, resolution=64)
    assert (model.num_classes, config.task.loss) == (90, loss)


def test_the_memory_of_a_detector_s_step_is_that_of_its_state(tmp_path):
    spec = small_detector()
    saved_weights(spec, ("cat", "dog"), tmp_path / "w")
    found = memory_profile.of_training_step(
        {}, 3, 2, "float32", False, init_from=str(tmp_path / "w")
    )
    # Weights, averages, mean of squares and momentum, and statistics of batch norm.
    assert found.alias_bytes > 4 * 4 * complexity.params(spec, 3)
    # Corners, class, crowd and valid: the loss reads no area, and draws nothing.
    boxes = memory_profile.MOST_BOXES * (4 * 4 + 4 + 1 + 1)
    image = 64 * 64 * 3 + boxes
    assert found.argument_bytes == found.alias_bytes + 2 * image


def test_the_table_counts_the_state_once(capsys):
    step = StepMemory(
        batch=32,
        dtype="float32",
        remat=True,
        optimizer="rmsprop",
        platform="gpu",
        devices=2,
        argument_bytes=5_000_000,
        output_bytes=4_300_000,
        alias_bytes=4_000_000,
        temporary_bytes=7_000_000,
        generated_code_bytes=200_000,
        total_bytes=12_500_000,
    )
    print_memory("a network", step)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a network"
    assert "32 images on 2 gpu devices: float32, rmsprop, remat" in lines[1]
    numbers = [cell for line in lines for cell in line.split() if cell[-2:-1] == "."]
    assert numbers == ["5.0", "0.3", "7.0", "0.2", "12.5"]
    assert np.isclose(sum(map(float, numbers[:-1])), float(numbers[-1]))
    assert max(map(len, lines[2:])) <= 80


@pytest.mark.usefixtures("four_devices")
def test_a_batch_that_the_devices_cannot_share_is_refused():
    with pytest.raises(UserError) as error:
        memory_profile.of_training_step(MODEL, 10, 6, "float32", False)
    assert "split over 4 devices" in str(error.value)
    assert str(error.value).endswith("such as --batch=4 or 8.")
