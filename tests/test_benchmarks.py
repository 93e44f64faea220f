"""The benchmarks: what they conclude and how they drive the sides; never a time."""

import dataclasses
import doctest
import importlib
import json
import mmap
import pathlib
import re
import runpy
import sys
import types

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import compile as compile_benchmark
from benchmarks import (
    depthwise,
    detection,
    export,
    inference,
    input_pipeline,
    photographs,
    picture,
    report,
    search,
    settings,
    summary,
    training,
)
from benchmarks.driver import Contestant, FailedError, Measurement, Session
from benchmarks.sides import OURS, SIDES, jax_side
from benchmarks.sides import __main__ as sides_main
from benchmarks.sides.__main__ import durations, peak_memory
from benchmarks.workloads import (
    NAMES,
    Copy,
    Depthwise,
    Detector,
    InputPipeline,
    MatrixProduct,
    Network,
    Segmentation,
)
from mobilenets import get_spec
from mobilenets.errors import UserError
from mobilenets.networks import complexity
from mobilenets.networks.architectures.deeplab import get_segmenter
from mobilenets.networks.architectures.ssd import with_scores
from mobilenets.networks.spec import with_backbone
from mobilenets.nn.classifier import Classifier
from mobilenets.pretrained.libraries import keras, timm
from mobilenets.search import definition
from mobilenets.search.command import task_of
from tests.small_detector import small_detector
from tests.small_search import write_files

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
NETWORK = Network("mobilenet_v1", 2, 32, dropout_rate=0.0, drop_path_rate=0.0)

# Speaks as a side does. It writes down when a request begins and ends, and fails at its
# second measurement if that is its way.
FAKE_SIDE = """
import json, sys
name, log, way = sys.argv[1:]
print(json.dumps({"versions": {"fake": "1.0"}, "device": {"platform": "cpu"}}))
sys.stdout.flush()
measurements = 0
for line in sys.stdin:
    request = json.loads(line)
    with open(log, "a") as file:
        print(name, request["do"], "begins", file=file, flush=True)
        measurements += request["do"] == "measure"
        if way == "fails" and measurements == 2:
            raise ValueError("the bug")
        if way in ("notes", "no words") and measurements == 2:
            error = ValueError("the bug") if way == "notes" else MemoryError()
            error.add_note("Set a variable to see more.")
            raise error
        if way == "leaves" and measurements == 2:
            sys.exit()
        if way == "dies" and measurements == 2:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        print(name, request["do"], "ends", file=file, flush=True)
    answers = {"measure": {"seconds": [1.0, 9.0, 2.0]}, "peak_memory": {"bytes": 7}}
    print(json.dumps(answers.get(request["do"], {})))
    sys.stdout.flush()
"""


