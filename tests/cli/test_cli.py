"""The command `mobilenets` as a user types it."""

import errno
import json
import os
import pathlib
import pty
import re
import subprocess
import sys

import pytest
import typer

from mobilenets import ARCHITECTURES, get_spec
from mobilenets.cli import command_line
from mobilenets.inference import trained
from mobilenets.networks import complexity, scaling
from mobilenets.profiling import profile_table
from tests.inference.test_trained import small_net

ROOT = pathlib.Path(__file__).parents[2]


def run_in_terminal(*arguments, columns):
    """What a terminal of so many columns shows, without its colours."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mobilenets", *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": str(columns), "TERM": "xterm"},
        stdout=slave,
    )
    os.close(slave)
    output = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # how Linux says that the other end is closed
            part = b""
        if not part:
            break
        output += part
    os.close(master)
    assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode()).splitlines()


def test_list_tells_every_networks_exact_cost_and_published_accuracy(run, run_json):
    networks = run_json("list")
    assert [net["name"] for net in networks] == list(ARCHITECTURES)
    for net in networks:
        spec = get_spec(net["name"])
        assert net == {
            "name": net["name"],
            "parameters": complexity.params(spec),
            "madds": complexity.madds(spec),
            "resolution": spec.resolution,
            "top1": ARCHITECTURES[net["name"]].top1,
            "source": ARCHITECTURES[net["name"]].source,
        }
    lines = run("list").stdout.splitlines()
    row = next(line.split() for line in lines if line.startswith("mobilenet_v2 "))
    assert row[:5] == ["mobilenet_v2", "3,504,872", "300.8", "224", "72.0"]
    assert row[5:] == ["1801.04381,", "Table", "4"]


def test_list_tells_the_cost_of_detectors_and_their_published_accuracy(run, run_json):
    detectors = {net["name"]: net for net in run_json("list", "--task", "detection")}
    # torchvision prints these for its own; the paper's Table 6.
    assert detectors["ssdlite320_mobilenet_v3_large"]["parameters"] == 3_440_060
    assert detectors["ssdlite_mobilenet_v3_small_halved"]["ap"] == 16.1
    lines = run("list", "--task", "detection").stdout.splitlines()
    row = next(line.split() for line in lines if line.startswith("ssdlite_mnasnet_a1"))
    assert row[3:] == ["320", "23.0", "1807.11626"]


def test_list_tells_the_cost_of_segmenters_and_their_published_accuracy(run, run_json):
    nets = {net["name"]: net for net in run_json("list", "--task", "segmentation")}
    # torchvision prints these for its own; the paper's Table 7.
    torchvision = nets["lraspp_mobilenet_v3_large_torchvision"]
    assert (torchvision["parameters"], torchvision["miou"]) == (3_221_538, 57.9)
    assert nets["lraspp_mobilenet_v3_small"]["miou"] == 68.38
    lines = run("list", "--task", "segmentation").stdout.splitlines()
    row = next(line.split() for line in lines if line.startswith("lraspp_mobilenet_v1"))
    assert row[3:] == ["769", "not", "published"]


def test_profile_takes_a_segmenter_by_its_name(run_json):
    report = run_json("profile", "lraspp_mobilenet_v2", "--width", 0.5)
    assert (report["num_classes"], report["resolution"]) == (19, 769)
    # MobileNetV3, Table 7, prints 0.28 M.
    assert f"{report['parameters'] / 1e6:.2f}" == "0.28"
    rows = {row["name"]: row for row in report["layers"]}
    assert rows["low_level_logits"]["output"] == [97, 97, 19]


def test_profile_takes_a_detector_by_its_name(run_json):
    report = run_json("profile", "ssdlite_mobilenet_v2", "--width", 0.5)
    assert report["num_classes"] == 90
    # 1.562 M of TensorFlow's model with its batch norm, as counted by hand.
    assert report["parameters"] == pytest.approx(1.562e6, abs=500)
    assert report["layers"][-1]["name"] == "class_predictor5"


def test_profile_is_the_papers_table_with_costs(run_json):
    report = run_json("profile", "mobilenet_v2")
    layers = report.pop("layers")
    assert report == {
        "name": "mobilenet_v2",
        "resolution": 224,
        "num_classes": 1000,
        "parameters": 3_504_872,  # Keras', torchvision's and timm's
        "madds": 300_774_272,
        "activation_bytes": sum(row["activation_bytes"] for row in layers),
    }
    assert [row["name"] for row in layers] == [
        "stem",
        *(f"block{i}" for i in range(17)),
        "head_conv",
        "logits",
    ]
    # 1801.04381, Table 2, second row of bottlenecks: 112 x 112 x 16, t = 6, c = 24,
    # s = 2, so 96 channels expanded at 112, filtered and projected at 56.
    assert layers[2] == {
        "name": "block1",
        "operator": "inverted residual",
        "kernel_size": 3,
        "stride": 2,
        "expansion": 6.0,
        "se_channels": None,
        "output": [56, 56, 24],
        "parameters": 16 * 96 + 9 * 96 + 96 * 24 + 2 * (96 + 96 + 24),
        "madds": 112**2 * 16 * 96 + 56**2 * (9 * 96 + 96 * 24),
        "activation_bytes": 4 * (112**2 * 96 + 56**2 * (96 + 24)),
    }
    assert layers[-1] == {
        "name": "logits",
        "operator": "dense",
        "kernel_size": None,
        "stride": None,
        "expansion": None,
        "se_channels": None,
        "output": [1, 1, 1000],
        "parameters": 1281 * 1000,
        "madds": 1280 * 1000,
        "activation_bytes": 4 * 1000,
    }


# fmt: off
ROWS = [
    # network, row, operator, kernel, stride, expansion, SE, output
    ("mobilenet_v1", 2, "depthwise separable", 3, 2, 1, None, (56, 56, 128)),
    ("mobilenet_v3_large", 4, "inverted residual", 5, 2, 3, 24, (28, 28, 40)),
    ("mobilenet_v3_large", -3, "conv", 1, 1, None, None, (7, 7, 960)),
    ("mobilenet_v3_large", -2, "dense", None, None, None, None, (1, 1, 1280)),
    ("efficientnet_b0", 1, "inverted residual", 3, 1, 1, 8, (112, 112, 16)),
    ("se_mobilenet_v1", 1, "depthwise separable", 3, 1, 1, 4, (112, 112, 64)),
    ("resnet50", 0, "conv, max pool", 7, 2, None, None, (56, 56, 64)),
    ("resnet50", 4, "bottleneck", 3, 2, 0.5, None, (28, 28, 512)),
    ("se_resnet50", 2, "bottleneck", 3, 1, 0.25, 16, (56, 56, 256)),
]
# fmt: on


@pytest.mark.parametrize("expected", ROWS)
def test_a_row_is_that_of_the_papers_table(expected):
    name, i, operator, kernel_size, stride, expansion, se, output = expected
    row = profile_table.rows(get_spec(name))[i]
    assert row.operator == operator
    assert (row.kernel_size, row.stride) == (kernel_size, stride)
    assert (row.expansion, row.se_channels) == (expansion, se)
    assert row.output == output


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rows_add_up_to_the_whole_network(name):
    spec = get_spec(name)
    for num_classes in (1000, 0):
        rows = profile_table.rows(spec, num_classes)
        layers = complexity.layers(spec, num_classes)
        assert len({row.name for row in rows}) == len(rows)
        assert sum(row.parameters for row in rows) == complexity.params(
            spec, num_classes
        )
        assert sum(row.madds for row in rows) == complexity.madds(spec, num_classes)
        assert sum(row.activation_bytes for row in rows) == 4 * sum(
            layer.activations for layer in layers
        )


def test_profile_takes_a_resolution_multipliers_and_classes(run_json):
    report = run_json(
        *("profile", "resnet50", "--resolution", 96, "--width", 0.5, "--depth", 2),
        *("--num-classes", 10),
    )
    spec = get_spec("resnet50", resolution=96, width_multiplier=0.5, depth_multiplier=2)
    assert report["resolution"] == 96
    assert report["parameters"] == complexity.params(spec, 10)
    assert report["madds"] == complexity.madds(spec, 10)
    assert report["layers"][-1]["output"] == [1, 1, 10]


def test_scale_tells_what_equation_3_gives(run_json):
    report = run_json("scale", "efficientnet", "--phi", 3)
    near = report.pop("nearest_released")
    assert report == {
        "family": "efficientnet",
        "coefficients": {"alpha": 1.2, "beta": 1.1, "gamma": 1.15},
        "phi": 3.0,
        "multipliers": {"depth": 1.728, "width": 1.331, "resolution": 1.520875},
        "resolution": 341,
        "parameters": scaling.scaled_net("efficientnet", 3).params,
        "madds": scaling.scaled_net("efficientnet", 3).madds,
        "madds_to_baseline": pytest.approx(3250.9 / 385.8, rel=1e-3),
        "dropout_rate": pytest.approx(0.2 + 0.9 / 7),
    }
    # 3.25 billion MAdds: 0.74 of B4's 4.39, but 1.78 of B3's 1.83.
    assert near["name"] == "efficientnet_b4"
    assert near["parameters"] == 19_341_616


def test_scale_along_one_dimension_and_with_other_coefficients(run_json):
    report = run_json("scale", "mobilenet_v2", "--along", "width", "--phi", 2)
    assert report["multipliers"] == {"depth": 1, "width": 2, "resolution": 1}
    spec = get_spec("mobilenet_v2", width_multiplier=2.0)
    assert report["parameters"] == complexity.params(spec)
    assert "nearest_released" not in report
    report = run_json(
        *("scale", "mobilenet_v2", "--along", "depth", "--phi", 1),
        *("--alpha", 1.5, "--beta", 1.25, "--gamma", 1.125),
    )
    assert report["multipliers"] == {"depth": 1.5, "width": 1.25, "resolution": 1.125}


@pytest.mark.parametrize("budget", ["600M", "0.6g", "600000K", "6e8", "600000000"])
def test_scale_finds_the_largest_network_within_a_budget(run_json, budget):
    report = run_json("scale", "mobilenet_v2", "--max-madds", budget)
    net = scaling.largest("mobilenet_v2", max_madds=600_000_000)
    assert (report["phi"], report["madds"]) == (net.phi, net.madds)


def test_scale_takes_a_budget_of_parameters_too(run_json):
    report = run_json(
        *("scale", "efficientnet", "--max-madds", "2G", "--max-parameters", "8M")
    )
    net = scaling.largest("efficientnet", max_madds=2e9, max_params=8e6)
    assert report["phi"] == net.phi
    assert 7e6 < report["parameters"] <= 8e6


def test_scale_alone_is_phi_0_to_7_beside_the_released_networks(run_json):
    report = run_json("scale", "efficientnet")
    assert [net["phi"] for net in report["nets"]] == list(range(8))
    assert report["nets"][0]["parameters"] == 5_288_548
    names = [net["name"] for net in report["released"]]
    assert names == [f"efficientnet_b{i}" for i in range(8)]
    b4 = report["released"][4]
    assert b4["parameters"] == 19_341_616
    assert b4["resolution"] == 380
    assert b4["dropout_rate"] == 0.4
    rounded = {name: round(phi, 1) for name, phi in b4["implied_phi"].items()}
    assert rounded == {"depth": 3.2, "width": 3.5, "resolution": 3.8}
    assert "released" not in run_json("scale", "resnet50")


def test_scale_draws_a_picture(run, tmp_path):
    path = tmp_path / "scaling.png"
    result = run("scale", "efficientnet", "--plot", path, "--json")
    assert result.exit_code == 0, result.stderr
    json.loads(result.stdout)
    assert path.read_bytes().startswith(b"\x89PNG")


TABLES = [
    ("list",),
    ("profile", "mobilenet_v1"),
    ("profile", "mobilenet_v3_large"),
    ("profile", "efficientnet_b7"),
    ("profile", "se_resnet152"),
    ("scale", "efficientnet"),
    ("scale", "resnet50", "--along", "depth"),
    ("scale", "efficientnet", "--phi", "2.5"),
]


@pytest.mark.parametrize("arguments", TABLES)
def test_a_table_fits_into_80_columns_and_loses_nothing(run, arguments):
    narrow = run_in_terminal(*arguments, columns=80)
    assert max(len(line.rstrip()) for line in narrow) <= 80
    assert "…" not in "".join(narrow)
    piped = run(*arguments).stdout
    assert "\x1b" not in piped
    # The same characters; in a narrow terminal some are on a line of their own.
    assert _characters("".join(narrow)) == _characters(piped)


def _characters(text):
    return sorted("".join(text.replace("─", "").split()))


@pytest.mark.parametrize(
    "command", ["list", pytest.param("profile", marks=pytest.mark.slow), "scale"]
)
def test_the_examples_of_help_work(run, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained.save(small_net(), "runs/mine")  # of which an example tells
    help_text = run(command, "--help").stdout
    examples = re.findall(r"^ +mobilenets (.+)$", help_text, re.MULTILINE)
    assert examples
    for example in examples:
        result = run(*example.split())
        assert result.exit_code == 0, example + result.stderr


WIDTHS = ["--config", "configs/sweeps/width_resolution.py"]

# fmt: off
MISTAKES = [
    (["lst"], "No such command 'lst'. Did you mean 'list'?"),
    (["trian"], "No such command 'trian'. Did you mean 'train'?"),
    (["LIST"], "No such command 'LIST'. Did you mean 'list'?"),
    (["profile", "MobileNetV2"], "did you mean 'mobilenet_v2'? `mobilenets list` prin"),
    (["profile"], "Missing argument"),
    (["profile", "mobilenet_v22"], "'mobilenet_v22': did you mean 'mobilenet_v2'?"),
    (["profile", "mobilenet_v2", "--width", "0"], "width_multiplier must be above 0"),
    (["profile", "mobilenet_v2", "--width", "wide"], "Invalid value for '--width'"),
    (["profile", "mobilenet_v2", "--resolution", "20"], "resolution 20 is too small"),
    (["profile", "mobilenet_v2", "--num-classes", "-1"], "'--num-classes'"),
    (["profile", "moga_a", "--depth", "2"], "option 'depth_multiplier' of moga_a"),
    (["profile", "mobilenet_v2", "--widht", "2"], "No such option: --widht"),
    (["profile", "mobilenet_v2", "--batch", "2"], "--batch applies to a training step"),
    (["profile", "mobilenet_v2", "--dtype", "bfloat16"], "--dtype applies to a train"),
    (["profile", "mobilenet_v2", "--remat"], "--remat applies to a training step: add"),
    (["profile", "mobilenet_v2", "--memory"], "--memory needs --batch"),
    (["profile", "mobilenet_v2", "--memory", "--batch", "0"], "'--batch'"),
    (["profile", "mobilenet_v2", "--memory", "--batch", "1000001"], "'--batch'"),
    (["profile", "mobilenet_v2", "--memory", "--batch", "4", "--num-classes", "0"],
     "--num-classes must not be 0"),
    (["profile", "mobilenet_v2", "--memory", "--batch", "4", "--dtype", "int8"],
     "dtype is 'int8', but must be 'float32' or 'bfloat16'"),
    (["benchmark", "mobilenet_v22"], "'mobilenet_v22': did you mean 'mobilenet_v2'?"),
    (["benchmark", "mobilenet_v2", "--batch", "0"], "'--batch': must be at least 1."),
    (["profile", "mobilenet_v2", "--width", "wide"], "'--width': must be a valid numb"),
    (["report", "/nowhere"], "/nowhere holds no sweep: it has no sweep.json"),
    (["sweep"], "Missing option '--config'"),
    (["sweep", *WIDTHS], "--workdir is missing"),
    (["sweep", "--config", "configs/sweeps/widths.py"], "Unknown config file"),
    (["sweep", *WIDTHS, "--wrokdir", "runs"], "Did you mean --workdir?"),
    (["sweep", *WIDTHS, "--batch-size", "8"], "Did you mean --config.batch_size?"),
    (["sweep", *WIDTHS, "--config.epochs"], "--config.epochs needs a value"),
    (["sweep", *WIDTHS, "--config.epoch=3"], "unknown key epoch (did you mean epochs"),
    (["sweep", *WIDTHS, "--config.epochs=many", "--dry-run"],
     "must be of type float, like 1.0"),
    (["sweep", *WIDTHS, "--workers", "0"], "'--workers'"),
    (["scale", "resnet"], "Unknown family 'resnet': did you mean 'resnet50'?"),
    (["scale", "resnet50", "--along", "dept"], "did you mean 'depth'?"),
    (["scale", "resnet50", "--phi", "nan"], "phi must be a number from -10 to 10"),
    (["scale", "resnet50", "--phi", "30"], "phi must be a number from -10 to 10"),
    (["scale", "resnet50", "--phi", "-8", "--along", "resolution"],
     "The resolution 14 is too small for resnet50: its output stride is 32"),
    (["scale", "resnet50", "--beta", "0.5"], "beta must be from 1 to 2, but is 0.5"),
    (["scale", "resnet50", "--max-madds", "600MB"],
     "--max-madds must be a number above 0, such as 600M, 1.5G or 6e8, but is '600MB'"),
    (["scale", "resnet50", "--max-parameters", "-1"], "--max-parameters must be a nu"),
    (["scale", "resnet50", "--max-parameters", ""], "--max-parameters must be"),
    (["scale", "resnet50", "--max-madds", "nan"], "--max-madds must be a number above"),
    (["scale", "resnet50", "--max-madds", "1K"], "No resnet50 fits into 1,000 MAdds"),
    (["scale", "resnet50", "--phi", "1", "--max-madds", "1G"], "not both"),
    (["scale", "resnet50", "--plot", "x.jpg"], "must be a .png file, but is 'x.jpg'"),
    (["scale", "resnet50", "--plot", "/nowhere/x.png"], "/nowhere/x.png cannot be wri"),
]
# fmt: on


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_and_a_failure(run, arguments, sentence):
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


# fmt: off
EXIT_CODES = [
    (["profile", "mobilenet_v22"], 1), (["sweep", *WIDTHS], 1),
    (["config", "quickstart", "--config.epochs=-1"], 1),
    (["lst"], 2), (["profile", "mobilenet_v2", "--widht", "2"], 2),
    (["sweep", *WIDTHS, "--config.epoch=3"], 2),
    (["config", "quickstart", "--config.epochs=many"], 2),
    (["train", "--config", "quickstrat", "--workdir", "/nowhere"], 2),
    (["eval", "--workdir", "/nowhere"], 1), (["eval"], 2),
]
# fmt: on


@pytest.mark.parametrize(("arguments", "code"), EXIT_CODES)
def test_a_wrong_command_line_has_an_exit_code_of_its_own(run, arguments, code):
    assert run(*arguments).exit_code == code


def test_the_configs_are_listed_and_printed(run, run_json):
    names = run("config").stdout.split()
    assert {"quickstart", "efficientnet_b7", "sweeps/learning_rate"} <= set(names)
    assert run_json("config") == names
    shown = run("config", "quickstart:smoke", "--config.seed", "-0").stdout
    assert re.search(
        r"batch_size +16 +int from 1 to 1,000,000 +128 +Images in one update", shown
    )
    result = run("config", "quickstart", "--config.model.foo=1")
    assert "Unknown option 'foo' of mobilenet_v3_small" in result.stderr
    rows = {r["key"]: r for r in run_json("config", "quickstart", "--config.seed=7")}
    assert (rows["seed"]["value"], rows["seed"]["default"]) == (7, 0)


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("mobilenets pre", ["prepare", "pretrained", "predict"]),
        ("mobilenets train --wor", ["--workdir"]),
    ],
)
def test_a_shell_completes_commands_and_options(run, monkeypatch, words, completions):
    monkeypatch.setenv("_MOBILENETS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert run().stdout.split() == completions


def test_without_a_command_the_help_is_shown(run):
    result = run()
    assert result.exit_code == 0
    assert result.stdout == run("--help").stdout
    for command in ("list", "profile", "scale", "sweep", "report", "benchmark"):
        assert f"\n  {command} " in result.stdout


def in_a_process(code_or_module, *arguments):
    return subprocess.run(
        [sys.executable, *code_or_module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_ctrl_c_is_told_and_ends_the_process_at_once(monkeypatch, capfd):
    app = typer.Typer()

    @app.command()
    def interrupted():
        raise KeyboardInterrupt

    def end(code):
        raise RuntimeError(f"ended with {code}")

    # Python's own end crashes in the middle of a compilation, see `command_line.run`.
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(sys, "argv", ["mobilenets"])
    with pytest.raises(RuntimeError, match="ended with 130"):
        command_line.run(app)
    assert capfd.readouterr().err == "\nStopped.\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a.png"),
            "a.png: No such file.",
        ),
    ],
)
def test_what_the_system_refuses_late_is_said_without_a_traceback(
    monkeypatch, capsys, error, sentence
):
    """Such as a full disk, when a picture is written."""
    app = command_line.new_app()

    @app.command()
    def write():
        raise error

    monkeypatch.setattr(sys, "argv", ["mobilenets"])
    with pytest.raises(SystemExit) as end:
        command_line.run(app)
    assert end.value.code == 1
    assert capsys.readouterr().err == f"error: {sentence}\n"


def test_a_mistake_in_a_process_of_its_own():
    result = in_a_process(["-m", "mobilenets"], "scale", "resnet", "--phi", "1")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: Unknown family 'resnet': did you mean 'resnet50'? Choose from: "
        "efficientnet, mobilenet_v1, mobilenet_v2, resnet50.\n"
    )


@pytest.mark.parametrize(
    "arguments", [["list"], ["profile", "moga_a"], ["scale", "efficientnet"]]
)
def test_a_command_is_instant_since_it_imports_nothing_heavy(arguments):
    code = """
import sys
from mobilenets.cli.main import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    result = in_a_process(["-c", code], *arguments)
    assert result.returncode == 0, result.stderr
    heavy = {"jax", "flax", "matplotlib", "numpy", "tensorflow", "grain"}
    assert not heavy & set(result.stderr.split())
