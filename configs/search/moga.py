"""MoGA's search on ImageNet, arXiv:1908.01314.

    mobilenets search --config configs/search/moga.py --workdir runs/moga

Not run here. Population and generations are the paper's, 8,400 candidates. Its weights
of the objectives and its rates are not known: those are ours.
"""

from mobilenets.search.definition import Search


def get_search() -> Search:
    """The search."""
    return Search(supernet="moga_supernet", population=70, generations=120)
