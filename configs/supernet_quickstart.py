r"""A supernet of MoGA's layers at a quarter of their width, on embedded images.

    python train.py --config configs/supernet_quickstart.py --workdir runs/supernet
    python train.py --config configs/supernet_quickstart.py:smoke --workdir runs/smoke

Ours, not a paper's: `mobilenets search --config search/quickstart` trains it first. It
trains on 5,000 of the 6,000 images; the other 1,000 rank the candidates. The five
layers that change the size or the channels of the map are those of MoGA-A: a supernet
in which they are open, too, hardly learns in minutes.
"""

import ml_collections

from mobilenets.config import files, recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    config = files.read("quickstart")
    config.task = dict(name="supernet", sampling="fair", label_smoothing=0.1)
    config.model = dict(
        name="moga",
        width_multiplier=0.25,
        resolution=32,
        stem_stride=1,
        open_layers="residual",
        dropout_rate=0.0,
    )
    config.dataset.train_split = "train[:5000]"
    config.dataset.eval_split = "train[5000:]"
    config.batch_size = 32
    config.epochs = 4.0
    config.optimizer.weight_decay = 0.05  # its networks are trained for a short time
    config.evaluate_every_epochs = 2.0
    if arg.smoke:
        recipes.smoke(config)
        config.dataset.eval_split = "train[64:104]"
    return config
