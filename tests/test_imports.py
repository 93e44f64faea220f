"""What may import what: run in a new process, since this one has imported all."""

import subprocess
import sys

import pytest


def imported_by(module):
    code = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "mobilenets",
        "mobilenets.networks.spec",
        "mobilenets.networks.complexity",
        "mobilenets.networks.scaling",
        "mobilenets.cli.main",
    ],
)
def test_specs_need_neither_jax_nor_a_data_library(module):
    heavy = {"jax", "flax", "tensorflow", "tensorflow_datasets", "grain"}
    assert not heavy & imported_by(module)


@pytest.mark.parametrize(
    "module",
    ["training.loop", "training.step", "evaluation.evaluation", "runs.checkpoint"],
)
def test_training_does_not_know_the_architectures_or_the_data(module):
    names = imported_by(f"mobilenets.{module}")
    assert "mobilenets.nn.classifier" not in names
    assert "mobilenets.data.sources" not in names
    assert "mobilenets.tasks.classification" not in names


def test_neither_training_nor_reading_data_imports_tensorflow():
    names = imported_by(
        "mobilenets.tasks.classification, mobilenets.training.loop, tensorflow_datasets"
    )
    assert "tensorflow" not in names


def test_all_that_the_package_names_is_there_when_it_is_asked_for():
    import mobilenets

    assert set(mobilenets.__all__) <= set(dir(mobilenets))
    for name in mobilenets.__all__:
        assert getattr(mobilenets, name) is not None
    assert mobilenets.pretrained.from_state_dict
    with pytest.raises(AttributeError, match="no attribute 'create_modle'"):
        mobilenets.create_modle  # noqa: B018
