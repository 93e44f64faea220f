"""MoGA's search at a quarter of its width, on the embedded images.

mobilenets search --config configs/search/quickstart.py --workdir runs/search
mobilenets search --config configs/search/quickstart.py:smoke --workdir runs/smoke
"""

from mobilenets.config import recipes
from mobilenets.search.definition import Search


def get_search(arg: str | None = None) -> Search:
    """The search; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    if arg.smoke:
        return Search(
            supernet="supernet_quickstart:smoke",
            population=6,
            generations=3,
            calibration_images=32,
            check_networks=3,
        )
    return Search(supernet="supernet_quickstart", population=40, generations=15)
