"""What a search would do, and what it would cost: `mobilenets search --dry-run`."""

import dataclasses
import pathlib
import random
import statistics
from collections.abc import Callable

import jax
import numpy as np

from mobilenets.config.schema import ClassificationTask
from mobilenets.networks import complexity
from mobilenets.networks.layers import divided
from mobilenets.networks.search_space import Genes, SearchSpace, block_sizes
from mobilenets.nn import part
from mobilenets.profiling import latency, memory_profile
from mobilenets.runtime import sharding, tables
from mobilenets.search import latency_table
from mobilenets.search.candidates import CACHE_BYTES
from mobilenets.search.command import check_budget, task_of
from mobilenets.search.definition import Search
from mobilenets.tasks.registry import make_task
from mobilenets.tasks.supernet import Supernet
from mobilenets.training.loop import jitted_functions

FLOAT = 4  # bytes
MOST_IMAGES = 32  # of the calls by which times are estimated
MADDS_NETWORKS = 100  # random ones, whose mean is that of the space


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast this machine is at networks of a space.

    Args:
      training: seconds of a training step of a mean network, for each image.
      inference: seconds for each image, the same network.
    """

    training: float
    inference: float


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a search.

    Args:
      name: of the part.
      work: what is done, in words.
      memory: bytes; None where they are no question.
      seconds: it would take here.
    """

    name: str
    work: str
    memory: int | None
    seconds: float


def print_plan(
    search: Search, table_file: str | None, tell: Callable[[str], None]
) -> None:
    """Prints the size of the space, each part's cost, and what the table lacks.

    Raises:
      UserError: the search cannot be run, or the table cannot be read.
    """
    task = task_of(search)
    space, classes = task.spec, len(task.class_names)
    check_budget(search, space)
    pieces = latency_table.pieces_of(space, classes)
    table = latency_table.read(pathlib.Path(table_file)) if table_file else None
    sizes = tables.new("", ">parameters", ">MAdds (M)")
    least, most = space.extremes(lambda layer: layer.madds)
    for name, genes in (("smallest network", least), ("largest network", most)):
        network = space.network(genes)
        madds = tables.millions(complexity.madds(network, classes))
        sizes.add_row(name, f"{complexity.params(network, classes):,}", madds)
    sizes.add_row("supernet", f"{complexity.params(space, classes):,}", "")
    tell("timing a training step and the inference of one network, for the estimates")
    parts = tables.new("part", "work", ">memory (MB)", ">time")
    for stage in stages(search, task, measure_speed(task), measures=table is None):
        memory = "" if stage.memory is None else tables.millions(stage.memory)
        parts.add_row(stage.name, stage.work, memory, duration(stage.seconds))
    title = f"{space.name}: {space.size:,} networks at {space.resolution} pixels"
    tables.show(title, sizes, "", parts)
    print(
        "Times and memory are estimates for this machine. Times leave out the "
        "compilation, which takes a few minutes. Candidates with the same first blocks "
        "share their computation, so the evolution may take less."
    )
    if table:
        lacking = table.lacks(pieces)
        print(
            f"The latency table lacks {len(lacking)} of the {len(pieces) + 1} rows "
            f"that this space needs{':' if lacking else '.'}"
        )
        for key in lacking:
            print(f"  {key}")


