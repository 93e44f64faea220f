"""Files of a search in the small space, as a user writes them."""

from mobilenets.search import latency_table
from mobilenets.search.latency_table import CALL, Table, key_of, pieces_of
from tests.small_space import CLASSES, SPACE

CONFIG = """
from mobilenets.config import files

def get_config():
    config = files.read("quickstart:smoke")
    config.task = dict(name="supernet")
    config.model = dict(spec="tests/small_space.py:space")
    config.dataset.eval_split = "train[64:104]"
    config.epochs = 1.0
    return config
"""
SEARCH = """
from mobilenets.search.definition import Search

def get_search():
    return Search(
        supernet={config!r},
        population={population},
        generations=2,
        calibration_images=16,
        objectives={{"accuracy": 1.0, "latency": -1.0}},
        found=2,
        check_networks=2,
    )
"""


def write_files(folder):
    """A config, a search and a latency table of a phone."""
    (folder / "supernet.py").write_text(CONFIG)
    write_search(folder, population=3)
    pieces = pieces_of(SPACE, CLASSES)
    keys = [key_of(piece) for piece in pieces]
    times = {CALL: 0.0, **{key: 1.0 + key.kernel_size for key in keys}}
    latency_table.write(Table("a phone", times), keys, folder / "phone.csv")
    return folder


def write_search(folder, population):
    text = SEARCH.format(config=str(folder / "supernet.py"), population=population)
    (folder / "search.py").write_text(text)
    return folder / "search.py"