@pytest.fixture
def fake(tmp_path):
    """Makes contestants of `FAKE_SIDE`, which write into `tmp_path / "log"`."""
    script = tmp_path / "side.py"
    script.write_text(FAKE_SIDE)

    def fake(name, way="works"):
        command = (sys.executable, str(script), name, str(tmp_path / "log"), way)
        return Contestant(name, command)

    return fake


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a benchmark as typed; returns what it printed and the JSON it wrote."""
    monkeypatch.setattr(report, "MatrixProduct", lambda: MatrixProduct(size=64))
    monkeypatch.setattr(report, "Copy", lambda: Copy(elements=1024))

    def run(benchmark, *arguments):
        output = tmp_path / "results"
        command = ["training.py", *map(str, arguments), "--output", str(output)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            settings.run(benchmark, epilog="")
        assert not end.value.code, end.value.code
        (file,) = output.glob("*.json")
        return capsys.readouterr().out, json.loads(file.read_text())

    return run


@pytest.mark.parametrize(
    "name", ["benchmarks.summary", "benchmarks.report", "benchmarks.depthwise"]
)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted and not result.failed


# Numbers.


def test_the_result_is_the_median_of_the_medians_of_the_rounds():
    # Rounds: 2, 4, 10. All calls together would have the median 3.
    rounds = [[1.0, 2.0, 30.0], [4.0], [2.0, 2.0, 10.0, 50.0, 60.0]]
    assert summary.median(Measurement(rounds)) == 4.0


def test_a_peer_that_takes_twice_our_time_has_the_ratio_2():
    measured = {
        "ours": Measurement([[0.1], [0.2], [0.3]], peak_bytes=100),
        "torch": Measurement([[0.4], [0.4], [0.5]], peak_bytes=50),
        "flax": Measurement([[0.05]] * 3),
    }
    ours, torch, flax = summary.rows("", "", measured, images=8)
    assert (ours.ratio, torch.ratio, flax.ratio) == (1.0, 2.0, 0.25)
    assert (torch.memory_ratio, flax.memory_ratio) == (0.5, None)
    assert torch.images_per_second == pytest.approx(20.0)


def test_processes_share_their_rounds():
    first = Measurement([[1.0]], peak_bytes=7)
    second = Measurement([[2.0], [3.0]], peak_bytes=5)
    assert first + second == Measurement([[1.0], [2.0], [3.0]], peak_bytes=7)
    failed = second + Measurement(failure="crashed") + first
    assert failed.failure == "crashed" and failed.peak_bytes == 7
    assert summary.median(failed) is None
    assert (Measurement() + Measurement()).peak_bytes is None


def test_a_side_that_failed_has_no_result():
    measured = {
        "ours": Measurement([[1.0]]),
        "torch": Measurement([[1.0]], failure="crashed"),
    }
    _, torch = summary.rows("", "", measured)
    assert torch.median is None and torch.ratio is None


def test_calls_are_timed_until_they_have_taken_the_seconds_asked_for():
    assert len(durations(lambda: None, 0.0)) == 1
    assert sum(durations(lambda: None, 0.01)) >= 0.01


def test_work_of_the_machine_s_limits():
    # 2 x 2 matrices: four dot products of two multiplications and two additions.
    assert MatrixProduct(size=2).operations == 16
    assert Copy(elements=10).bytes == 80  # 40 read, 40 written


@pytest.mark.skipif(sys.platform != "linux", reason="the mark is Linux's")
def test_peak_memory_is_that_of_the_step_alone(monkeypatch):
    # Other tests have left processes that this one has started.
    monkeypatch.setattr(sides_main, "memory_with_children", lambda: 0)

    def allocate(megabytes):
        # Not of the heap, which may keep what was freed.
        with mmap.mmap(-1, megabytes * 2**20) as block:
            for page in range(0, len(block), mmap.PAGESIZE):
                block[page] = 1

    module = types.SimpleNamespace(accelerator_peak=lambda step: None)
    allocate(512)
    small = peak_memory(module, lambda: allocate(1))
    large = peak_memory(module, lambda: allocate(256))
    assert 200 * 2**20 < large - small < 300 * 2**20


def test_on_an_accelerator_the_memory_is_the_device_s():
    module = types.SimpleNamespace(accelerator_peak=lambda step: 123)
    assert peak_memory(module, lambda: None) == 123


# Driving.


def test_sides_run_in_turn_and_in_changing_order(fake, tmp_path):
    with Session([fake("a"), fake("b"), fake("c")]) as session:
        measured = session.compare("training", NETWORK, repeats=6, seconds=0)
    assert [m.rounds for m in measured.values()] == [[[1.0, 9.0, 2.0]] * 6] * 3
    log = (tmp_path / "log").read_text().splitlines()
    # What begins ends before anything else begins.
    assert [line.replace("begins", "ends") for line in log[::2]] == log[1::2]
    order = [line[0] for line in log[::2] if "measure" in line]
    rounds = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len(set(rounds)) > 1
    assert sum("build" in line for line in log[::2]) == 3  # once for each side


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("fails", "crashed: ValueError: the bug"),
        ("notes", "crashed: ValueError: the bug"),
        ("no words", "crashed: MemoryError"),
        ("leaves", "ended with exit code 0 and no answer"),
        ("dies", "ended by signal 9"),
    ],
)
def test_a_side_that_crashes_says_so_and_disturbs_no_other(fake, way, reason):
    with Session([fake("good"), fake("bad", way)]) as session:
        measured = session.compare("training", NETWORK, 3, 0, with_memory=True)
        again = session.compare("inference", NETWORK, 1, 0)
    assert measured["bad"].failure == reason
    assert measured["good"] == Measurement([[1.0, 9.0, 2.0]] * 3, peak_bytes=7)
    # The next workload has a new process.
    assert again["bad"] == Measurement([[1.0, 9.0, 2.0]])


def test_one_at_a_time_no_process_outlives_its_turn(fake, tmp_path):
    with Session([fake("a"), fake("b")], one_at_a_time=True) as session:
        session.compare("training", NETWORK, repeats=2, seconds=0)
    builds = [
        line[0]
        for line in (tmp_path / "log").read_text().splitlines()
        if line.endswith("build begins")
    ]
    # To warm up, which says early who fails, and for each of two rounds.
    assert sorted(builds) == ["a"] * 3 + ["b"] * 3


def test_who_is_not_installed_is_skipped_and_the_table_says_so(fake):
    # -S hides what is installed beside the standard library.
    command = (sys.executable, "-S", "-m", "benchmarks.sides", "torch", "1")
    torch = Contestant("torch", command, SIDES["torch"].install)
    with Session([fake("ours"), torch]) as session:
        measured = session.compare("training", NETWORK, repeats=1, seconds=0)
    rows = summary.rows("", "mobilenet_v1", measured)
    notes = list(report.table(rows).columns[-1].cells)
    assert notes == ["", "not installed: torch; pip install torch timm"]


@pytest.mark.parametrize(
    ("ratios", "marked"),
    [((0.5, 2.0), [0.5, 1, 2]), ((0.3, 60.0), [1, 10, 100])],  # 4 and 800 times apart
)
def test_the_marks_of_a_wide_picture_are_decades(ratios, marked):
    axis = Figure().subplots()
    picture._draw_panel(axis, "", [("a network", "flax", ratio) for ratio in ratios])
    lowest, highest = axis.get_xlim()
    assert [mark for mark in axis.get_xticks() if lowest <= mark <= highest] == marked


def test_every_side_has_a_colour_in_pictures():
    for side in SIDES:
        assert side == OURS or picture._look(side)["facecolor"], side


def test_a_side_on_another_platform_says_so():
    measured = {name: Measurement([[1.0]]) for name in ("ours", "torch")}
    rows = summary.rows("", "mobilenet_v1", measured)
    devices = {"ours": {"platform": "gpu"}, "torch": {"platform": "cpu"}}
    cells = [list(column.cells) for column in report.table(rows, devices).columns]
    assert ["ours", "torch + timm (on cpu)"] in cells


def test_the_cache_is_an_empty_folder_and_then_the_same_one():
    asked = []

    class FakeSession:
        names = ("ours", "flax")

        def ask_new(self, name, do, task, workload, cache):
            entries = list(pathlib.Path(cache).iterdir())
            asked.append((name, cache, bool(entries)))
            if name == "flax":
                raise FailedError("crashed: out of memory")
            (pathlib.Path(cache) / "entry").touch()
            return {"seconds": {"trace": 1.0, "compile": 2.0 + bool(entries)}}

    measured = compile_benchmark.time_phases(FakeSession(), "", NETWORK, repeats=2)
    ours = [request[1:] for request in asked if request[0] == "ours"]
    (a, _), (b, _), (c, _), (d, _) = ours
    assert a == b != c == d
    assert [is_warm for _, is_warm in ours] == [False, True, False, True]
    assert measured["compile, cold"]["ours"].rounds == [[2.0], [2.0]]
    assert measured["compile, warm"]["ours"].rounds == [[3.0], [3.0]]
    assert measured["trace, warm"]["flax"].failure == "crashed: out of memory"


# What is run.


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_the_same_in_all_libraries(name):
    names = NAMES[name]
    options = {k: v for k, v in names.keras_options.items() if k == "minimalistic"}
    arguments = ", ".join(f"{key}={value}" for key, value in options.items())
    their_keras = names.keras + (f"({arguments})" if arguments else "")
    expected = complexity.params(get_spec(name))
    assert complexity.params(timm.LIBRARY.models[names.timm].spec) == expected
    assert complexity.params(keras.LIBRARY.models[their_keras].spec) == expected


def test_the_depthwise_shapes_are_those_of_the_papers_tables():
    # MobileNetV1, Table 1: "Conv dw / s1, 112x112x32" … "Conv dw, 7x7x1024".
    v1 = depthwise.shapes(dataclasses.replace(NETWORK, resolution=224))
    assert v1[:2] == [Depthwise(3, 1, 32, 112, 2), Depthwise(3, 2, 64, 112, 2)]
    assert (len(v1), v1[-1]) == (13, Depthwise(3, 1, 1024, 7, 2))
    # MobileNetV3-Large, Table 1, fourth bottleneck: 5x5, stride 2, 72 wide.
    v3 = dataclasses.replace(NETWORK, model="mobilenet_v3_large", resolution=224)
    assert depthwise.shapes(v3)[3] == Depthwise(5, 2, 72, 56, 2)


@pytest.mark.parametrize("stride", [1, 2])
def test_both_forms_of_a_depthwise_convolution_give_the_same(stride):
    workload = Depthwise(kernel_size=3, stride=stride, channels=4, size=7, batch=2)
    for build in (jax_side.depthwise_forward, jax_side.depthwise_training):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
            build("auto", workload)(),
            build("native", workload)(),
        )


def test_a_training_step_updates_everything(monkeypatch):
    spec = get_spec("mobilenet_v1")
    tiny = Classifier(with_backbone(spec, blocks=spec.backbone.blocks[:1]))
    monkeypatch.setattr(jax_side.mobilenets, "create_model", lambda *a, **k: tiny)
    step, (state, images, labels) = jax_side._training("auto", NETWORK)
    before = jax.device_get(state)
    after = jax.device_get(step(state, images, labels))
    unchanged = jax.tree.map(np.array_equal, before, after)
    assert not any(jax.tree.leaves(unchanged))


@pytest.fixture
def small(monkeypatch):
    """The detector's side with a small one, of softmax scores as torchvision's."""
    spec = with_scores(small_detector(), "softmax")
    monkeypatch.setattr(jax_side, "get_detector", lambda name: spec)


def test_a_detector_s_training_step_updates_everything(small):
    step, (state, images) = jax_side._detector_training("auto", Detector(2))
    before = jax.device_get(state)
    after = jax.device_get(step(state, images))
    unchanged = {
        path
        for (path, old), new in zip(
            jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True
        )
        if np.array_equal(old, new)
    }
    names = {jax.tree_util.keystr(path) for path in unchanged}
    # On the coarsest map no anchor has an object or is among the hardest.
    assert all("predictor2" in name or "extra0" in name for name in names), names
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))


def test_a_detector_s_inference_ends_with_the_five_classes_that_are_shown(small):
    found = jax_side.detector_inference("auto", Detector(2))()
    assert set(np.unique(found.classes)) <= {-1, *range(5)}
    assert (found.classes >= 0).any(axis=1).all()


def test_the_boxes_of_the_detector_s_images_are_in_them():
    workload = Detector(batch=16)
    for image in range(workload.batch):
        boxes = np.array(workload.corners(image))
        assert boxes.shape == (8, 4)
        assert (boxes >= 0).all() and (boxes <= 1).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 0.08 - 1e-9).all()
        assert set(workload.classes(image)) <= set(range(1, 91))
    assert len(Detector.BIASES) == 91


def test_a_training_step_of_a_segmenter_updates_everything(monkeypatch):
    spec = get_segmenter("lraspp_mobilenet_v1", resolution=32, width_multiplier=0.25)
    spec = with_backbone(spec, blocks=spec.backbone.blocks[:6])
    monkeypatch.setattr(jax_side, "get_segmenter", lambda *a, **k: spec)
    workload = Segmentation(batch=2, resolution=32)
    monkeypatch.setattr(
        jax_side, "_again_and_again", lambda compiled, arguments: (compiled, arguments)
    )
    compiled, (state, images, labels) = jax_side.segmentation_training("auto", workload)
    before = jax.device_get(state)
    after = jax.device_get(compiled(state, images, labels))
    unchanged = jax.tree.map(np.array_equal, before, after)
    assert not any(jax.tree.leaves(unchanged))
    assert labels.shape == (2, 32, 32) and labels.max() == 20


def test_the_files_of_the_input_pipeline_are_of_imagenets_size(tmp_path):
    size = photographs.make(photographs.of_matplotlib(), tmp_path, 4)
    files = sorted(tmp_path.glob("*/*.jpg"))
    assert [path.parent.name for path in files] == ["class0", "class0"] + 2 * ["class1"]
    assert size == sum(path.stat().st_size for path in files) // 4
    # ImageNet's have 110 kB; matplotlib's pictures are softer than photographs.
    assert 40e3 < size <= 125e3
    for path in files:
        with Image.open(path) as image:
            assert sorted(image.size) in ([375, 500], [333, 500])


def test_without_photographs_there_are_no_files(tmp_path):
    with pytest.raises(UserError, match="holds no photographs"):
        photographs.make(tmp_path, tmp_path, 2)


# The commands.


@pytest.mark.slow
def test_detection_of_ours_alone(run):
    arguments = "--batch 1 --repeats 1 --processes 1 --seconds 0 --sides ours"
    _, result = run(detection.detection, *arguments.split())
    training_step, inference_step = result["results"]
    for row in (training_step, inference_step):
        assert not row["failure"] and row["median_seconds"] > 0
        if sys.platform == "linux":
            assert row["peak_bytes"] > 50e6


@pytest.mark.slow
def test_training_of_ours_and_stock_flax(run):
    arguments = "--models mobilenet_v1 --batch 2 --resolution 32 --repeats 2"
    arguments += " --processes 2 --seconds 0 --sides flax,ours --threads 1"
    printed, result = run(training.training, *arguments.split())
    flax, ours = result["results"]
    assert (flax["side"], ours["side"]) == ("flax", "ours")
    for row in (flax, ours):
        assert not row["failure"]
        rounds = row["rounds_of_calls_seconds"]
        assert [len(calls) for calls in rounds] == [1] * 4  # 2 rounds, 2 processes
        middle = sorted(calls[0] for calls in rounds)[1:3]
        assert row["median_seconds"] == pytest.approx(sum(middle) / 2)
        assert row["images_per_second"] == pytest.approx(2 / row["median_seconds"])
        if sys.platform == "linux":
            assert row["peak_bytes"] > 50e6
    assert flax["ratio"] == flax["median_seconds"] / ours["median_seconds"]
    assert result["machine"]["threads"] == 1 and result["machine"]["flops"] > 0
    assert result["versions"]["ours"]["jax"] == jax.__version__
    assert "stock Flax" in printed and result["command"] in printed
    path = printed.split("Drawn in ")[1].strip().removesuffix(".")
    with Image.open(path) as image:
        assert image.format == "PNG" and min(image.size) > 100
        assert len(np.unique(np.asarray(image))) > 10  # not a blank page


@pytest.mark.slow
def test_the_input_pipeline_of_ours_alone(run, monkeypatch):
    monkeypatch.setattr(InputPipeline, "BATCHES", 2)
    arguments = "--batch 2 --resolution 16 --files 4 --processes 1 --repeats 1"
    arguments += " --seconds 0 --sides ours"
    printed, result = run(input_pipeline.input_pipeline, *arguments.split())
    crop, policy = result["results"]
    assert (crop["case"], policy["case"]) == ("crop", "rand augment")
    for row in (crop, policy):
        assert not row["failure"]
        assert row["images_per_second"] == pytest.approx(2 * 2 / row["median_seconds"])
    assert "4 JPEGs" in printed


def test_inference_of_ours_alone(run):
    arguments = "--models mobilenet_v1 --batch 2 --resolution 32 --processes 1"
    printed, result = run(
        inference.inference, *arguments.split(), "--seconds", "0.01", "--sides", "ours"
    )
    (row,) = result["results"]
    assert row["ratio"] == 1.0 and row["peak_bytes"] is None
    assert all(sum(calls) >= 0.01 for calls in row["rounds_of_calls_seconds"])
    assert "Drawn" not in printed  # there is nobody to compare with


@pytest.mark.slow
def test_exported_files_beside_ours(run):
    arguments = "--models mobilenet_v1 --batches 1,2 --resolution 32 --processes 1"
    printed, result = run(
        *(export.export, *arguments.split(), "--repeats", "1", "--seconds", "0"),
        *("--sides", "ours,onnx_file"),
    )
    rows = result["results"]
    assert [(row["panel"], row["side"]) for row in rows] == [
        *(("batch 1", "ours"), ("batch 1", "onnx_file")),
        *(("batch 2", "ours"), ("batch 2", "onnx_file")),
    ]
    assert not any(row["failure"] for row in rows)
    assert rows[1]["ratio"] == rows[1]["median_seconds"] / rows[0]["median_seconds"]
    # MobileNetV1 has 4.2 million parameters of 4 bytes: Table 8.
    (sizes,) = re.findall(r"│ mobilenet_v1 │(.*)│", printed)
    found = [size.strip() for size in sizes.split("│")]  # a dash: not installed
    assert len(found) == 3 and found[0] != "-" != found[2]
    assert all(16 < float(size) < 18 for size in found if size != "-")


def test_batches_are_whole_numbers(tmp_path):
    for text in ("0", "1,x", "", "1;2", "-1"):
        with pytest.raises(UserError, match="must be whole numbers from 1"):
            export._numbers(text)
    assert export._numbers("32, 1,1") == [32, 1]


def test_a_failure_of_ours_fails_the_command_and_loses_nothing(tmp_path, capsys):
    options = settings.check("ours", ["ours"], 0, None, tmp_path)
    machine = report.Machine("A CPU", 2, "cpu", 0.1, 250e9, 14.7e9)
    measured = {
        "ours": Measurement(failure="crashed: no memory"),
        "torch": Measurement([[1.0]]),
    }
    rows = summary.rows("time", "a network", measured)
    with pytest.raises(UserError, match="time, a network: ours crashed: no memory"):
        report.publish("training", "A step", options, machine, Session([]), rows)
    (file,) = tmp_path.glob("*.json")
    assert len(json.loads(file.read_text())["results"]) == 2
    assert "1,000" in capsys.readouterr().out  # milliseconds, torch's


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--models mobilnet_v2", "did you mean 'mobilenet_v2'?"),
        ("--sides ours,tourch", "Unknown side 'tourch': did you mean 'torch'?"),
        ("--sides litert", "Unknown side 'litert'"),  # it cannot train
        ("--python torch", "--python must be like torch=FILE"),
        ("--python torch=/no/python", "'/no/python' is not a program"),
        ("--python torch=", "--python torch: '' is not a program"),
        ("--python jax=python", "Unknown environment 'jax'"),
        ("--threads 100000", "but there are"),
        ("--resolution 8", "too small for mobilenet_v1"),
        ("--repeats none", "See --help."),
    ],
)
def test_a_mistake_is_one_sentence(monkeypatch, capsys, tmp_path, arguments, sentence):
    arguments = [*arguments.split(), "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["training.py", *arguments])
    with pytest.raises(SystemExit) as end:
        settings.run(training.training, epilog="")
    assert end.value.code in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said


@pytest.mark.parametrize(
    "name",
    [
        "training",
        "inference",
        "compile",
        "depthwise",
        "detection",
        "segmentation",
        "input_pipeline",
    ],
)
def test_help_has_examples(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    assert not end.value.code
    assert f"\n    python -m benchmarks.{name}\n" in capsys.readouterr().out


def test_a_search_is_extrapolated_to_all_candidates_of_moga():
    found = search.Found(
        step_seconds=[0.5, 0.7, 0.6],
        step_cpu_seconds=1.1,
        step_bytes=200_000_000,
        warm_up_seconds=15.4,
        candidates=700,
        seconds=35.0,
        cpu_seconds=70.0,
        computed=300,
        asked_for=1200,
        peak_bytes=1_500_000_000,
    )
    rows = dict(search.rows(found))
    assert rows["step of the supernet"] == "600 ms"
    assert rows["candidates per second"] == "20.0"
    assert rows["pieces that were shared"] == "75%"
    # 8,400 of 50 ms.
    assert rows["8,400 candidates"] == "7.0 min"
    assert rows["8,400 candidates, CPU time"] == "14.0 min"


@pytest.mark.slow
def test_a_search_in_a_small_space_is_measured(tmp_path):
    given = definition.load(str(write_files(tmp_path) / "search.py"))
    found = search.measure(given, task_of(given), candidates=4, steps=2)
    assert len(found.step_seconds) == 2 and found.step_bytes > 0
    assert found.candidates == 4 and found.asked_for == 4 * 5  # stem, 3 blocks, head
    # Stem and first block once, and of four networks with three choices two alike.
    assert 0 < found.computed < found.asked_for - 2 * 3
