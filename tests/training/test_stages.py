"""Progressive learning: sizes, augmentation and dropout by stage, bit for bit."""

import contextlib

import jax
import numpy as np
import pytest

import mobilenets
from mobilenets import UserError
from mobilenets.data import timing
from mobilenets.networks.spec import with_backbone
from mobilenets.runs import workdir
from mobilenets.runs.checkpoint import Checkpoints, abstract_like
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.classification import Classification
from mobilenets.training.loop import train
from mobilenets.training.optimizers import make_optimizer
from mobilenets.training.stages import StagedBatches, stage_at
from mobilenets.training.state import create_state
from tests.training.test_resume import assert_same_bits, sigterm

PROGRESSIVE = {
    "batch_size": 8,
    "epochs": 3.0,
    "evaluate_every_epochs": 1.0,
    "augmentation.rand_augment.magnitude": 9.0,
    "augmentation.mixup.alpha": 0.8,
    "progressive.stages": 3,
    "progressive.resolution": 8,
    "progressive.dropout_rate": 0.1,
    "progressive.magnitude": 5.0,
    "progressive.mixup_alpha": 0.0,
}

OF_THE_RUN = {
    f"progressive.{key}": -1.0 for key in ("dropout_rate", "magnitude", "mixup_alpha")
}
ONE_STAGE = {**OF_THE_RUN, "progressive.resolution": -1, "progressive.stages": 1}


def make_task(**values):
    """Twelve steps, four in a stage, of a network of one block at 16 pixels."""
    whole = mobilenets.get_spec(
        "mobilenet_v3_small", stem_stride=1, resolution=16, dropout_rate=0.3
    )
    spec = with_backbone(whole, blocks=whole.backbone.blocks[:1])
    changes = PROGRESSIVE | {"model.spec": spec} | values
    config = mobilenets.load_config("quickstart:smoke", changes)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 20, 20, 3), np.uint8)
    source = mobilenets.ArraySource(pixels, np.arange(32) % 3, names=("a", "b", "c"))
    return Classification(config, sources={"train": source, "val": source})


def saved_state(directory):
    task = make_task()
    optimizer = make_optimizer(task.config.optimizer, lambda step: 0.0)
    abstract = jax.eval_shape(
        lambda: create_state(task.init_variables(jax.random.key(0)), optimizer)
    )
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with contextlib.closing(Checkpoints(workdir.of_run(directory))) as checkpoints:
        assert checkpoints.latest_step == 12
        return jax.device_get(checkpoints.restore(abstract_like(abstract, here)))


def test_values_grow_by_equal_steps_to_those_of_the_run():
    """EfficientNetV2, Algorithm 1: S_0 + (S_e - S_0) i / (M - 1)."""
    stages = make_task().stages
    assert [first for first, _ in stages] == [0, 4, 8]
    tasks = [task for _, task in stages]
    assert [task.spec.resolution for task in tasks] == [8, 12, 16]
    rates = [task.spec.dropout_rate for task in tasks]
    assert rates == pytest.approx([0.1, 0.2, 0.3])
    assert [task.model.spec.dropout_rate for task in tasks] == rates
    operations = [{o.name: o for o in task.config.augmentation} for task in tasks]
    assert [o["rand_augment"].magnitude for o in operations] == [5.0, 7.0, 9.0]
    assert [o["mixup"].alpha for o in operations] == pytest.approx([0.0, 0.4, 0.8])


def test_what_is_not_given_is_that_of_the_run_in_every_stage():
    task = make_task(**OF_THE_RUN)
    for _, stage in task.stages:
        assert stage.spec.dropout_rate == 0.3
        assert stage.config == task.config


def test_images_are_trained_at_one_size_and_evaluated_at_another():
    task = make_task(**{"train_resolution": 12, "progressive.stages": 2})
    assert [stage.spec.resolution for _, stage in task.stages] == [8, 12]
    task = make_task(train_resolution=12, **ONE_STAGE)
    ((first, stage),) = task.stages
    with contextlib.closing(stage.train_batches()) as batches:
        assert (first, next(batches)["image"].shape) == (0, (8, 12, 12, 3))
    with contextlib.closing(task.eval_batches("val")) as batches:
        assert next(batches)["image"].shape == (8, 16, 16, 3)
    assert task.description["network"]["backbone"]["resolution"] == 16
    task = make_task(eval_resolution=20, **ONE_STAGE)
    for batches, side in ((task.train_batches(), 16), (task.eval_batches("val"), 20)):
        with contextlib.closing(batches):
            assert next(batches)["image"].shape == (8, side, side, 3)
    assert task.eval_image("val", 0).shape == (20, 20, 3)
    assert task.description["network"]["backbone"]["resolution"] == 16
    task = make_task(**ONE_STAGE)
    assert task.stages == [(0, task)]


