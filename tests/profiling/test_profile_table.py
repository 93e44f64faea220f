"""The rows of a profile hold all of a network, a detector's head included."""

from mobilenets.networks import complexity
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.profiling.profile_table import rows


def test_the_rows_of_a_detector_are_its_blocks_extra_layers_and_predictors():
    spec = get_detector("ssdlite_mobilenet_v2")
    found = {row.name: row for row in rows(spec, 90)}
    assert len(found) == 1 + 17 + 1 + 4 + 2 * 6
    parameters = sum(row.parameters for row in found.values())
    assert parameters == complexity.params(spec, 90)
    extra = found["extra0"]
    assert (extra.operator, extra.output) == ("conv, depthwise, conv", (5, 5, 512))
    assert (extra.kernel_size, extra.stride) == (3, 2)
    assert found["class_predictor0"].output == (20, 20, 3 * 91)
    assert found["box_predictor5"].output == (1, 1, 6 * 4)
