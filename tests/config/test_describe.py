"""`mobilenets config` knows what every value means."""

from mobilenets.config import describe, files, keys


def rows(name, **values):
    return {row.key: row for row in describe.rows(files.configuration(name, values))}


def test_every_value_has_a_meaning():
    for name in ("quickstart", "mobilenet_v2", "resnet"):
        for key, row in rows(name, **{"evals.night.table": "a.csv"}).items():
            assert row.description or key.startswith("model."), key


def test_every_row_is_a_key_that_can_be_overridden():
    shown = rows("quickstart", **{"augmentation.color_jitter.hue": 0.1})
    assert all(keys.find(key) for key in shown)
    assert {"optimizer.b1", "augmentation.flip", "model.resolution"} <= set(shown)


def test_value_range_and_default_are_told():
    row = rows("quickstart")["task.label_smoothing"]
    assert (row.value, row.default, row.allowed) == (
        0.1,
        0.0,
        "float from 0 to below 1",
    )
    name = rows("quickstart")["optimizer.name"]
    assert (name.value, name.default) == ("adamw", "rmsprop")
    assert name.allowed == "rmsprop or sgd or adamw"
    assert (
        rows("quickstart")["preprocessing.std"].allowed
        == "3 times float from 1e-06 to 1,000,000"
    )
    assert (
        rows("resnet")["schedule.boundaries"].allowed
        == "any number of: float from 1e-06 to 1,000,000"
    )
