"""What a search would cost, by hand."""

import pytest

from mobilenets.networks import complexity
from mobilenets.networks.architectures import get_search_space
from mobilenets.networks.layers import divided
from mobilenets.search import definition, plan
from mobilenets.search.candidates import CACHE_BYTES
from mobilenets.search.command import task_of
from mobilenets.search.plan import Speed
from tests.small_search import write_files
from tests.small_space import CLASSES, SPACE


@pytest.fixture
def search(tmp_path):
    return definition.load(str(write_files(tmp_path) / "search.py"))


def test_times_are_those_of_the_images_that_pass(search):
    speed = Speed(training=0.5, inference=0.25)
    supernet, table, evolution, random = plan.stages(search, task_of(search), speed)
    # 4 steps of 3 networks and 16 images; 6 candidates by 40 + 16 images.
    assert supernet.seconds == 4 * 3 * 16 * 0.5
    assert evolution.seconds == random.seconds == 6 * 56 * 0.25
    # 9 pieces and 2 whole networks, each in 15 turns of one call. A network has five
    # pieces, and a call computes one 20 times.
    assert table.seconds == pytest.approx(9 * 15 * 20 * 0.25 / 5 + 2 * 15 * 0.25)
    assert table.work == "9 pieces; 2 whole networks"
    # Where calls are short, turns of 20 and 40 ms.
    _, table, *_ = plan.stages(search, task_of(search), Speed(0.5, 1e-6))
    assert table.seconds == pytest.approx(9 * 15 * 0.02 + 2 * 15 * 0.04)


def test_what_is_not_done_costs_nothing(search):
    search = search.model_copy(update={"random_search": False})
    stages = plan.stages(search, task_of(search), Speed(1, 1), measures=False)
    assert [stage.name for stage in stages] == ["supernet", "evolution"]


def test_the_memory_of_a_step_is_that_of_the_largest_network_alone(search):
    maps = max(
        sum(layer.activations for layer in SPACE.network((i, j)).layers(CLASSES))
        for i in range(3)
        for j in range(3)
    )
    params = complexity.params(SPACE, CLASSES)
    assert plan.supernet_memory(task_of(search)) == 4 * (16 * maps + 5 * params)


def test_the_memory_of_an_evaluation_is_that_of_all_images():
    space = get_search_space("moga")
    # Of an image: its pixels, and 16 channels of 112 pixels before and after a block.
    image = 4 * (3 * 224**2 + 2 * 16 * 112**2)
    expanded = 4 * 96 * divided(112, 1) ** 2  # six times 16 channels, before the stride
    found = plan.evaluation_memory(space, images=3000, calibration=256)
    assert found == 3000 * image + 256 * expanded + CACHE_BYTES


def test_the_mean_network_is_between_the_extremes():
    madds = [complexity.madds(SPACE.network((i, j))) for i in (0, 1) for j in (0, 1, 2)]
    mean = complexity.madds(SPACE.network(plan.mean_genes(SPACE, CLASSES)))
    assert min(madds) < mean < max(madds)
