"""What a sweep's file may say, and which runs follow from it."""

import math
import shlex
import sys

import pytest

from configs.sweeps import (
    alpha_beta_gamma,
    compound_scaling,
    detectors,
    face_attributes,
    learning_rate,
    other_networks,
    width_resolution,
)
from mobilenets import UserError, get_spec
from mobilenets.networks import complexity
from mobilenets.networks.scaling import Coefficients, Multipliers
from mobilenets.sweeps import definition, study
from mobilenets.sweeps.definition import STARTUP_TRIALS, Choices, Range, Sweep

FILES = {
    "width_resolution": width_resolution,
    "learning_rate": learning_rate,
    "alpha_beta_gamma": alpha_beta_gamma,
    "compound_scaling": compound_scaling,
    "detectors": detectors,
    "face_attributes": face_attributes,
    "other_networks": other_networks,
}


def make_sweep(**changes):
    values = dict(
        config="configs/quickstart.py",
        parameters={
            "model.width_multiplier": Choices(values=(0.5, 1.0)),
            "batch_size": Choices(values=(16, 32, 64)),
        },
    )
    return Sweep(**(values | changes))


def write(path, body):
    path.write_text(
        "from mobilenets.sweeps.definition import Choices, Range, Sweep\n"
        f"def get_sweep(arg=None):\n    return {body}\n"
    )
    return str(path)


def test_a_grid_is_every_combination_once():
    points = make_sweep().points
    assert len(points) == make_sweep().size == 6
    assert {(p["model.width_multiplier"], p["batch_size"]) for p in points} == {
        (width, batch) for width in (0.5, 1.0) for batch in (16, 32, 64)
    }


def test_random_points_lie_in_their_ranges_and_follow_from_the_seed():
    parameters = {
        "optimizer.learning_rate": Range(low=1e-4, high=1e-1, log=True),
        "optimizer.weight_decay": Range(low=0.0, high=0.5),
        "batch_size": Range(low=8, high=16),
        "model.name": Choices(values=("mobilenet_v1", "mobilenet_v2")),
    }
    sweep = make_sweep(parameters=parameters, search="random", trials=400)
    rates = [point["optimizer.learning_rate"] for point in sweep.points]
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    # Evenly by logarithm: half of them below the geometric mean.
    middle = math.sqrt(1e-4 * 1e-1)
    assert 160 < sum(rate < middle for rate in rates) < 240
    assert {point["batch_size"] for point in sweep.points} == set(range(8, 17))
    decays = [point["optimizer.weight_decay"] for point in sweep.points]
    assert 160 < sum(decay < 0.25 for decay in decays) < 240
    assert sweep.points == sweep.model_copy().points
    assert sweep.points != sweep.model_copy(update={"seed": 1}).points


def test_no_point_is_drawn_twice():
    sweep = make_sweep(search="random", trials=6)
    grid = make_sweep().points
    assert len(sweep.points) == 6 and all(point in grid for point in sweep.points)
    assert all(sweep.points.count(point) == 1 for point in grid)


def test_of_a_bayesian_search_the_start_alone_is_fixed():
    parameters = {"optimizer.learning_rate": Range(low=1e-4, high=1e-1)}
    sweep = make_sweep(parameters=parameters, search="bayesian", trials=50)
    assert (len(sweep.points), sweep.size) == (STARTUP_TRIALS, 50)


def test_a_point_is_set_in_the_config_after_what_is_set_for_all():
    choices = ({"width_multiplier": 0.25, "resolution": 16}, {"resolution": 24})
    sweep = make_sweep(
        values={"epochs": 2.0, "model.resolution": 48, "model.dropout_rate": 0.0},
        parameters={"model": Choices(values=choices), "seed": Choices(values=(7,))},
    )
    first, second = (definition.run_config(sweep, point) for point in sweep.points)
    assert (first.epochs, first.seed) == (2.0, 7)
    assert first.model["name"] == "mobilenet_v3_small"  # the config file's
    assert (first.model["width_multiplier"], first.model["resolution"]) == (0.25, 16)
    assert (second.model["width_multiplier"], second.model["resolution"]) == (0.5, 24)
    assert second.model["dropout_rate"] == 0.0


