"""`mobilenets train` and `eval`, and train.py and eval.py, as a user types them."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run_script(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True
    )


# fmt: off
MISTAKES = [
    (["--config", "configs/quickstrat.py"], "did you mean 'configs/quickstart.py'"),
    (["--config", "configs/quickstart.py:smok"], "did you mean 'smoke'"),
    (["--config", "configs/mobilenet_v2.py:width=wide"],
     "argument width of the config file is 'wide', but must be of type float"),
    (["--config", "configs/quickstart.py", "--config.bacth_size=3"],
     "unknown key bacth_size (did you mean batch_size?)"),
    (["--config", "configs/quickstart.py", "--config.optimizer.adamw.b3=3"],
     "unknown key optimizer.adamw.b3"),
    (["--config", "configs/quickstart.py", "--config.batch_size=some"],
     "--config.batch_size=some is wrong: the value must be of type int, like"),
    (["--config", "configs/quickstart.py", "--config.optimizer=sgd"],
     "optimizer is a section"),
    (["--config", "configs/quickstart.py", "--config.model.width_multiplier=wide"],
     "width_multiplier must be above 0 and at most 1024, but is 'wide'"),
    (["--config", "configs/quickstart.py", "--config.epochs=-1"],
     "epochs is -1.0, but must be at least 0.000001"),
    (["--config", "configs/quickstart.py", "--config.model.name=mobilenet_v4"],
     "Unknown architecture 'mobilenet_v4': did you mean"),
    (["--config", "configs/quickstart.py", "--config.model.resolution=15"],
     "resolution 15 is too small for mobilenet_v3_small: its output stride is 16"),
    (["--config", "configs/mobilenet_v1.py", "--config.dataset.data_dir=/nowhere"],
     "mobilenets prepare imagenet2012 --data-dir /nowhere"),
    (["--config", "configs/quickstart.py", "--config.dataset.eval_split=test"],
     "Unknown split 'test' of fashion_mnist_subset"),
    (["--config", "quickstart", "--wrokdir=x"], "Did you mean --workdir?"),
    (["--config", "configs/quickstart.py", "stray"], "Unexpected argument 'stray'"),
]
# fmt: on


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_and_a_failure(run, arguments, sentence, tmp_path):
    result = run("train", "--workdir", tmp_path / "run", *arguments)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("error: ") and sentence in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("four_devices")
def test_a_batch_that_the_devices_cannot_share_is_told(run, tmp_path):
    result = run(
        *("train", "--config=configs/quickstart.py:smoke", "--config.batch_size=6"),
        f"--workdir={tmp_path / 'run'}",
    )
    assert result.exit_code == 1
    assert "batch_size 6 cannot be split over 4 devices" in result.stderr


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_help_shows_an_example_and_the_flags(script):
    result = run_script(script, "--help")
    assert result.returncode == 0
    assert f"python {script} --config configs/quickstart.py" in result.stdout
    assert "--workdir" in result.stdout
    assert "JAX_ENABLE_COMPILATION_CACHE=false" in result.stdout


@pytest.mark.slow
def test_a_config_from_training_to_evaluation(run, tmp_path):
    workdir = tmp_path / "run"
    shallow = "--config.model.depth_multiplier=0.2"  # it compiles sooner
    config = ("--config=configs/mobilenet_v2.py:smoke", shallow)
    trained = run_script("train.py", *config, f"--workdir={workdir}")
    assert trained.returncode == 0, trained.stderr
    left = {path.name for path in workdir.iterdir()}
    assert left == {
        ".training.lock",
        "checkpoints",
        "config.json",
        "first_batch.png",
        "last_checkpoint.json",
        "metrics.jsonl",
        "predictions.png",
        "tensorboard",
        "training_curves.png",
    }
    assert json.loads((workdir / "config.json").read_text())["batch_size"] == 16
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").open()]
    last = records[-1]

    # 40 images: neither 16 nor 7 divides them.
    for batch_size, weights in ((16, "ema"), (7, "raw")):
        evaluated = run(
            "eval",
            *config,
            f"--workdir={workdir}",
            "--checkpoint=latest",
            f"--weights={weights}",
            f"--config.batch_size={batch_size}",
        )
        assert evaluated.exit_code == 0, evaluated.stderr
        cells = [cell.strip() for cell in evaluated.stdout.splitlines()[-2].split("│")]
        assert cells[1:3] == [weights, f"{last[f'val/{weights}/loss']:.4f}"]
        assert cells[-3:] == [
            "40",
            f"{last[f'val/{weights}/calibration_error']:.2%}",
            "",
        ]

    again = run("train", *config, f"--workdir={workdir}")
    assert "Nothing to do" in again.stdout

    other = run("train", *config, f"--workdir={workdir}", "--config.seed=1")
    assert other.exit_code == 1
    assert "differs in seed (0 there, 1 given)" in other.stderr

    wide = "--config.model.width_multiplier=0.5"
    other = run("eval", *config, f"--workdir={workdir}", wide)
    assert other.exit_code == 1
    assert "model.width_multiplier (0.25 there, 0.5 given)" in other.stderr


def test_evaluation_without_a_run_is_refused(run, tmp_path):
    result = run(
        "eval", "--config=configs/quickstart.py:smoke", f"--workdir={tmp_path}"
    )
    assert result.exit_code == 1
    assert "holds no weights: it has neither" in result.stderr


def test_the_console_command_has_help():
    result = run_script("-m", "mobilenets", "--help")
    assert result.returncode == 0
    assert "prepare" in result.stdout


def test_preparing_an_unknown_data_set_is_one_sentence(run):
    result = run("prepare", "imagnet2012")
    assert result.exit_code == 1
    assert "Did you mean" in result.stderr
    assert "imagenet2012" in result.stderr
