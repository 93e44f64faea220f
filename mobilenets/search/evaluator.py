"""What a candidate reaches: its accuracy, its latency and its size."""

import functools
import math
from collections.abc import Callable

from mobilenets.inference import trained
from mobilenets.networks import complexity
from mobilenets.networks.search_space import Genes
from mobilenets.search.candidates import Candidates, Images
from mobilenets.search.folder import Evaluated, SearchFolder
from mobilenets.search.latency_table import Table
from mobilenets.tasks.supernet import Supernet


class Evaluator:
    """Evaluates candidates by the trained supernet of a search.

    Args:
      files: of the search.
      task: of the supernet.
      table: of latencies.
      tell: is given a line for what takes long.
    """

    def __init__(
        self,
        files: SearchFolder,
        task: Supernet,
        table: Table,
        tell: Callable[[str], None],
    ):
        self._files, self._task, self._table, self._tell = files, task, table, tell
        self._space, self._classes = task.spec, len(task.class_names)

    @functools.cached_property
    def candidates(self) -> Candidates:
        """Ready to score; a search that is finished needs none."""
        task, calibrate = self._task, self._files.search.calibration_images
        number = task.eval_sizes["val"]
        self._tell(f"reading {number:,} images to rank candidates by")
        made = Candidates(
            self._space,
            trained.load(str(self._files.supernet)).variables,
            self._classes,
            task.config.preprocessing,
            Images(task.images_to_calibrate(calibrate), *task.images_to_rank()),
        )
        made.warm_up(self._tell)
        return made

    def __call__(self, genes: Genes) -> Evaluated:
        """What the candidate with those genes reaches."""
        score = self.candidates.score(genes)
        network = self._space.network(genes)
        return Evaluated(
            genes,
            score.accuracy if math.isfinite(score.loss) else None,
            self._table.latency(network, self._classes),
            complexity.params(network, self._classes),
            complexity.madds(network, self._classes),
            complexity.activations(network, self._classes),
        )
