"""An adaptation from end to end: what it leaves, that it resumes, and mistakes."""

import json
import shutil

import jax
import numpy as np
import pytest

import mobilenets
from mobilenets.data.sources.opening import open_source
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks import complexity
from mobilenets.networks.own_spec import own_spec
from mobilenets.nn.part import parts
from mobilenets.search import latency_table, netadapt, netadapt_training
from mobilenets.search.latency_table import CALL, Table, key_of
from mobilenets.search.netadapt_folder import Trained
from mobilenets.search.netadapt_training import ShortTraining
from mobilenets.search.netadapt_widths import narrower, widths
from mobilenets.tasks.registry import make_task
from tests.search.small_v3 import CLASSES, SPEC, variables

OPTIONS = ("--config", "quickstart:smoke", "--steps", 2, "--delta", 0.05)


def reachable():
    """Every network that can be reached from the small one by narrowing it."""
    found, left = {SPEC: None}, [SPEC]
    while left:
        network = left.pop()
        for width in widths(network):
            for _, narrowed in narrower(network, width):
                if narrowed not in found:
                    found[narrowed] = None
                    left.append(narrowed)
    return list(found)


def phone(path, networks):
    """A table of a phone whose times are the multiply-adds of a block."""
    pieces = {piece: None for spec in networks for piece in parts(spec, CLASSES)}
    keys = {key_of(piece): None for piece in pieces}
    times = {
        key: 1.0 + key.size**2 * key.expanded_channels * key.out_channels / 1e4
        for key in keys
    }
    latency_table.write(Table("a phone", {CALL: 0.5, **times}), keys, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights, and tables of a phone: with every row, and with those of SPEC alone."""
    folder = tmp_path_factory.mktemp("netadapt")
    task = make_task(mobilenets.load_config("quickstart:smoke"))
    description = Description(
        network=SPEC,
        preprocessing=task.config.preprocessing,
        class_names=task.class_names,
    )
    trained.save(TrainedNet(description, variables()), str(folder / "weights"))
    phone(folder / "phone.csv", reachable())
    phone(folder / "lacks.csv", [SPEC])
    return folder


def adapt(run, files, workdir, *options):
    return run(
        *("netadapt", "--weights", files / "weights", "--workdir", workdir),
        *OPTIONS,
        *options,
    )


def on_phone(run, files, workdir, *options):
    table = ("--latency-table", files / "phone.csv")
    return adapt(run, files, workdir, "--target", 0.85, *table, *options)


def lines(workdir):
    text = (workdir / "proposals.jsonl").read_text()
    return [Trained(**json.loads(line)) for line in text.splitlines()]


def test_the_best_is_that_of_the_largest_ratio():
    """MobileNetV3, Sec. 4.2: a small loss may cost more than it saves."""

    def one(width, cost, accuracy):
        return Trained(1, width, 16, 8, cost, accuracy)

    before = Trained(0, "", 0, 0, 10.0, 0.8)
    least_loss, steep, flat = one("a", 9.8, 0.79), one("b", 9, 0.7), one("c", 8, 0.74)
    # -0.01 / 0.2 = -0.05; -0.1 / 1 = -0.1; -0.06 / 2 = -0.03.
    assert netadapt.choose(before, [least_loss, steep, flat]) is flat
    assert netadapt.choose(before, [least_loss, steep]) is least_loss
    gains = one("d", 9.5, 0.81)  # 0.01 / 0.5
    assert netadapt.choose(before, [flat, gains]) is gains


def test_the_images_that_rank_are_of_those_to_train_and_are_not_trained_on():
    config = mobilenets.load_config("quickstart:smoke")
    origins = {
        name: {source[i].origin for i in range(len(source))}
        for name, source in netadapt_training.sources_of(config, False).items()
    }
    assert {name: len(of) for name, of in origins.items()} == {"train": 58, "val": 6}
    whole = open_source(config.dataset, "train[:64]")
    assert origins["train"] | origins["val"] == {whole[i].origin for i in range(64)}
    config = mobilenets.load_config(
        "quickstart:smoke", {"dataset.eval_split": "train[64:72]"}
    )
    given = netadapt_training.sources_of(config, True)
    assert {name: len(of) for name, of in given.items()} == {"train": 64, "val": 8}
    assert "train[64:72]" in given["val"][0].origin


def test_a_proposal_is_trained_as_the_run_was_for_so_many_steps(files, tmp_path):
    weights, run = str(files / "weights"), tmp_path / "run"
    shutil.copytree(weights, run)
    changed = {"optimizer.b2": 0.9, "schedule.final_fraction": 0.1}
    config = mobilenets.load_config("quickstart:smoke", changed)
    (run / "config.json").write_text(config.model_dump_json())
    given = {"dataset.train_split": "train[:40]", "seed": 3}
    found = netadapt_training.config_of(str(run), None, given)
    rate = config.optimizer.learning_rate / 10
    assert found.optimizer == config.optimizer.model_copy(
        update={"learning_rate": rate}
    )
    assert (found.schedule.name, found.schedule.final_fraction) == ("cosine", 0.0)
    assert found.seed == 3
    task = netadapt_training.task_of(found, given, 7, trained.describe(weights))
    assert (task.train_size, task.spec) == (36, SPEC)
    assert task.config.total_steps(task.train_size) == 7


# --- The whole, once trained ------------------------------------------------------


@pytest.fixture(scope="module")
def adapted(files, tmp_path_factory):
    """A finished adaptation."""
    from mobilenets.search.netadapt_folder import adaptation

    workdir = tmp_path_factory.mktemp("adapted") / "run"
    given = netadapt.Given(
        str(files / "weights"),
        adaptation(target=0.85, delta=0.05, steps=2, objective="latency"),
        str(workdir),
        "quickstart:smoke",
        {},
        str(files / "phone.csv"),
    )
    made = []
    with pytest.MonkeyPatch.context() as patch:
        init = ShortTraining.__init__
        patch.setattr(
            ShortTraining,
            "__init__",
            lambda self, *args: (init(self, *args), made.append(self))[0],
        )
        netadapt.run(given, lambda line: None)
    assert [training.update._cache_size() for training in made] == [1]
    return workdir


@pytest.mark.slow
def test_each_step_saves_delta_until_the_target_is_reached(adapted, files):
    """By the ratio, and the latency of the table; one program trained all of them."""
    table = latency_table.read(files / "phone.csv")
    records = lines(adapted)
    path = [records[0]]
    while of_step := [r for r in records if r.step == len(path)]:
        assert len({r.width for r in of_step}) == len(of_step) >= 2
        first, before = records[0].cost, path[-1]
        assert all(before.cost - r.cost >= 0.05 * first * 0.999 for r in of_step)
        path.append(netadapt.choose(before, of_step))
        assert (adapted / "steps" / str(len(path) - 1)).is_dir()
    costs = [one.cost for one in path]
    assert costs[0] == pytest.approx(table.latency(SPEC, CLASSES))
    assert costs[-1] <= 0.85 * costs[0] < costs[-2]


@pytest.mark.slow
def test_the_result_is_a_spec_with_weights(adapted, files):
    spec = own_spec(str(adapted / "adapted.json"))
    assert spec.name == "small_v3_adapted"
    assert complexity.params(spec, CLASSES) < complexity.params(SPEC, CLASSES)
    net = trained.load(str(adapted / "adapted"))
    assert net.description.network == spec
    given = trained.describe(str(files / "weights"))
    assert net.description.class_names == given.class_names
    images = np.zeros((2, 16, 16, 3), np.float32)
    logits, _ = jax.eval_shape(net.model.apply, net.variables, images)
    assert logits.shape == (2, CLASSES)
    config = mobilenets.load_config(f"searched:spec={adapted / 'adapted.json'},smoke")
    assert make_task(config).spec.backbone == spec.backbone
    config = mobilenets.load_config(
        "quickstart:smoke", {"init_from": str(adapted / "adapted")}
    )
    assert make_task(config).spec == spec


@pytest.mark.slow
def test_a_killed_adaptation_goes_on_to_the_same_end(adapted, files, tmp_path, run):
    """One that was cut off within a line of its last step."""
    workdir = tmp_path / "killed"
    shutil.copytree(adapted, workdir)
    last = max(r.step for r in lines(adapted))
    shutil.rmtree(workdir / "steps" / str(last))
    shutil.rmtree(workdir / "adapted")
    (workdir / "adapted.json").unlink()
    text = (adapted / "proposals.jsonl").read_text()
    (workdir / "proposals.jsonl").write_text(text[:-20])
    result = on_phone(run, files, workdir)
    assert result.exit_code == 0, result.stderr
    assert lines(workdir) == lines(adapted)
    for name in ("adapted.json", "adapted/hashes.json"):
        assert (workdir / name).read_bytes() == (adapted / name).read_bytes()


@pytest.mark.slow
def test_a_finished_adaptation_trains_nothing_again(adapted, files, run, monkeypatch):
    monkeypatch.setattr(ShortTraining, "train", None)
    result = on_phone(run, files, adapted)
    assert result.exit_code == 0, result.stderr
    assert "block" in result.stdout and "100.0%" in result.stdout


# --- Mistakes, which are found before anything is trained -------------------------


@pytest.fixture
def nothing_trained(monkeypatch):
    monkeypatch.setattr(ShortTraining, "train", None)
    monkeypatch.setattr(ShortTraining, "accuracy", lambda self, variables: 0.5)


def mistake(result):
    assert result.exit_code == 1
    return result.stderr


@pytest.mark.parametrize("target", [0, 1, 1.5, -0.1])
def test_a_target_that_is_no_part_is_refused(target, files, run, tmp_path):
    stderr = mistake(adapt(run, files, tmp_path / "w", "--target", target))
    assert "target is" in stderr and "than" in stderr


def test_a_table_that_lacks_blocks_is_refused_and_completed(
    files, run, tmp_path, nothing_trained
):
    lacks = ("--latency-table", files / "lacks.csv", "--target", 0.8)
    stderr = mistake(adapt(run, files, tmp_path / "w", *lacks))
    assert "table of a phone lacks the milliseconds of " in stderr
    assert "--blank FILE" in stderr
    blank = tmp_path / "blank.csv"
    result = adapt(run, files, tmp_path / "w", *lacks, "--blank", blank)
    assert result.exit_code == 0, result.stderr
    table, given = latency_table.read(blank), latency_table.read(files / "lacks.csv")
    assert table == given  # the rows that it lacked have no time
    rows = blank.read_text().splitlines()
    # Block 1: 16 channels inside, or 8 out. Block 2: 32, 24 or 8 inside, or 8 in and
    # out. The head reads 8.
    assert len([row for row in rows if row.endswith(",")]) == 1 + 1 + 3 + 1 + 1
    assert "exists already" in mistake(
        adapt(run, files, tmp_path / "w", *lacks, "--blank", blank)
    )


def test_a_table_without_the_network_itself_is_not_kept(
    files, run, tmp_path, nothing_trained
):
    """So another one may be given to the same command."""
    few = tmp_path / "few.csv"
    few.write_text("".join((files / "lacks.csv").read_text().splitlines(True)[:-1]))
    options = ("--target", 0.8, "--latency-table", few)
    assert "lacks the milliseconds" in mistake(
        adapt(run, files, tmp_path / "w", *options)
    )
    assert not (tmp_path / "w/latency_table.csv").exists()


def test_a_blank_table_has_every_row_if_none_is_given(files, run, tmp_path):
    blank = tmp_path / "blank.csv"
    result = adapt(run, files, tmp_path / "w", "--target", 0.8, "--blank", blank)
    assert result.exit_code == 0, result.stderr
    table = latency_table.read(blank)
    assert (table.device, table.milliseconds) == ("NAME OF THE DEVICE", {})
    assert len(blank.read_text().splitlines()) == 2 + 1 + 5 + 7


def test_a_workdir_of_another_adaptation_is_refused(
    files, run, tmp_path, nothing_trained
):
    workdir = tmp_path / "w"
    lacks = ("--latency-table", files / "lacks.csv")
    net = trained.load(str(files / "weights"))
    others = jax.tree.map(lambda x: 2 * x, net.variables)
    mistake(adapt(run, files, workdir, "--target", 0.8, *lacks))
    stderr = mistake(adapt(run, files, workdir, "--target", 0.7, *lacks))
    assert "belongs to another adaptation: use another. It differs in target" in stderr
    options = ("--target", 0.8, "--config.seed=3", *lacks)
    assert "differs in seed" in mistake(adapt(run, files, workdir, *options))
    other = tmp_path / "other.csv"
    other.write_text((files / "lacks.csv").read_text().replace("a phone", "another"))
    stderr = mistake(
        adapt(run, files, workdir, "--target", 0.8, "--latency-table", other)
    )
    assert f"{other} differs from" in stderr and "another --workdir" in stderr
    # The same folder with other weights, as those of a run that was trained on.
    shutil.rmtree(files / "weights")
    trained.save(TrainedNet(net.description, others), str(files / "weights"))
    try:
        options = ("--target", 0.8, *lacks)
        stderr = mistake(adapt(run, files, workdir, *options))
    finally:
        shutil.rmtree(files / "weights")
        trained.save(net, str(files / "weights"))
    assert "belongs to an adaptation of other weights" in stderr


def test_a_damaged_list_of_proposals_is_refused(files, run, tmp_path, nothing_trained):
    options = ("--objective", "madds", "--target", 0.9, "--delta", 0.9)
    mistake(adapt(run, files, tmp_path / "w", *options))
    (tmp_path / "w" / "proposals.jsonl").write_text('{"step": 0}\n')
    stderr = mistake(adapt(run, files, tmp_path / "w", *options))
    assert "proposals.jsonl, line 1 is damaged" in stderr


def test_a_folder_of_something_else_is_refused(files, run, tmp_path):
    (tmp_path / "search.json").write_text("{}")
    stderr = mistake(adapt(run, files, tmp_path, "--target", 0.8))
    assert "belongs to a search: use another" in stderr


def test_what_the_weights_define_is_refused(files, run, tmp_path):
    for option in ("--config.epochs=3", "--config.model.resolution=32"):
        stderr = mistake(adapt(run, files, tmp_path, "--target", 0.8, option))
        assert "weights and --steps define it" in stderr
    options = ("--weights", files / "weights", "--workdir", tmp_path, "--target", 0.8)
    assert "is not a run and has no config" in mistake(run("netadapt", *options))


def test_another_task_and_another_family_are_refused(files, run, tmp_path):
    net = trained.load(str(files / "weights"))
    description = net.description.model_copy(update={"task": "multilabel"})
    trained.save(TrainedNet(description, net.variables), str(tmp_path / "other"))
    options = ("--workdir", tmp_path / "w", "--target", 0.8, *OPTIONS)
    stderr = mistake(run("netadapt", "--weights", tmp_path / "other", *options))
    assert "have task.name=multilabel, but NetAdapt narrows" in stderr
    options = ("--target", 0.8, "--config", "multilabel_quickstart:smoke")
    stderr = mistake(adapt(run, files, tmp_path / "w", *options))
    assert "multilabel_quickstart:smoke has task.name=multilabel, but" in stderr


def test_other_classes_are_refused(files, run, tmp_path):
    net = trained.load(str(files / "weights"))
    names = net.description.class_names[::-1]
    description = net.description.model_copy(update={"class_names": names})
    trained.save(TrainedNet(description, net.variables), str(tmp_path / "other"))
    options = ("--workdir", tmp_path / "w", "--target", 0.8, *OPTIONS)
    stderr = mistake(run("netadapt", "--weights", tmp_path / "other", *options))
    assert "needs the images that they were trained on" in stderr


def test_a_target_that_cannot_be_reached_is_one_sentence(
    files, run, tmp_path, nothing_trained
):
    options = ("--objective", "madds", "--target", 0.9, "--delta", 0.9)
    stderr = mistake(adapt(run, files, tmp_path / "w", *options))
    assert "cannot be reached: at 1.000 no width can save 0.9" in stderr


def test_this_machine_is_measured_as_far_as_needed_and_once(
    files, run, tmp_path, nothing_trained, monkeypatch
):
    asked = []

    def measure(pieces):
        asked.extend(key_of(piece) for piece in pieces)
        times = dict.fromkeys(map(key_of, pieces), 1.0)
        return Table(latency_table.device_name(), {CALL: 0.5, **times})

    monkeypatch.setattr(latency_table, "measure", measure)
    options = ("--target", 0.8, "--delta", 0.9)  # so much no width can save
    mistake(adapt(run, files, tmp_path / "w", *options))
    table = latency_table.read(tmp_path / "w" / "latency_table.csv")
    assert table.device == latency_table.device_name()
    # Of the network, and of all that are narrower in one width.
    assert len(asked) == len(set(asked)) == 5 + 7
    assert set(table.milliseconds) == {CALL, *asked}
    asked.clear()
    mistake(adapt(run, files, tmp_path / "w", *options))
    assert not asked
    # From a table of this machine only what it lacks is measured, and that once, too.
    given = tmp_path / "given.csv"
    text = (files / "lacks.csv").read_text()
    given.write_text(text.replace("a phone", latency_table.device_name()))
    options += ("--latency-table", given)
    for expected in (7, 0):
        asked.clear()
        stderr = mistake(adapt(run, files, tmp_path / "given", *options))
        assert "no width can save 0.9" in stderr
        assert len(asked) == expected
    table = latency_table.read(tmp_path / "given" / "latency_table.csv")
    assert latency_table.read(given).milliseconds.items() < table.milliseconds.items()