def test_values_that_follow_from_others_still_do():
    # The quick start's learning rate is in proportion to the batch: 1.2e-2 at 128.
    sweep = make_sweep(parameters={"batch_size": Choices(values=(32,))})
    assert definition.run_config(sweep, {"batch_size": 32}).optimizer.learning_rate == (
        pytest.approx(1.2e-2 / 4)
    )
    with pytest.raises(UserError, match="batch_size is 'many', but must be a"):
        definition.run_config(sweep, {"batch_size": "many"})


def test_the_command_of_a_point_gives_the_same_config(tmp_path):
    sweep = make_sweep(values={"epochs": 2.0, "optimizer.name": "sgd"})
    point = sweep.points[4]
    command = shlex.split(definition.command(sweep, point, tmp_path / "a run"))
    assert command[:4] == ["python", "-m", "mobilenets", "train"]
    assert command[4:6] == ["--config", "configs/quickstart.py"]
    assert command[-2:] == ["--workdir", str(tmp_path / "a run")]
    assert set(command[6:-2]) == {
        "--config.epochs=2.0",
        "--config.optimizer.name=sgd",
        "--config.model.width_multiplier=1.0",
        "--config.batch_size=32",
    }


def test_two_keys_with_one_end_are_told_apart():
    values = {"model.name": "mobilenet_v1", "optimizer.name": "sgd", "seed": 1}
    expected = "model.name mobilenet_v1, optimizer.name sgd, seed 1"
    assert definition.in_words(values) == expected


def test_what_is_set_on_the_command_line_is_part_of_the_sweep():
    sweep = definition.load("configs/sweeps/width_resolution.py", {"epochs": 1.0})
    assert definition.run_config(sweep, sweep.points[0]).epochs == 1.0
    with pytest.raises(UserError, match=r"model\.resolution is given, but the sweep"):
        definition.load("configs/sweeps/width_resolution.py", {"model.resolution": 8})


def test_attributes_are_swept_with_one_teacher_for_all():
    """MobileNetV1, Table 12: three widths and two resolutions."""
    argument = "teacher=runs/larger,outputs=kept"
    sweep = definition.load(f"configs/sweeps/face_attributes.py:desk,{argument}")
    runs = [definition.run_config(sweep, point) for point in sweep.points]
    assert (
        len({(r.model["width_multiplier"], r.model["resolution"]) for r in runs}) == 6
    )
    assert {r.teacher for r in runs} == {"runs/larger"}
    assert {(r.distillation.outputs, r.augmentation) for r in runs} == {("kept", ())}
    faces = definition.load("configs/sweeps/face_attributes.py:teacher=runs/larger")
    run = definition.run_config(faces, faces.points[0])
    assert (run.dataset.name, run.teacher) == ("celeb_a", "runs/larger")


