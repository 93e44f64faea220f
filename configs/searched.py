r"""Trains a network that `mobilenets search` has found, on its own.

    python train.py --config configs/searched.py:spec=runs/search/found/a.json \
        --workdir runs/a

The recipe is the quick start's, on the embedded images. Any other config takes the file
as well, in place of its model, if it is copied and changed there.
"""

import ml_collections

from mobilenets.config import files, recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument holds spec=FILE and may hold smoke."""
    arg = recipes.parse_arg(arg, spec=str, smoke=False)
    config = files.read("quickstart")
    config.model = dict(spec=arg.spec) if arg.spec else {}
    if arg.smoke:
        recipes.smoke(config)
    return config
