"""The config.json of a run that version 0.1 has trained, in today's keys."""

from typing import Any


def is_version_1(values: dict[str, Any]) -> bool:
    """Whether they are of version 0.1, whose task was a name alone."""
    return isinstance(values.get("task"), str)


def upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """The same run in today's schema.

    Raises:
      ValueError: a key is missing, or was not in version 0.1.
    """
    try:
        old = dict(values)
        task = {"name": old.pop("task"), "label_smoothing": old.pop("label_smoothing")}
        changed = {
            "task": task,
            "dataset": _dataset(old.pop("dataset")),
            "augmentation": _operations(old.pop("augmentation")),
            "optimizer": _of_kind(old.pop("optimizer"), ("rmsprop", "sgd", "adamw")),
            "schedule": _of_kind(
                old.pop("schedule"), ("exponential", "piecewise", "cosine")
            ),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not of version 0.1: {error}") from None
    return old | changed


def _dataset(values: dict[str, Any]) -> dict[str, Any]:
    """With the one source that it has; of the others the keys were empty."""
    sources = ("name", "directory", "folder")
    unused = [key for key in sources if not values[key]]
    if not values["name"]:
        unused.append("data_dir")
    return {key: value for key, value in values.items() if key not in unused}


def _operations(values: dict[str, Any]) -> list[dict[str, Any]]:
    """In the order in which they were drawn; what did nothing is left out."""
    crop = {key: values[key] for key in ("min_area", "max_aspect_ratio")}
    colors = {k: values[k] for k in ("brightness", "contrast", "saturation", "hue")}
    operations = [{"name": "random_crop", **crop}]
    if values["flip"]:
        operations.append({"name": "flip"})
    if any(colors.values()):
        operations.append({"name": "color_jitter", **colors})
    return operations


def _of_kind(values: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, Any]:
    """Flat, with the values of the kind that is named."""
    shared = {key: value for key, value in values.items() if key not in kinds}
    return shared | values[values["name"]]
