"""The study of searches: what it concludes from numbers that are made up."""

import dataclasses
from types import SimpleNamespace

import jax
import pytest
import scipy.stats

from mobilenets import UserError, load_config
from mobilenets.data.embedded.make_fashion_mnist_subset import CLASS_NAMES
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures import get_search_space
from mobilenets.networks.own_spec import own_spec
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables
from mobilenets.sweeps import definition
from studies import search_study
from tests.small_space import SPACE


def test_tau_is_scipys_and_its_interval_is_of_resampled_networks():
    a, b = list(range(20)), [*range(1, 20), 0]
    found = search_study.tau(a, b)
    assert found.value == pytest.approx(scipy.stats.kendalltau(a, b).statistic)
    assert -1 <= found.low < found.value < found.high <= 1
    same = search_study.tau(a, a)
    assert (same.value, same.low, same.high) == pytest.approx((1, 1, 1))
    # Fewer networks say less.
    few = search_study.tau(a[:6], [1, 2, 3, 0, 5, 4])
    assert few.high - few.low > found.high - found.low


def test_rankings_stand_beside_another_seed_and_madds():
    alone = [(0.5, 0.6), (0.6, 0.5), (0.7, 0.7), (0.8, 0.9)]
    scores = {"fair 0": [0.1, 0.2, 0.3, 0.4], "uniform 0": [0.4, 0.3, 0.2, 0.1]}
    found = search_study.rankings(alone, scores, [1, 2, 3, 4])
    # The first seed has the same order. In the second one of six pairs is turned round.
    mean = (1 + 4 / 6) / 2
    assert found["supernet, fair 0"].value == pytest.approx(mean)
    assert found["supernet, uniform 0"].value == pytest.approx(-mean)
    assert found["MAdds alone"].value == pytest.approx(mean)
    # One of six pairs is the other way round.
    assert found["one seed against another"].value == pytest.approx(4 / 6)
    assert search_study.ranking_table(found).count("\n") == 5


def test_a_uniform_supernet_updates_each_choice_as_often():
    preset = search_study.PRESETS["hour"]
    preset = dataclasses.replace(preset, fair=2)
    config = load_config("supernet_quickstart", {"epochs": 6.0})
    found = search_study.supernets(preset, config, choices=12)
    assert list(found) == ["fair 1", "uniform 0"]
    assert found["fair 1"] == {"seed": 1, "evaluate_every_epochs": 6.0}
    uniform = load_config("supernet_quickstart", found["uniform 0"])
    assert uniform.epochs == 72.0
    # As much of the training warms up, weights shrink as much in all of it, and their
    # average reaches back as many epochs.
    assert uniform.schedule.warmup_epochs / 72 == config.schedule.warmup_epochs / 6
    shrunk = 72 * uniform.optimizer.weight_decay
    assert shrunk == pytest.approx(6 * config.optimizer.weight_decay)
    assert uniform.ema_decay**12 == pytest.approx(config.ema_decay)


def test_networks_are_chosen_by_the_first_of_two_measurements(tmp_path, monkeypatch):
    names = ["finalist 0", "random a", "random b", "random c", "finalist 1"]
    specs = dict.fromkeys(names, SPACE.network((0, 0)))
    measured = [[1.0, 1.5, 1.01, 0.99, 0.98], [1.1, 1.0, 1.2, 1.3, 0.9]]
    monkeypatch.setattr(search_study, "_candidates_for_finals", lambda *_: specs)
    monkeypatch.setattr(
        search_study.latency_table, "measure_whole", lambda *_: measured.pop(0)
    )
    preset = dataclasses.replace(search_study.PRESETS["hour"], beside=1)
    given = SimpleNamespace(path=tmp_path), SimpleNamespace(class_names=[])
    found = search_study.compared_finalists(*given, preset)
    # Each random network beside one finalist only.
    assert {name: times for name, (_, times) in found.items()} == {
        "finalist 0": [1.0, 1.1],
        "finalist 1": [0.98, 0.9],
        "random 0 beside finalist 0": [1.01, 1.2],
        "random 0 beside finalist 1": [0.99, 1.3],
    }
    assert search_study.compared_finalists(*given, preset) == found  # it resumes


