r"""Evaluates a trained network on one split, every image once.

    python eval.py --config configs/quickstart.py --workdir runs/quickstart
    python eval.py --config configs/quickstart.py --workdir runs/quickstart \
        --weights raw --checkpoint latest --split train --config.batch_size=100

The config must be the run's own as far as the network is concerned; the data set and
the batch size may differ.
"""

from absl import flags

from mobilenets.runtime import launch

launch.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
_WEIGHTS = flags.DEFINE_enum(
    "weights", "ema", ["ema", "raw"], "The moving average of the weights, or the last."
)
_CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "best", ["best", "latest"], "Which of the two that a run keeps."
)
_SPLIT = flags.DEFINE_string(
    "split", None, "The split to evaluate instead of the config's dataset.eval_split."
)


def main() -> None:
    """Evaluates what the flags ask for."""
    config = launch.config()
    if _SPLIT.value:
        dataset = config.dataset.model_copy(update={"eval_split": _SPLIT.value})
        config = config.model_copy(update={"dataset": dataset})
    from mobilenets.evaluation import tables
    from mobilenets.evaluation.run import evaluate_run
    from mobilenets.tasks.registry import make_task

    evaluation = evaluate_run(
        make_task(config),
        _WORKDIR.value,
        ema=_WEIGHTS.value == "ema",
        best=_CHECKPOINT.value == "best",
    )
    tables.print_evaluation(evaluation)


if __name__ == "__main__":
    launch.run(main)
