"""A task of one parameter, to test evaluation and training without images."""

import flax.linen as nn
import grain
import jax
import jax.numpy as jnp
import numpy as np

from configs import quickstart
from mobilenets.config import check
from mobilenets.data.pipeline import Batches
from mobilenets.metrics.means import Means

TARGET = 4.0
# What a run logs of its speed, which no two runs share.
TIMED = frozenset({"train/images_per_second", "train/input_wait"})


def make_config(**changes):
    """A step of plain gradient descent an epoch, at the rate 1, evaluated each time."""
    config = quickstart.get_config()
    config.optimizer = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.0}
    config.schedule = {"name": "piecewise", "boundaries": (1e6,)}
    config.ema_decay = 0.0
    config.batch_size = 8
    config.epochs, config.evaluate_every_epochs = 6.0, 1.0
    for key, value in changes.items():  # whole sections
        config[key] = value
    return check.check(config)


class Number(nn.Module):
    """Its one parameter, times the inputs."""

    @nn.compact
    def __call__(self, inputs, train=False):
        self.variable("batch_stats", "unused", lambda: jnp.zeros(()))
        return self.param("kernel", nn.initializers.zeros, ()) * inputs


def per_example(outputs, batch):
    """How far the parameter is from `TARGET`, and an own number of each example."""
    return {
        "distance": jnp.abs(outputs - TARGET),
        "value": outputs,
        "own": batch["index"].astype(jnp.float32) + 1,
    }


def as_batches(batches):
    """What the loop asks of batches, of which none has a broken image."""
    return Batches(batches, 0, set(), None)


class ToyTask:
    """Gradient descent adds 1 to the parameter in every step.

    Args:
      config: of the run; model and data are not those that it names.
      eval_sizes: examples by evaluation set.
    """

    headline = "value"
    metric = Means(per_example, ("distance", "value", "own"), frozenset({"distance"}))
    report_metric = metric
    model = Number()
    train_size = 8
    summary = "a number on 8 examples"

    def __init__(self, config, eval_sizes=None):
        self.config = config
        self.eval_sizes = eval_sizes or {"val": 5}
        self.data_facts = {"train_size": self.train_size}
        self.description = {"spec": "toy"}
        self.teacher_variables = {}

    def init_variables(self, rng):
        return dict(self.model.init(rng, jnp.ones((1,))))

    def with_pretrained(self, variables):
        return variables

    def relative_rates(self, params):
        return jax.tree.map(lambda _: 1.0, params)

    @property
    def stages(self):
        return [(0, self)]

    def train_batches(self, first_step=0):
        examples = grain.MapDataset.range(8).map(lambda i: {"x": np.float32(1)})
        return as_batches(iter(examples.repeat(1000).batch(8).to_iter_dataset()))

    def eval_batches(self, name):
        size, batch_size = self.eval_sizes[name], self.config.batch_size
        for start in range(0, size, batch_size):
            index = np.arange(start, start + batch_size, dtype=np.int32)
            real = index < size
            yield {
                "x": np.ones(batch_size, np.float32),
                "mask": real.astype(np.float32),
                "index": np.where(real, index, -1).astype(np.int32),
            }

    def variants(self, rng):
        return {}

    def taught(self, batch, teacher_variables):
        return batch

    def inputs(self, batch):
        return batch["x"]

    def loss(self, outputs, batch):
        loss = -outputs.mean()
        return loss, {"loss": loss, "value": -loss}

    def predictions(self, outputs):
        return outputs

    def draw_first_batch(self, batch, path):
        path.write_text(str(batch["x"].shape))

    def draw_predictions(self, predict, path):
        batch = next(self.eval_batches("val"))
        path.write_text(str(predict(batch)))

    def by_class(self, total):
        return {"all": self.metric.compute(total)}

    def write_report(self, name, total, folder):
        path = folder / f"{name}.txt"
        path.write_text(str(total["count"]))
        return [path]
