"""What a training says of its speed and of the waiting for input."""

import pytest

from mobilenets.runs.metric_log import read_metrics
from mobilenets.training import loop
from mobilenets.training.loop import train
from mobilenets.training.throughput import Throughput, slow_input
from tests import toy_task


def step(measured, clock, batch=0.0, transfer=0.0, compute=0.0):
    with measured.waiting("batch"):
        clock.now += batch
    with measured.waiting("transfer"):
        clock.now += transfer
    clock.now += compute
    measured.count_step()


def test_the_share_of_waiting_is_that_of_the_timed_steps(clock):
    measured = Throughput(batch_size=8)
    step(measured, clock, batch=90.0, compute=10.0)  # it compiles, and is not timed
    assert measured.rate() == {}
    step(measured, clock, batch=2.0, transfer=1.0, compute=5.0)
    step(measured, clock, compute=8.0)
    assert measured.rate() == {"images_per_second": 1.0, "input_wait": 3 / 16}
    assert measured.steps_read == 2
    step(measured, clock, batch=1.0, compute=3.0)  # since the last reading
    assert measured.rate() == {"images_per_second": 2.0, "input_wait": 1 / 4}
    assert measured.steps_read == 3 and measured.whole_wait() == 4 / 20
    measured.restart()
    step(measured, clock, batch=50.0)
    step(measured, clock, compute=4.0)
    assert measured.rate() == {"images_per_second": 2.0, "input_wait": 0.0}


@pytest.mark.parametrize("slowest", ["reading", "decoding", "augmentation"])
def test_the_slowest_stage_is_to_blame(slowest):
    seconds = {"reading": 0.1, "decoding": 0.1, "augmentation": 0.1, slowest: 0.3}
    told = slow_input(0.4, 0.6, seconds)
    assert told.startswith(f"Training waits for input 40% of the time: {slowest} is to")
    assert f"{slowest} 60%" in told and "num_workers" in told


def test_the_transfer_is_to_blame_where_batches_are_made_in_time():
    seconds = {"reading": 0.0, "decoding": 0.2, "augmentation": 0.05}
    told = slow_input(0.8, 1.0, seconds)
    assert "transfer is to blame, since a batch is made in 0.250 s" in told


def run(tmp_path, capsys, log_every_steps=10, steps=41.0):
    config = toy_task.make_config(
        log_every_steps=log_every_steps, epochs=steps, evaluate_every_epochs=steps
    )
    train(toy_task.ToyTask(config), str(tmp_path))
    return capsys.readouterr().out


def test_a_run_logs_its_waiting_and_tells_it_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "NOTABLE", -1.0)
    told = run(tmp_path, capsys)
    assert told.count("Training waits for input") == 1
    assert told.count("% waiting for input") > 1
    logged = read_metrics(tmp_path / "metrics.jsonl")
    shares = [r["train/input_wait"] for r in logged if "train/input_wait" in r]
    assert shares and all(0 <= share <= 1 for share in shares)


def test_what_is_not_notable_is_not_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "NOTABLE", 1.0)
    assert "Training waits for input" not in run(tmp_path, capsys)


def test_few_steps_tell_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "NOTABLE", -1.0)
    # The first step compiles, so nine are timed; with one more there would be ten.
    told = run(tmp_path / "ten", capsys, log_every_steps=3, steps=10.0)
    assert "% waiting for input" in told and "Training waits for input" not in told
    told = run(tmp_path / "eleven", capsys, log_every_steps=3, steps=11.0)
    assert "Training waits for input" in told
