"""Does a search find better networks? MoGA's space, small enough for a laptop.

Run in the root of the repository, where the package is installed:

    python -m studies.search_study FOLDER [smoke|hour|full] [IDX_FOLDER]

IDX_FOLDER has the original files of Fashion-MNIST, such as those of Debian's package
dataset-fashion-mnist. With it, the finalists are also evaluated on its 10,000 test
images.

- Ranking: supernets trained by strict fairness (FairNAS, arXiv:1907.01845) and by
  uniform paths rank networks that are also trained alone, as Kendall's tau-b. Beside it
  stand how well two seeds of the same networks agree (Yang et al., arXiv:1912.12522),
  and the ranking by MAdds alone.
- Evolution against random search of equal budget, several seeds.
- Finalists and MoGA-A's genes, each against random networks of the same measured
  latency, and MobileNetV3-Large; each trained alone with several seeds.
- NetAdapt of the first finalist to 85 % of its latency.

Networks are ranked on images that were held out of the training, and compared on the
validation images, by which nothing is chosen. Everything is left in FOLDER, in a folder
of the size; the same command resumes. The tables and the picture are written into
docs/, but those of "smoke" only printed.
"""

import dataclasses
import itertools
import json
import pathlib
import random
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import scipy.stats
from matplotlib.figure import Figure

from mobilenets.api import evaluate, load_config
from mobilenets.config.schema import Configuration
from mobilenets.data.sources.arrays import ArraySource
from mobilenets.evaluation.run import evaluate_weights
from mobilenets.inference import trained
from mobilenets.networks import complexity
from mobilenets.networks.architectures import get_search_space, get_spec
from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.networks.spec import ClassifierSpec
from mobilenets.runs import workdir
from mobilenets.runtime import start_up
from mobilenets.search import (
    command,
    definition,
    exploration,
    folder,
    latency_table,
    pictures,
)
from mobilenets.search.evaluator import Evaluator
from mobilenets.search.folder import Evaluated, SearchFolder
from mobilenets.search.jobs import Jobs
from mobilenets.sweeps import results
from mobilenets.tasks.registry import make_task
from mobilenets.tasks.supernet import Supernet
from mobilenets.training import loop
from studies.pages import DOCS, IMAGES, with_tables
from studies.scaling_study import in_words, table

RESAMPLES = 2000  # of the networks, for the interval of a tau
POOL = 2000  # random networks, from which those to be ranked are drawn
WIDTH = 0.25  # of `supernet_quickstart`
SAME_LATENCY = 0.02  # a random network's may differ so much from a finalist's
WORKERS = 2  # train networks alone at the same time
FINAL_ROUNDS = 60  # of measuring; in a few, a network differs by 5 % from itself
LARGE = f"MobileNetV3-Large x{WIDTH}"


@dataclasses.dataclass(frozen=True)
class Preset:
    """How large the study is.

    Args:
      search: the search file: its supernet, population and generations.
      fair: supernets by strict fairness, each with a seed of its own.
      uniform: supernets by one random path a step. Each has as many steps as gives
        every choice as many updates.
      networks: that are ranked, one from each of as many classes of latency.
      seeds: with which each of them is trained.
      searches: evolutions, each with a seed, against as many random searches.
      finalists: at as many latencies.
      near: random networks that are measured for each of those.
      beside: of these, those of the same latency that are trained, too, at most.
      finalist_seeds: with which finalists and what they are compared with are trained.
      epochs: of the training of a network alone.
      adaptation_steps: of the short training of each of NetAdapt's proposals.
    """

    search: str
    fair: int
    uniform: int
    networks: int
    seeds: int
    searches: int
    finalists: int
    near: int
    beside: int
    finalist_seeds: int
    epochs: float
    adaptation_steps: int

    @property
    def in_words(self) -> str:
        """How large it was, for the page."""
        return (
            f"Supernets: {self.fair} by strict fairness, {self.uniform} by uniform "
            f"paths. Networks that are ranked: {self.networks}, each trained with "
            f"{self.seeds} seeds. Networks that are compared at the end: "
            f"{self.finalist_seeds} seeds each. Networks are trained alone for "
            f"{self.epochs:g} epochs. Measured on {latency_table.device_name()}."
        )


PRESETS = {
    "full": Preset("search/quickstart", 3, 1, 40, 2, 5, 3, 20, 5, 5, 6.0, 100),
    "hour": Preset("search/quickstart", 1, 1, 20, 2, 2, 2, 8, 2, 2, 3.0, 100),
    "smoke": Preset("search/quickstart:smoke", 1, 1, 4, 2, 2, 1, 2, 1, 2, 1.0, 1),
}


