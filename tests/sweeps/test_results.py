"""The folder of a sweep, and what is told of it before anything is run."""

import json
import subprocess

import pytest

from mobilenets import UserError, get_spec
from mobilenets.networks import complexity
from mobilenets.sweeps import command, results
from mobilenets.sweeps.definition import Choices, Range, Sweep
from mobilenets.sweeps.results import Outcome, Reader
from mobilenets.workers import processes

WIDTHS = (0.25, 0.5)


def make_sweep(**changes):
    values = {
        "config": "configs/quickstart.py",
        "parameters": {"model.width_multiplier": Choices(values=WIDTHS)},
    }
    return Sweep(**(values | changes))


def spec_of(width):
    return get_spec(
        "mobilenet_v3_small", width_multiplier=width, resolution=32, stem_stride=1
    )


def test_what_has_happened_is_read_from_the_folder(tmp_path):
    files = results.claim(str(tmp_path), make_sweep())
    waiting, also = Reader(files).results()
    assert (waiting.state, waiting.accuracy, also.state) == ("waiting", None, "waiting")
    assert waiting.values == {"model.width_multiplier": 0.25}
    assert waiting.parameters == complexity.params(spec_of(0.25), 10)
    assert also.madds == complexity.madds(spec_of(0.5), 10)
    # 6,000 images in batches of 128, 18 times.
    assert waiting.total_steps == 844
    files.begin(0, files.sweep.points[0])
    records = [
        {"step": 10, "train/loss": 2.0},
        {"step": 20, "val/ema/top1": 0.5, "val/raw/top1": 0.9},
        {"step": 40, "val/ema/top1": 0.75, "val/raw/top1": 0.8},
        {"step": 50, "train/loss": 1.0},
    ]
    lines = [json.dumps(record) + "\n" for record in records]
    (files.point(0) / "metrics.jsonl").write_text("".join(lines))
    (running, _) = Reader(files).results()
    assert (running.state, running.accuracy) == ("unfinished", 0.75)
    files.end(0, Outcome(state="failed", error="diverged"))
    (failed, _) = Reader(files).results()
    assert (failed.state, failed.error) == ("failed", "diverged")


def test_of_a_bayesian_search_the_chosen_points_are_read(tmp_path):
    sweep = make_sweep(
        parameters={"optimizer.learning_rate": Range(low=1e-3, high=1.0)},
        search="bayesian",
        trials=14,
    )
    files = results.claim(str(tmp_path), sweep)
    assert len(Reader(files).results()) == 10
    files.begin(12, {"optimizer.learning_rate": 0.25})
    assert Reader(files).results()[-1].number == 12
    assert Reader(files).results()[-1].values == {"optimizer.learning_rate": 0.25}


def test_a_folder_belongs_to_one_sweep(tmp_path):
    dicts = Choices(values=({"resolution": 24}, {"resolution": 32}))
    sweep = make_sweep(parameters={"model": dicts, "epochs": Choices(values=(1.0,))})
    files = results.claim(str(tmp_path), sweep)
    assert results.claim(str(tmp_path), sweep) == files
    assert results.open_folder(str(tmp_path)).sweep.points == sweep.points
    with pytest.raises(UserError, match=r"differs in search .* and 1 more\.$"):
        results.claim(
            str(tmp_path), sweep.model_copy(update={"trials": 2, "search": "random"})
        )


def test_a_config_file_that_has_changed_since_is_met(tmp_path):
    config = tmp_path / "config.py"
    text = "from configs import quickstart\ndef get_config():\n"
    text += "    config = quickstart.get_config()\n    config.epochs = {}\n"
    config.write_text(text.format("1.0") + "    return config\n")
    sweep = make_sweep(config=str(config))
    files = results.claim(str(tmp_path / "sweep"), sweep)
    assert results.claim(str(tmp_path / "sweep"), sweep) == files
    config.write_text(text.format("2.0") + "    return config\n")
    with pytest.raises(UserError, match=r"in epochs \(1\.0 there, 2\.0 given"):
        results.claim(str(tmp_path / "sweep"), sweep)
    with pytest.raises(UserError, match=r"config\.py has changed since"):
        files.check_config()