@pytest.mark.parametrize("name", FILES)
def test_every_point_of_our_sweeps_is_a_run(name):
    sweep = definition.load(f"configs/sweeps/{name}.py")
    assert sweep == FILES[name].get_sweep()
    for point in sweep.points:
        definition.run_config(sweep, point)
    assert "" not in sys.path  # only while the file is run


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("3", "must return a Sweep, but returned 3"),
        (
            "1 / 0",
            r"fails in line 3 with ZeroDivisionError: division by zero",
        ),
        ("Sweep(", r"sweep\.py fails in line 3 with SyntaxError"),
        ("Sweep(config='a.py', parameters={})", "parameters is empty"),
        (
            "Sweep(config='a.py', parameters={'x': Range(low=1, high=2)})",
            r"a grid takes no range \(x\)",
        ),
        ("Sweep(config='a.py', parameters={'x': Range(low=2, high=1)})", "below high"),
        (
            "Sweep(config='a.py', parameters={'x': Range(low=0, high=1, log=True)})",
            "a logarithm needs low above 0",
        ),
        (
            "Sweep(config='a.py', search='random',"
            " parameters={'x': Choices(values=(1,))})",
            "a random search needs trials",
        ),
        ("Sweep(config='a.py', paramters={})", "unknown key paramters"),
        (
            "Sweep(config='a.py', parameters={'x': Choices(values=(1, 2, 1))})",
            r"Choices in line 3 of .*: values has 1 twice",
        ),
        (
            "Sweep(config='a.py', parameters={'x': (1, 2)})",
            r"parameters\.x is \(1, 2\), but it is a section with values of its own",
        ),
        (
            "Sweep(config='a.py', search='random', trials=7, parameters="
            "{'x': Choices(values=(1, 2)), 'y': Range(low=1, high=3)})",
            "trials is 7, but of the values there are only 6 combinations",
        ),
        (
            "Sweep(config='a.py', search='bayesian', trials=10,"
            " parameters={'x': Range(low=1.0, high=2.0)})",
            "with 10 trials it has nothing to choose",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(tmp_path, body, sentence):
    with pytest.raises(UserError, match=sentence):
        definition.load(write(tmp_path / "sweep.py", body))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"optimiser.name": ("sgd",)}, r"did you mean optimizer"),
        ({"optimizer.name": ("sdg",)}, r"At name sdg: .*optimizer\.name is 'sdg'"),
        ({"epochs": (-1.0,)}, r"At epochs -1: .*epochs is -1\.0"),
    ],
)
def test_a_value_that_is_not_allowed_is_met_with_its_point(parameters, sentence):
    parameters = {key: Choices(values=values) for key, values in parameters.items()}
    sweep = make_sweep(parameters=parameters)
    with pytest.raises(UserError, match=sentence):
        definition.run_config(sweep, sweep.points[0])


def test_an_argument_that_a_file_does_not_take_is_met():
    sentence = r"width_resolution\.py takes no argument: leave out :width=2\.$"
    with pytest.raises(UserError, match=sentence):
        definition.load("configs/sweeps/width_resolution.py:width=2")


def test_a_file_that_is_not_there_is_met_with_those_that_are():
    with pytest.raises(UserError, match=r"did you mean 'configs/sweeps/learning_rate"):
        definition.load("configs/sweeps/learning_rates.py")
    with pytest.raises(
        UserError, match=r"Choose from: [^:]*/width_resolution"
    ) as folder:
        definition.load("configs/sweeps")
    assert "study.py" not in str(folder.value)  # it holds no sweep


def test_a_key_that_is_set_for_all_points_is_not_blamed_on_the_first():
    sweep = make_sweep(values={"optimiser.name": "sgd"})
    with pytest.raises(UserError, match=r"^The config is wrong: unknown key optimiser"):
        definition.run_config(sweep, sweep.points[0])


# The study's sweeps.


def test_the_points_of_the_grid_cost_twice_the_baseline_and_differ():
    baseline = study.BASELINES["efficientnet"]
    cost = study.madds(baseline.model(Multipliers(1, 1, 1)))
    points = alpha_beta_gamma.points()
    specs = [get_spec(**baseline.model(point)) for point in points]
    for spec in specs:
        ratio = complexity.madds(spec, study.CLASSES) / (2 * cost)
        assert abs(ratio - 1) <= alpha_beta_gamma.TOLERANCE
    assert len(set(specs)) == len(points) >= 10
    assert all(min(p.depth, p.width, p.resolution) >= 1 for p in points)


@pytest.mark.parametrize("family", study.BASELINES)
def test_the_methods_of_a_family_cost_the_same(family):
    models = study.scaled(family, (2,))
    cost = study.madds(models.pop(("baseline", 0)))
    assert {name for name, _ in models} == {"compound", "depth", "width", "resolution"}
    ratios = [study.madds(model) / (4 * cost) for model in models.values()]
    assert all(0.85 < ratio < 1.17 for ratio in ratios)
    # What a search has chosen is a method of its own, if it is none of these.
    assert ("chosen", 2) in study.scaled(family, (2,), Coefficients(1.2, 1.3, 1))
    assert ("chosen", 2) not in study.scaled(family, (2,), Coefficients(1, 1.4, 1))
    # Along one dimension the others stay as they are.
    baseline = study.BASELINES[family].model(Multipliers(1, 1, 1))
    for name in ("depth", "width", "resolution"):
        changed = {k for k in baseline if models[name, 2][k] != baseline[k]}
        key = "resolution" if name == "resolution" else f"{name}_multiplier"
        assert changed == {key}