def main(path: pathlib.Path, preset: Preset, test: pathlib.Path | None) -> None:
    """All parts, the tables and the picture."""
    start_up.prepare_jax()
    parts = run(path, preset, test)
    for_docs = preset != PRESETS["smoke"]
    if for_docs:
        parts.figure.savefig(IMAGES / "search_study.png", dpi=110)
    tables = f"{preset.in_words}\n\n{parts.tables}"
    write(tables, for_docs)
    # The last, since it may find no network that is fast enough.
    adaptation = adaptation_table(adapted(path, preset))
    write(f"{tables}\n\n{adaptation}", for_docs)


def write(tables: str, for_docs: bool) -> None:
    """Prints the tables, and writes them into the page if they are for it."""
    page = DOCS / "results/search_study.md"
    print(tables)
    if for_docs:
        page.write_text(with_tables(page.read_text(), tables))


@dataclasses.dataclass(frozen=True)
class Parts:
    """What goes into the page, but for NetAdapt."""

    tables: str
    figure: Figure


def run(path: pathlib.Path, preset: Preset, test: pathlib.Path | None = None) -> Parts:
    """Everything but NetAdapt, from where it was stopped.

    Args:
      path: the folder of the study.
      preset: how large it is.
      test: the folder of the test images' files, if there are any.
    """
    images = test_images(test)
    # Whole networks are measured where it matters, at the end.
    search = definition.load(preset.search).model_copy(update={"check_networks": 0})
    first = path / "search"
    command.run(search, str(first), None, tell)
    files = folder.open_folder(first)
    task = Supernet(files.config)
    space = task.spec

    ranked = stratified(files, space, preset.networks)
    specs = [space.network(genes, f"network-{i}") for i, genes in enumerate(ranked)]
    alone = train_alone(path / "alone", specs, preset.seeds, preset.epochs)
    scores = {"fair 0": scores_by(files, task, ranked)}
    others = supernets(preset, files.config, space.counts[0])
    for name, values in others.items():
        scores[name] = scores_of_supernet(path / name, search, values, ranked)
    madds = [complexity.madds(spec, len(task.class_names)) for spec in specs]
    taus = rankings(alone, scores, madds)

    volumes = searches(path / "searches", files, task, preset.searches)
    finalists = compared_finalists(files, task, preset)
    finals = train_alone(
        path / "finalists",
        [spec for spec, _ in finalists.values()],
        preset.finalist_seeds,
        preset.epochs,
    )
    tested = on_test_images(path / "finalists", images, preset.finalist_seeds)
    tables = [
        ranking_table(taus),
        volume_table(volumes),
        finalist_table(finalists, finals, tested),
    ]
    return Parts("\n\n".join(tables), draw(scores["fair 0"], alone, volumes))


def tell(line: str) -> None:
    """Prints progress."""
    print(f"… {line}", flush=True)


def stratified(files: SearchFolder, space: SearchSpace, number: int) -> list[Genes]:
    """Random networks, one from each of so many equal classes of latency."""
    times = latency_table.read(files.table)
    draw = random.Random(0)
    classes = len(Supernet(files.config).class_names)
    pool = sorted(
        {tuple(draw.randrange(count) for count in space.counts) for _ in range(POOL)}
    )
    pool.sort(key=lambda genes: times.latency(space.network(genes), classes))
    return [draw.choice(part) for part in _split(pool, number)]


def _split(ordered: Sequence[Genes], number: int) -> list[list[Genes]]:
    """So many parts of about the same length, in order."""
    ends = [round(i * len(ordered) / number) for i in range(number + 1)]
    return [list(ordered[a:b]) for a, b in itertools.pairwise(ends) if a < b]


def train_alone(
    path: pathlib.Path, specs: Sequence[ClassifierSpec], seeds: int, epochs: float
) -> list[list[float]]:
    """Trains networks by the quick start's recipe, as a sweep; what each seed reaches.

    Returns:
      For each network the accuracy with each seed, from 0 to 1, on validation images.
    """
    path.mkdir(parents=True, exist_ok=True)
    for i, spec in enumerate(specs):
        text = json.dumps(dataclasses.asdict(spec))
        workdir.replace_file(path / f"network_{i:02}.json", text)
    sweep = path / "sweep.py"
    workdir.replace_file(
        sweep,
        SWEEP.format(
            files=[str(path / f"network_{i:02}.json") for i in range(len(specs))],
            seeds=tuple(range(seeds)),
            epochs=epochs,
        ),
    )
    words = ("--config", str(sweep), "--workdir", str(path / "runs"))
    run_command("sweep", *words, "--workers", str(WORKERS))
    found = results.Reader(results.open_folder(str(path / "runs"))).results()
    reached = [result.accuracy for result in found if result.accuracy is not None]
    if len(reached) < len(specs) * seeds:
        sys.exit(f"error: a run in {path / 'runs'} has no accuracy: look into its log.")
    return _by_network(reached, seeds)


