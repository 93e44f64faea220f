"""The quick start's learning rate and weight decay, by a Bayesian search.

    mobilenets sweep --config configs/sweeps/learning_rate.py --workdir runs/rates

Twenty trainings; those that fall behind the others' median are ended early.
"""

from mobilenets.sweeps.definition import Range, Sweep


def get_sweep() -> Sweep:
    """The sweep."""
    return Sweep(
        config="quickstart",
        values={"epochs": 6.0, "evaluate_every_epochs": 1.0},
        parameters={
            "optimizer.learning_rate": Range(low=1e-3, high=1e-1, log=True),
            "optimizer.weight_decay": Range(low=1e-2, high=1.0, log=True),
        },
        search="bayesian",
        trials=20,
        prune=True,
    )