def stages(
    search: Search, task: Supernet, speed: Speed, measures: bool = True
) -> list[Stage]:
    """The parts of a search, in their order.

    Args:
      search: what would be done.
      task: of its supernet.
      speed: of this machine.
      measures: whether the latency table is to be measured.
    """
    config, space = task.config, task.spec
    steps = config.total_steps(task.train_size)
    passes = len(task.variants(jax.random.key(0))["path"])
    images = task.eval_sizes["val"] + search.calibration_images
    training = steps * passes * config.batch_size * speed.training
    result = [
        Stage(
            "supernet",
            f"{steps:,} steps of {passes} networks, batches of {config.batch_size}",
            supernet_memory(task),
            training,
        )
    ]
    if measures:
        classes, seconds = len(task.class_names), speed.inference
        pieces = len(latency_table.pieces_of(space, classes))
        network = space.network(tuple(0 for _ in space.counts))
        piece = seconds / len(part.parts(network, classes))
        # A turn has one call or more.
        turn = max(latency_table.SECONDS, latency_table.REPEATS * piece)
        turn_of_whole = max(latency_table.SECONDS_OF_WHOLE, seconds)
        number = search.check_networks
        result.append(
            Stage(
                "latency table",
                f"{pieces} pieces; {number} whole networks",
                None,
                latency_table.ROUNDS * (pieces * turn + number * turn_of_whole),
            )
        )
    work = f"{search.budget:,} candidates, ranked by {images:,} images"
    memory = evaluation_memory(space, images, search.calibration_images)
    seconds = search.budget * images * speed.inference
    names = ["evolution", *["random search"] * search.random_search]
    return [*result, *(Stage(name, work, memory, seconds) for name in names)]


def supernet_memory(task: Supernet) -> int:
    """Bytes of a step on one device: its networks pass one after the other."""
    config, space, classes = task.config, task.spec, len(task.class_names)
    _, largest = space.extremes(lambda layer: layer.activations)
    layers = complexity.layers(space.network(largest), classes)
    params = complexity.params(space, classes)
    return memory_profile.estimated(layers, params, config.batch_size, config.dtype)


def evaluation_memory(space: SearchSpace, images: int, calibration: int) -> int:
    """Bytes: the images, input and output of a block for all, the maps kept.

    Args:
      space: of the candidates.
      images: that calibrate and rank.
      calibration: of these; they pass through a block all at once.
    """
    pixels = 3 * space.resolution**2
    sizes = block_sizes(space.backbone)
    outputs = [
        block.out_channels * divided(size, block.stride) ** 2
        for block, size in zip(space.backbone.blocks, sizes, strict=True)
    ]
    within = max(layer.activations for layer in space.layers())
    return FLOAT * (images * (pixels + 2 * max(outputs)) + calibration * within) + (
        CACHE_BYTES
    )


def measure_speed(task: Supernet) -> Speed:
    """Times a network of the space whose MAdds are about the mean."""
    space, classes = task.spec, len(task.class_names)
    network = space.network(mean_genes(space, classes))
    batch = min(task.config.batch_size, MOST_IMAGES)
    nets = {"": latency.Net(network, classes)}
    inference = latency.measure(nets, batch=batch, rounds=3)[""].median
    spec = dataclasses.asdict(network)
    changes = {"task": ClassificationTask(), "model": {"spec": spec}}
    changes |= {"batch_size": batch, "init_from": ""}
    alone = make_task(task.config.model_copy(update=changes))
    create, update = jitted_functions(alone, sharding.data_mesh(batch))
    state = create(alone.init_variables(jax.random.key(0)))
    shapes = memory_profile.batch_shapes(batch, network.resolution)
    images = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    rng = jax.random.key(0)

    def step() -> None:
        nonlocal state
        state, metrics = update(state, images, rng, alone.teacher_variables)
        jax.block_until_ready(metrics)

    latency.warm_up(step)
    training = statistics.median(latency.durations(step, seconds=1.0))
    return Speed(training / batch, inference / batch)


def mean_genes(space: SearchSpace, num_classes: int) -> Genes:
    """Of the random network whose MAdds are nearest to the mean of many."""
    draw = random.Random(0)
    madds = {}
    for _ in range(MADDS_NETWORKS):
        genes = tuple(draw.randrange(count) for count in space.counts)
        madds[genes] = complexity.madds(space.network(genes), num_classes)
    mean = statistics.mean(madds.values())
    return min(madds, key=lambda genes: abs(madds[genes] - mean))


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(0.4), duration(59.6), duration(600), duration(3 * 3600 + 1700)
    ('1 s', '1 min', '10 min', '3 h 28 min')
    """
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