def test_images(idx_folder: pathlib.Path | None) -> ArraySource | None:
    """The test images of Fashion-MNIST's original files; None without a folder."""
    if idx_folder is None:
        return None
    from mobilenets.data.embedded.make_fashion_mnist_subset import CLASS_NAMES, read_idx

    return ArraySource(
        read_idx(idx_folder / "t10k-images-idx3-ubyte.gz"),
        read_idx(idx_folder / "t10k-labels-idx1-ubyte.gz").astype(np.int32),
        CLASS_NAMES,
    )


def on_test_images(
    path: pathlib.Path, images: ArraySource | None, seeds: int
) -> list[list[float]]:
    """What the networks of `train_alone` reach on test images; none without any."""
    if images is None:
        return []
    file = path / "tested.json"
    if not file.exists():
        runs = results.Reader(results.open_folder(str(path / "runs"))).results()
        reached = []
        for i, one in enumerate(runs, 1):
            tell(f"evaluating {i} of {len(runs)} on {len(images):,} test images")
            found = evaluate(str(one.workdir), sources={"val": images})
            reached.append(found["val"]["ema"]["top1"])
        workdir.replace_file(file, json.dumps(reached))
    return _by_network(json.loads(file.read_text()), seeds)


def _by_network(reached: Sequence[float], seeds: int) -> list[list[float]]:
    """Of all networks with the first seed, then with the next one."""
    networks = len(reached) // seeds
    return [list(reached[i::networks]) for i in range(networks)]


SWEEP = """
from mobilenets.sweeps.definition import Choices, Sweep

def get_sweep():
    return Sweep(
        config="quickstart",
        values={{
            "epochs": {epochs},
            "evaluate_every_epochs": {epochs},
            "schedule.warmup_epochs": {epochs} / 6,
            "optimizer.weight_decay": 0.1,
            "dataset.train_split": "train[:5000]",
        }},
        parameters={{
            # The outer one: the next seed finds the programs of the first one compiled.
            "seed": Choices(values={seeds}),
            "model": Choices(values=tuple({{"spec": file}} for file in {files})),
        }},
    )
"""


def run_command(*words: str) -> None:
    """Runs one of the package's commands, as a user does.

    Raises:
      SystemExit: the command has ended with an error, or was stopped.
    """
    # Ctrl-C reaches the command, too, which saves before it ends; then so do we.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    code = subprocess.call([sys.executable, "-m", "mobilenets", *words])
    signal.signal(signal.SIGINT, before)
    if code:
        sys.exit(code)


def supernets(
    preset: Preset, config: Configuration, choices: int
) -> dict[str, dict[str, Any]]:
    """The supernets beside that of the search: names, and values of their config.

    A uniform one has one path a step, and so more steps. What counts by steps is spread
    over them: warm-up, weight decay and the average of the weights.

    Args:
      preset: how many.
      config: of strict fairness.
      choices: of a position; a step of strict fairness has a path for each.
    """
    fair = {
        # Evaluated once, as the uniform ones: the best of several would be chosen.
        f"fair {seed}": {"seed": seed, "evaluate_every_epochs": config.epochs}
        for seed in range(1, preset.fair)
    }
    uniform = {
        f"uniform {seed}": {
            "seed": seed,
            "task.sampling": "uniform",
            "epochs": choices * config.epochs,
            "evaluate_every_epochs": choices * config.epochs,
            "schedule.warmup_epochs": choices * config.schedule.warmup_epochs,
            "optimizer.weight_decay": config.optimizer.weight_decay / choices,
            "ema_decay": config.ema_decay ** (1 / choices),
        }
        for seed in range(preset.uniform)
    }
    return fair | uniform