def test_a_point_that_is_no_network_has_failed_and_hides_no_other(tmp_path):
    sweep = make_sweep(
        parameters={"model.resolution": Range(low=32, high=64)},
        search="bayesian",
        trials=12,
    )
    files = results.claim(str(tmp_path), sweep)
    files.begin(11, {"model.resolution": 8})
    (begun,) = [r for r in Reader(files).results() if r.number == 11]
    assert begun.state == "unfinished"  # its worker has not looked at it yet
    files.end(11, Outcome(state="failed", error="The resolution 8 is too small"))
    found = Reader(files).results()
    assert len(found) == 11
    assert found[-1].state == "failed" and "8 is too small" in found[-1].error


def test_tuples_of_a_config_survive_the_folder(tmp_path):
    sweep = make_sweep(
        values={"schedule.name": "piecewise", "schedule.boundaries": (1.0, 2.0)}
    )
    files = results.claim(str(tmp_path), sweep)
    run = results.plan(files.sweep, files.sweep.points[0])
    assert run.config.schedule.boundaries == (1.0, 2.0)


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("config.json", "a training"),
        ("search.json", "a search"),
        ("netadapt.json", "an adaptation"),
    ],
)
def test_the_folder_of_something_else_is_refused(tmp_path, file, owner):
    (tmp_path / file).write_text("{}")
    with pytest.raises(UserError, match=f"belongs to {owner}: use another"):
        results.claim(str(tmp_path), make_sweep())
    assert not (tmp_path / "sweep.json").exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file: use a folder"):
        results.claim(str(tmp_path / "file"), make_sweep())


def test_a_storage_that_refuses_leaves_no_sweep_behind(tmp_path):
    with pytest.raises(UserError, match="must be a database URL"):
        command.run(make_sweep(), str(tmp_path), workers=1, storage="no URL")
    assert not list(tmp_path.iterdir())


def test_no_folder_of_another_machine(tmp_path):
    with pytest.raises(UserError, match="is not a local folder"):
        results.claim("gs://bucket/sweep", make_sweep())


@pytest.mark.parametrize("content", ["{", "{}", '{"name": "a", "sweep": {}}'])
def test_a_damaged_folder_is_met_with_a_sentence(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        results.open_folder(str(tmp_path))


def test_no_sweep_no_report(tmp_path):
    with pytest.raises(UserError, match="holds no sweep"):
        results.open_folder(str(tmp_path / "nothing"))


def test_the_plan_tells_every_point_with_its_cost(capsys):
    command.print_plan(make_sweep(values={"batch_size": 64}))
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line[:6].strip().isdigit()]
    assert [row[:2] for row in rows] == [["0", "0.25"], ["1", "0.5"]]
    for row, width in zip(rows, WIDTHS, strict=True):
        layers = complexity.layers(spec_of(width), 10)
        params = sum(layer.params for layer in layers)
        # The maps of 64 images and five numbers a parameter, of four bytes each.
        maps = 64 * sum(layer.activations for layer in layers)
        memory = 4 * (maps + 5 * params)
        madds = sum(layer.madds for layer in layers)
        assert row[2:] == [f"{params:,}", f"{madds / 1e6:.1f}", f"{memory / 1e6:,.1f}"]


def test_a_plan_tells_what_is_not_known_yet(capsys):
    sweep = make_sweep(
        parameters={"optimizer.learning_rate": Range(low=1e-3, high=1.0)},
        search="bayesian",
        trials=12,
    )
    command.print_plan(sweep)
    assert "The search chooses the other 2 points." in capsys.readouterr().out


def test_latency_is_not_measured_by_workers_side_by_side(tmp_path):
    sweep = make_sweep(objectives=("accuracy", "latency"))
    with pytest.raises(UserError, match=r"use --workers 1"):
        command.run(sweep, str(tmp_path), workers=2, storage=None)
    assert not (tmp_path / "sweep.json").exists()


def test_it_is_told_how_workers_have_died(tmp_path, monkeypatch):
    def die(*_):
        return subprocess.Popen(["sh", "-c", "kill -9 $$"])

    monkeypatch.setattr(processes, "start_one", die)
    sentence = r"2 points are left, as workers have died \(killed by SIGKILL\)"
    with pytest.raises(UserError, match=sentence):
        command.run(make_sweep(), str(tmp_path), workers=2, storage=None)
