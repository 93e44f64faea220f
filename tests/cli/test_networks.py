"""The commands take a workdir, a folder of weights, or a name."""

import json

import pytest

from mobilenets import UserError, complexity, get_spec, replace
from mobilenets.cli import networks
from mobilenets.inference import trained
from mobilenets.profiling import latency
from mobilenets.profiling.latency import Latency
from tests.inference.test_trained import backbone_net, small_net


@pytest.fixture
def weights(tmp_path):
    trained.save(small_net(classes=("cat", "dog", "owl")), str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_a_folder_has_the_classes_and_the_resolution_of_its_weights(weights):
    net = networks.network(str(weights))
    assert net.spec == trained.describe(str(weights)).network
    assert (net.num_classes, net.folder) == (3, str(weights))
    larger = networks.network(str(weights), resolution=64)
    assert larger.spec == replace(net.spec, resolution=64)
    named = networks.network("mobilenet_v2", width_multiplier=0.5)
    assert named.spec == get_spec("mobilenet_v2", width_multiplier=0.5)
    assert (named.num_classes, named.folder) == (1000, "")


def test_of_a_name_that_is_a_folder_too_the_network_decides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mobilenet_v2").mkdir()
    assert networks.network("mobilenet_v2").folder == ""
    (tmp_path / "mobilenet_v2").rmdir()
    trained.save(small_net(), "mobilenet_v2")
    assert networks.network("mobilenet_v2").folder == "mobilenet_v2"
    assert networks.weights("mobilenet_v2") == "mobilenet_v2"


def test_a_pretrained_network_is_fetched_once(tmp_path, monkeypatch):
    from mobilenets.pretrained import importing

    fetched = []

    def fetch(name):
        fetched.append(name)
        return small_net()

    monkeypatch.setattr(importing, "fetch", fetch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("efficientnet_lite0", "efficientnet_lite0", "timm/a.b"):
        folder = networks.weights(name)
        assert folder == str(tmp_path / "mobilenets" / name)
        assert trained.describe(folder) == small_net().description
    assert fetched == ["efficientnet_lite0", "timm/a.b"]


def test_what_is_neither_is_one_sentence_with_a_close_name():
    with pytest.raises(UserError) as error:
        networks.weights("eficientnet_lite1")
    assert str(error.value) == (
        "There is no folder eficientnet_lite1, and no pretrained network "
        "'eficientnet_lite1': did you mean 'efficientnet_lite1'? Choose from: "
        "efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, mobilenet_v2, "
        "ssd_mobilenet_v2_open_images, ssdlite_mobilenet_v2_pedestrians, "
        "timm/MODEL.TAG."
    )
    with pytest.raises(UserError, match="no architecture 'moga_d': did you mean 'moga"):
        networks.network("moga_d")


def test_profile_of_weights_counts_them(run_json, weights):
    found = run_json("profile", weights)
    spec = trained.describe(str(weights)).network
    assert (found["num_classes"], found["resolution"]) == (3, 32)
    assert found["parameters"] == complexity.params(spec, 3)
    assert run_json("profile", weights, "--num-classes", 5)["layers"][-1]["output"] == [
        *(1, 1, 5)
    ]


def test_profile_and_its_memory_of_a_backbone(run, run_json, tmp_path):
    net = backbone_net()
    trained.save(net, str(tmp_path / "backbone"))
    found = run_json("profile", tmp_path / "backbone")
    assert found["parameters"] == complexity.params(net.description.network)
    refused = run("profile", tmp_path / "backbone", "--num-classes", 5)
    assert "is a backbone without logits: leave out --num-classes" in refused.stderr


def test_the_memory_is_that_of_a_training_from_the_weights(
    run,
    weights,
    monkeypatch,
    capsys,
):
    from mobilenets.profiling import memory_profile

    class Compiled(Exception):
        pass

    def step_of(task, mesh):
        raise Compiled(task.model)

    monkeypatch.setattr(memory_profile, "jitted_functions", step_of)
    with pytest.raises(Compiled) as compiled:
        run("profile", weights, "--resolution", 64, "--memory", "--batch", 4)
    assert capsys.readouterr().err == "… compiling the training step\n"
    (model,) = compiled.value.args
    assert model.spec == replace(small_net().description.network, resolution=64)
    assert model.num_classes == 3


def test_benchmark_measures_the_networks_of_folders(run, weights, monkeypatch):
    measured = {}

    def measure(nets, batch, tell):
        measured.update(nets)
        return {name: Latency((0.004,)) for name in nets}

    monkeypatch.setattr(latency, "measure", measure)
    result = run("benchmark", weights, "mobilenet_v1", "--json")
    spec = trained.describe(str(weights)).network
    assert [row["madds"] for row in json.loads(result.stdout)] == [
        complexity.madds(spec, 3),
        complexity.madds(get_spec("mobilenet_v1")),
    ]
    assert [net.name for net, _ in measured] == [str(weights), "mobilenet_v1"]
    assert next(iter(measured.values())) == latency.Net(spec, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--width", 0.5], "with fixed width and depth: leave out --width and"),
        (["--depth", 2], "with fixed width and depth: leave out --width and"),
        (["--resolution", 7], "resolution 7 is too small"),
        (["--num-classes", -1], "'--num-classes'"),
    ],
)
def test_a_mistake_about_weights_is_told(run, weights, arguments, sentence):
    result = run("profile", weights, *arguments)
    assert result.exit_code in (1, 2)
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_without_a_network_is_told(run, tmp_path):
    result = run("profile", tmp_path)
    assert f"{tmp_path} holds no weights" in result.stderr