def scores_of_supernet(
    path: pathlib.Path,
    search: definition.Search,
    values: Mapping[str, Any],
    ranked: Sequence[Genes],
) -> list[float]:
    """Trains another supernet of the search's space; how it scores networks."""
    config = load_config(search.supernet, {**search.values, **values})
    task = Supernet(config)
    files = folder.claim(str(path), search, task.config)
    loop.train(task, str(files.supernet))
    return scores_by(files, task, ranked)


def scores_by(
    files: SearchFolder, task: Supernet, ranked: Sequence[Genes]
) -> list[float]:
    """The accuracies of networks with the weights of a supernet, on ranking images."""
    file = files.path / "scores.json"
    if not file.exists():
        nothing = latency_table.Table("none", {})
        scored = Evaluator(files, task, nothing, tell).candidates
        accuracies = {str(genes): scored.score(genes).accuracy for genes in ranked}
        workdir.replace_file(file, json.dumps(accuracies))
    accuracies = json.loads(file.read_text())
    return [accuracies[str(genes)] for genes in ranked]


@dataclasses.dataclass(frozen=True)
class Tau:
    """Kendall's tau-b, and where 95 % of it lies if the networks are drawn again."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def tau(ranking: Sequence[float], *others: Sequence[float]) -> Tau:
    """Of a ranking and others of the same networks, with a bootstrap interval.

    It is the mean over the others. So a ranking is compared with single seeds, as one
    seed is with another, and not with their mean, which has less noise.
    """
    first, rest = np.asarray(ranking, float), np.asarray(others, float)
    draw = np.random.default_rng(0)
    drawn = [
        _kendall(first[chosen], rest[:, chosen])
        for chosen in draw.integers(0, len(first), (RESAMPLES, len(first)))
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Tau(_kendall(first, rest), float(low), float(high))


def _kendall(ranking: np.ndarray, others: np.ndarray) -> float:
    found: list[Any] = [scipy.stats.kendalltau(ranking, other) for other in others]
    return statistics.mean(float(one.statistic) for one in found)


def rankings(
    alone: Sequence[Sequence[float]],
    scores: Mapping[str, Sequence[float]],
    madds: Sequence[int],
) -> dict[str, Tau]:
    """How well each way to rank agrees with the networks trained alone.

    Args:
      alone: accuracies of each network, one for each seed.
      scores: of the networks, by supernet.
      madds: of the networks.
    """
    by_seed = list(zip(*alone, strict=True))
    found = {
        f"supernet, {name}": tau(of_it, *by_seed) for name, of_it in scores.items()
    }
    found["MAdds alone"] = tau(madds, *by_seed)
    found["one seed against another"] = tau(*by_seed[:2])
    return found


def searches(
    path: pathlib.Path, files: SearchFolder, task: Supernet, number: int
) -> dict[int, dict[str, float]]:
    """Hypervolumes of evolution and random search, by seed, with one supernet."""
    times = latency_table.read(files.table)
    evaluator = Evaluator(files, task, times, tell)
    known = dict(folder.Known(files).read())
    once = _once(evaluator, known)
    explored = []
    for seed in range(number):
        search = files.search.model_copy(update={"seed": seed, "random_search": True})
        own = folder.claim(str(path / str(seed)), search, files.config)
        known |= folder.Known(own).read()  # if it resumes
        jobs = Jobs(own, own.storage_url, once)
        counts = task.spec.counts
        explored.append(exploration.explore(search, counts, jobs.evaluate, tell))
    # The same limits for all seeds, so that their volumes can be compared.
    everything = [one for of in explored for one in (*of.evolved, *of.random)]
    limits = pictures.Limits.of(everything)
    return {
        seed: {
            "evolution": limits.volume(of.evolved),
            "random search": limits.volume(of.random),
        }
        for seed, of in enumerate(explored)
    }


def _once(
    evaluate: Callable[[Genes], Evaluated], known: dict[Genes, Evaluated]
) -> Callable[[Genes], Evaluated]:
    """Calls it for what no search has evaluated before."""

    def evaluated(genes: Genes) -> Evaluated:
        if genes not in known:
            known[genes] = evaluate(genes)
        return known[genes]

    return evaluated


def compared_finalists(
    files: SearchFolder, task: Supernet, preset: Preset
) -> dict[str, tuple[ClassifierSpec, list[float]]]:
    """Finalists and what they are compared with: spec, and milliseconds, twice."""
    file = files.path / "finalists.json"
    specs = _candidates_for_finals(files, task, preset)
    if not file.exists():
        tell(f"measuring {len(specs)} networks, of which the finalists are chosen")
        measured = [
            latency_table.measure_whole(
                list(specs.values()), len(task.class_names), tell, FINAL_ROUNDS
            )
            for _ in range(2)
        ]
        columns = zip(*measured, strict=True)
        workdir.replace_file(file, json.dumps(dict(zip(specs, columns, strict=True))))
    times = json.loads(file.read_text())
    # Chosen by the first measurement. The second one shows how equal they are.
    named = {name: (specs[name], times[name]) for name in specs}
    chosen = {n: named[n] for n in specs if not n.startswith("random")}
    free = [name for name in specs if name.startswith("random")]
    for name in [n for n in chosen if n != LARGE]:
        near = [
            other
            for other in free
            if abs(times[other][0] / times[name][0] - 1) <= SAME_LATENCY
        ]
        for k, other in enumerate(near[: preset.beside]):  # whatever they reach
            free.remove(other)
            chosen[f"random {k} beside {name}"] = named[other]
    return chosen


def _candidates_for_finals(
    files: SearchFolder, task: Supernet, preset: Preset
) -> dict[str, ClassifierSpec]:
    """Finalists, what was published, and random networks about as fast by the table.

    None for MobileNetV3-Large, of which the table lacks pieces.
    """
    space, classes = task.spec, len(task.class_names)
    times = latency_table.read(files.table)
    explored = exploration.explore(
        files.search, space.counts, lambda genes: _from(files, genes), tell
    )
    front = exploration.front(files.search, explored.evolved)
    found = exploration.most_accurate(front, preset.finalists)
    specs = {f"finalist {i}": space.network(o.genes) for i, o in enumerate(found)}
    specs |= published(space)
    draw = random.Random(1)
    pool = {tuple(map(draw.randrange, space.counts)) for _ in range(POOL)}
    by_table = {g: times.latency(space.network(g), classes) for g in sorted(pool)}
    for wanted in [
        times.latency(spec, classes) for name, spec in specs.items() if name != LARGE
    ]:
        near = sorted(by_table, key=lambda genes: abs(by_table[genes] - wanted))
        specs |= {f"random {g}": space.network(g) for g in near[: preset.near]}
    return specs


def published(space: SearchSpace) -> dict[str, ClassifierSpec]:
    """MoGA-A in the space, and MobileNetV3-Large of its width; none in another space.

    The dense layer of MobileNetV3-Large keeps its 1,280 channels, as its authors do.
    """
    of_paper = get_search_space("moga", open_layers="residual")
    if space.name != of_paper.name:
        return {}
    genes = of_paper.genes(get_spec("moga_a"))
    large = get_spec(
        "mobilenet_v3_large",
        width_multiplier=WIDTH,
        resolution=space.resolution,
        stem_stride=space.backbone.stem_stride,
        bn_momentum=space.backbone.bn_momentum,
        dropout_rate=space.dropout_rate,
    )
    return {"MoGA-A's genes": space.network(genes), LARGE: large}


def adapted(path: pathlib.Path, preset: Preset) -> dict[str, list[float]]:
    """The first finalist, with its first seed, before and after NetAdapt.

    What NetAdapt has made of it is also trained from scratch, as in the paper.

    Args:
      path: the folder of the study, in which it is trained.
      preset: has the steps of each short training, and the epochs from scratch.

    Returns:
      By name the measured milliseconds, and the accuracy on validation images.
    """
    runs = results.Reader(results.open_folder(str(path / "finalists/runs"))).results()
    before, after = runs[0].workdir, path / "netadapt/adapted"
    file = path / "netadapt.json"
    if not file.exists():
        words = ("--weights", str(before), "--workdir", str(after.parent))
        words += ("--target", "0.85", "--delta", "0.05")
        words += ("--steps", str(preset.adaptation_steps))
        # What was held out of the training of the finalist ranks the proposals.
        run_command("netadapt", *words, "--config.dataset.eval_split=train[5000:]")
        nets = [trained.describe(str(weights)) for weights in (before, after)]
        specs = [cast(ClassifierSpec, net.network) for net in nets]
        classes = len(nets[0].class_names)
        first, narrow = latency_table.measure_whole(specs, classes, tell, FINAL_ROUNDS)
        scratch = train_alone(path / "scratch", specs[1:], 1, preset.epochs)
        found = {
            "the first finalist": (first, runs[0].accuracy),
            "its weights after NetAdapt": (narrow, accuracy_of(after)),
            "the narrowed network from scratch": (narrow, scratch[0][0]),
        }
        workdir.replace_file(file, json.dumps(found))
    return json.loads(file.read_text())


def accuracy_of(weights: pathlib.Path) -> float:
    """On the validation images of the quick start."""
    net = trained.load(str(weights))
    task = make_task(load_config("quickstart"), net.description)
    found = evaluate_weights(task, weights.name, net.variables)
    return found.results["val"][weights.name]["top1"]


def _from(files: SearchFolder, candidates: Sequence[Genes]) -> list[Evaluated]:
    known = folder.Known(files).read()
    return [known[genes] for genes in candidates]


def ranking_table(taus: Mapping[str, Tau]) -> str:
    """A row for each way to rank."""
    rows = [[name, str(found)] for name, found in taus.items()]
    return table(["ranked by", "Kendall's tau-b (95 % of resampled networks)"], rows)


def volume_table(volumes: Mapping[int, Mapping[str, float]]) -> str:
    """A row for each seed."""
    rows = [
        [str(seed), f"{of['evolution']:.4f}", f"{of['random search']:.4f}"]
        for seed, of in volumes.items()
    ]
    return table(["seed", "hypervolume, evolution", "random search"], rows)


def finalist_table(
    finalists: Mapping[str, tuple[ClassifierSpec, Sequence[float]]],
    accuracies: Sequence[Sequence[float]],
    tested: Sequence[Sequence[float]],
) -> str:
    """A row for each network: mean, and from the worst to the best seed."""
    header = ["network", "measured, twice (ms)", "top-1 alone (%)"]
    rows = [
        [name, ", ".join(f"{t:.3f}" for t in times), in_words(_percent(seeds))]
        for (name, (_, times)), seeds in zip(finalists.items(), accuracies, strict=True)
    ]
    if tested:
        header.append("of 10,000 test images (%)")
        for row, seeds in zip(rows, tested, strict=True):
            row.append(in_words(_percent(seeds)))
    alone = [
        name
        for name in finalists
        if "random" not in name
        and name != LARGE
        and not any(other.endswith(f"beside {name}") for other in finalists)
    ]
    if not alone:
        return table(header, rows)
    none = "No random network that was measured is left within 2 % of "
    return f"{table(header, rows)}\n\n{none}{', '.join(alone)}."


def adaptation_table(found: Mapping[str, Sequence[float]]) -> str:
    """A row before, and one after NetAdapt."""
    rows = [
        [name, f"{time:.3f}", f"{100 * accuracy:.1f}"]
        for name, (time, accuracy) in found.items()
    ]
    return table(["network", "measured (ms)", "top-1, one seed (%)"], rows)


def _percent(accuracies: Sequence[float]) -> list[float]:
    return [100 * accuracy for accuracy in accuracies]


def draw(
    scores: Sequence[float],
    alone: Sequence[Sequence[float]],
    volumes: Mapping[int, Mapping[str, float]],
) -> Figure:
    """Scores against accuracies alone, and the searches by seed."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    by_network = 100 * np.asarray(alone)
    means = by_network.mean(1)
    seeds = abs(np.stack([by_network.min(1), by_network.max(1)]) - means)
    x = 100 * np.asarray(scores)
    left.errorbar(x, means, seeds, fmt="o", color="#1f5fa8", elinewidth=0.7)
    left.set_xlabel("top-1 with the supernet's weights, %")
    left.set_ylabel("top-1 alone, % (lines: its seeds)")
    left.set_title("Networks of the space, stratified by latency", loc="left")
    for name, style in (("evolution", "o"), ("random search", "x")):
        right.plot(
            list(volumes), [of[name] for of in volumes.values()], style, label=name
        )
    right.set(xlabel="seed", ylabel="hypervolume of accuracy and latency")
    right.set_xticks(list(volumes))
    right.set_title("Searches of equal budget", loc="left")
    right.legend(frameon=False)
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def arguments(words: Sequence[str]) -> tuple[pathlib.Path, Preset, pathlib.Path | None]:
    """The folder, the preset and the folder of test images of a command line.

    Raises:
      SystemExit: there is no such preset, or a word too many or too few.
    """
    usage = f"usage: python -m studies.search_study FOLDER [{'|'.join(PRESETS)}] [IDX]"
    if not 1 <= len(words) <= 3 or (words[1:2] and words[1] not in PRESETS):
        sys.exit(usage)
    name = words[1] if words[1:] else "full"
    test = pathlib.Path(words[2]).absolute() if words[2:] else None
    return pathlib.Path(words[0]).absolute() / name, PRESETS[name], test


if __name__ == "__main__":
    main(*arguments(sys.argv[1:]))