def test_weights_of_another_network_than_the_quick_starts_are_evaluated(tmp_path):
    spec = SPACE.network((0, 0))
    variables = init_variables(build(spec, len(CLASS_NAMES)), jax.random.key(0))
    description = Description(
        network=spec,
        preprocessing=load_config("quickstart").preprocessing,
        class_names=tuple(CLASS_NAMES),
    )
    trained.save(TrainedNet(description, variables), str(tmp_path / "weights"))
    assert search_study.accuracy_of(tmp_path / "weights") < 0.5


def test_netadapt_has_a_row_before_and_after():
    found = {"the first finalist": [2.0, 0.5], "after NetAdapt": [1.7, 0.4]}
    table = search_study.adaptation_table(found)
    assert "| after NetAdapt | 1.700 | 40.0 |" in table


@pytest.mark.parametrize(("length", "number"), [(10, 4), (7, 7), (2000, 40)])
def test_classes_of_latency_have_all_networks_about_as_many_each(length, number):
    parts = search_study._split(range(length), number)
    assert [x for part in parts for x in part] == list(range(length))
    assert len(parts) == number
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_command_line_names_a_preset():
    folder, preset, test = search_study.arguments(["runs/study", "hour", "idx"])
    assert folder.parts[-2:] == ("study", "hour") and test.name == "idx"
    assert preset is search_study.PRESETS["hour"]
    assert search_study.arguments(["x"])[1] is search_study.PRESETS["full"]
    with pytest.raises(SystemExit, match=r"FOLDER \[full.hour.smoke\]"):
        search_study.arguments(["x", "tiny"])


def test_networks_are_trained_alone_by_a_sweep_that_is_understood(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(search_study, "run_command", lambda *words: None)
    specs = [SPACE.network((0, 1)), SPACE.network((2, 2))]
    with pytest.raises(UserError, match="holds no sweep"):  # it was not run
        search_study.train_alone(tmp_path, specs, seeds=2, epochs=3.0)
    sweep = definition.load(str(tmp_path / "sweep.py"))
    configs = [definition.run_config(sweep, point) for point in sweep.points]
    assert [config.seed for config in configs] == [0, 0, 1, 1]
    assert all(config.epochs == 3.0 for config in configs)
    files = [config.model["spec"] for config in configs]
    assert own_spec(files[0]) == own_spec(files[2]) == specs[0]
    assert own_spec(files[1]) == own_spec(files[3]) == specs[1]
    # What is reached comes in the order of the points.
    assert search_study._by_network([0.1, 0.2, 0.3, 0.4], 2) == [[0.1, 0.3], [0.2, 0.4]]
    # Neither is trained on what ranks the candidates.
    supernet = load_config("supernet_quickstart").dataset
    assert configs[0].dataset.train_split == supernet.train_split == "train[:5000]"
    assert supernet.eval_split == "train[5000:]"


def test_finals_have_what_papers_published_in_the_quick_start_s_space():
    model = load_config("supernet_quickstart").model
    published = search_study.published(get_search_space(**model))
    moga, large = published["MoGA-A's genes"], published["MobileNetV3-Large x0.25"]
    # Kernels of MoGA-A's layers, from its authors' code, behind the first block.
    kernels = [block.kernel_size for block in moga.backbone.blocks[1:]]
    assert kernels == [5, 7, 3, 3, 3, 3, 3, 7, 7, 7, 3, 3, 5, 5]
    assert large.resolution == moga.resolution == 32
    # Neither is at a disadvantage in a short training.
    assert large.backbone.bn_momentum == moga.backbone.bn_momentum
    assert large.dropout_rate == moga.dropout_rate
    assert search_study.published(SPACE) == {}
