"""The metrics of a network and of its file, side by side."""

from mobilenets.evaluation.run import evaluate_weights
from mobilenets.export import formats, record
from mobilenets.export.exported import in_runtime
from mobilenets.inference.trained import TrainedNet
from mobilenets.tasks.base import Task


def evaluated(
    task: Task, net: TrainedNet, content: bytes, found: record.Record
) -> record.Record:
    """The record of a file, with the metrics of weights and file.

    Args:
      task: evaluates the network, see `evaluate_weights`.
      net: the network.
      content: of the file.
      found: its record.
    """
    options = formats.Options(found.batch, found.layout)
    exported = in_runtime(net.description, found.format, content, options)
    in_jax = "JAX, float32"
    in_file = f"{formats.FORMATS[found.format].title}, {found.numbers}"
    parts = [
        evaluate_weights(task, in_jax, net.variables),
        evaluate_weights(task, in_file, {}, network=exported.apply),
    ]
    results = {
        name: {
            weights: metrics
            for part in parts
            for weights, metrics in part.results[name].items()
        }
        for name in parts[0].results
    }
    evaluation = record.Evaluation(split=parts[0].split, results=results)
    return found.model_copy(update={"evaluation": evaluation})
