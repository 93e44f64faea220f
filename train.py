r"""Trains a network.

    python train.py --config configs/quickstart.py --workdir runs/quickstart
    python train.py --config configs/mobilenet_v2.py:width=0.75,resolution=192 \
        --config.dataset.data_dir=/data/tfds --workdir runs/v2

Started again with the same --workdir it goes on from the last checkpoint. Ctrl-C saves
one and ends.
"""

from absl import flags

from mobilenets.runtime import launch

launch.define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "The folder for everything the run leaves.", required=True
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Whether this is one of several processes (hosts) of the run."
)


def main() -> None:
    """Trains what the flags ask for."""
    config = launch.config()
    from mobilenets.runtime import sharding
    from mobilenets.tasks.registry import make_task
    from mobilenets.training.loop import train

    if _DISTRIBUTED.value:
        sharding.join_processes()
    train(make_task(config), _WORKDIR.value)


if __name__ == "__main__":
    launch.run(main)