def test_a_step_has_the_batch_of_its_stage_wherever_the_run_begins():
    stages = make_task().stages
    with contextlib.closing(StagedBatches(stages, 0)) as batches:
        expected = [next(batches) for _ in range(12)]
        assert [*batches.loading_seconds] == list(timing.STAGES)
    sides = [batch["image"].shape[1] for batch in expected]
    assert sides == [8] * 4 + [12] * 4 + [16] * 4
    for first_step in (3, 4, 9):
        with contextlib.closing(StagedBatches(stages, first_step)) as batches:
            for batch in expected[first_step:]:
                assert_same_bits(next(batches), batch)


def test_a_stage_without_a_step_is_left_out():
    stages = [(0, "a"), (1, "b"), (1, "c"), (2, "d")]
    assert [stages[stage_at(stages, step)][1] for step in range(4)] == list("acdd")


@pytest.mark.slow
def test_a_run_compiles_once_a_stage_and_resumes_bit_for_bit(
    tmp_path, monkeypatch, capsys
):
    """Interrupted where a stage ends, and in the middle of the next."""
    traced = []
    loss = Classification.loss

    def counted(self, outputs, batch):
        traced.append(batch["image"].shape[1])
        return loss(self, outputs, batch)

    monkeypatch.setattr(Classification, "loss", counted)
    logging = {"evaluate_every_epochs": 3.0, "log_every_steps": 1}
    train(make_task(**logging), str(tmp_path / "whole"))
    assert traced == [8, 12, 16]
    logged = read_metrics(tmp_path / "whole/metrics.jsonl")
    timed = [r["step"] for r in logged if "train/images_per_second" in r]
    assert timed == [2, 3, 4, 6, 7, 8, 10, 11, 12]  # no step that compiled
    told = " ".join(capsys.readouterr().out.split())
    assert "Stage 2 of 3 from step 4: mobilenet_v3_small at 12 pixels" in told

    def fails(step, results):
        raise MemoryError

    parts = str(tmp_path / "parts")
    with pytest.raises(MemoryError):
        train(make_task(), parts, fails)
    next_batch = StagedBatches.__next__

    def interrupted(self):
        batch = next_batch(self)
        if self._step == 6:
            sigterm()
        return batch

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(StagedBatches, "__next__", interrupted)
        train(make_task(), parts)
    train(make_task(), parts)
    assert traced == [8, 12, 16, 8, 12, 12, 16]
    assert_same_bits(saved_state(tmp_path / "parts"), saved_state(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"progressive.resolution": 8}, "but progressive.stages is 1: give more"),
        (
            {"progressive.stages": 4, "progressive.mixup_alpha": 0.0},
            "progressive.mixup_alpha is given, but augmentation has no mixup",
        ),
        (
            {
                "progressive.stages": 2,
                "progressive.magnitude": 17.0,
                "augmentation.rand_augment.magnitude": 9.0,
            },
            r"progressive.magnitude is 17.0, but timm's scale ends at 10: give less",
        ),
        (
            {"train_resolution": 16, "task.name": "detection"},
            "train_resolution is given, which classification and multilabel can use",
        ),
        ({"eval_resolution": 16, "task.name": "detection"}, "eval_resolution is give"),
        ({"progressive.stages": 2, "task.name": "supernet"}, "progressive is given, w"),
    ],
)
def test_mistakes_are_sentences(changes, message):
    with pytest.raises(UserError, match=message):
        mobilenets.load_config("quickstart:smoke", changes)


def test_a_size_too_small_for_the_network_is_met_before_the_run(tmp_path):
    task = make_task(**{"progressive.resolution": 1})
    with pytest.raises(UserError, match="The resolution 1 is too small"):
        train(task, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_images_that_would_shrink_are_met_before_the_run(tmp_path):
    task = make_task(**{"progressive.resolution": 64})
    with pytest.raises(UserError, match="is 64, but images grow to 16 pixels"):
        train(task, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
