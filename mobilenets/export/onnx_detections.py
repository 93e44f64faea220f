"""From the raw outputs of a detector to its detections, as operators of ONNX.

The same as `detection.postprocessing.detect`, for any number of images. N is images, A
anchors, C classes and D detections.
"""

import numpy as np
from onnx import TensorProto

from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.postprocessing import NO_CLASS, Detections
from mobilenets.export.onnx_graph import Graph
from mobilenets.networks.detector import BOX_CODES, BoxCoderSpec, DetectorSpec

_SCOPE = "detections"  # how the names of all nodes here begin, but for the outputs

_NO_SCORE = np.float32(-1)  # of what is no detection; scores are 0 to 1


def is_of_detections(node: str) -> bool:
    """Whether `add_detections` adds a node of this name."""
    return node.startswith(f"{_SCOPE}/") or node in Detections._fields


class _Operators:
    """Adds nodes whose names say what they are."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def __call__(self, operator: str, name: str, *inputs: str, **values) -> str:
        return self.graph.node(operator, inputs, f"{_SCOPE}/{name}", **values)

    def constant(self, name: str, value, dtype: type = np.float32) -> str:
        return self.graph.constant(f"{_SCOPE}/{name}", np.array(value, dtype))

    def part(self, name: str, x: str, start: int, end: int) -> str:
        """x[..., start:end] of an array with three axes."""
        bounds = [
            self.constant(f"{name}/{key}", [value], np.int64)
            for key, value in {"start": start, "end": end, "axis": 2}.items()
        ]
        return self("Slice", name, x, *bounds)

    def several_largest(self, name: str, x: str, count: int) -> tuple[str, str]:
        """The largest along the last axis, largest first, and their places."""
        given = [x, self.constant(f"{name}/count", [count], np.int64)]
        outputs = [f"{_SCOPE}/{name}", f"{_SCOPE}/{name}/places"]
        values, places = self.graph.node_of_several("TopK", given, outputs)
        return values, places


def add_detections(
    graph: Graph, box_codes: str, class_logits: str, spec: DetectorSpec, classes: int
) -> list[str]:
    """Adds decoding and non-maximum suppression.

    Args:
      graph: to which they are added.
      box_codes: the name of the detector's output, [N, A, 4].
      class_logits: of the other, [N, A, 1 + C].
      spec: of the detector.
      classes: C.

    Returns:
      The names of the arrays of `Detections`.
    """
    add, rule = _Operators(graph), spec.postprocessing
    anchors, wanted = spec.num_anchors, rule.detections
    boxes = _decoded(add, box_codes, anchor_boxes(spec), spec.box_coder)
    ends = add.constant("least", 0), add.constant("most", 1)
    compared = add("Clip", "clipped", boxes, *ends) if rule.clip_first else boxes
    scores = _scores(add, class_logits, spec, classes)
    taken = add(
        *("NonMaxSuppression", "taken", compared, scores),
        add.constant("of_class", [rule.detections_per_class], np.int64),
        add.constant("iou", [rule.iou_threshold]),
        add.constant("threshold", [rule.score_threshold]),
    )  # [any number, 3]: image, class and anchor
    nothing = add.constant("no_score", [_NO_SCORE])
    shape = add("Shape", "shape", scores)
    none = add("Expand", "none", nothing, shape)
    kept = add("GatherND", "kept", scores, taken)
    of_all = add("ScatterND", "of_all", none, taken, kept)
    flat = add("Reshape", "flat", of_all, add.constant("rows", [0, -1], np.int64))
    count = min(wanted, classes * anchors)
    best, places = add.several_largest("best", flat, count)
    number = add.constant("anchors", anchors, np.int64)
    class_ = add("Div", "class", places, number)
    anchor = add("Mod", "anchor", places, number)
    last = add.constant("last_axis", [2], np.int64)
    anchor = add("Unsqueeze", "anchor/of_box", anchor, last)
    chosen = add("GatherND", "chosen", boxes, anchor, batch_dims=1)
    chosen = add("Clip", "within", chosen, *ends)
    # Of those outside the image nothing is left; the others move up.
    best = add("Where", "best_within", _has_area(add, chosen), best, nothing)
    best, order = add.several_largest("sorted", best, count)
    class_ = add("GatherElements", "class/sorted", class_, order, axis=1)
    order = add("Unsqueeze", "order", order, last)
    chosen = add("GatherND", "chosen/sorted", chosen, order, batch_dims=1)
    found = add("Greater", "found", best, ends[0])
    of_box = add("Unsqueeze", "found/of_box", found, last)
    no_class = add.constant("no_class", NO_CLASS, np.int32)
    class_ = add("Cast", "class/number", class_, to=TensorProto.INT32)
    arrays = {
        "boxes": (add("Where", "all_boxes", of_box, chosen, ends[0]), ends[0]),
        "scores": (add("Where", "all_scores", found, best, ends[0]), ends[0]),
        "classes": (add("Where", "all_classes", found, class_, no_class), no_class),
    }
    for name, (array, empty) in arrays.items():
        axes = 3 if name == "boxes" else 2
        missing = np.zeros(2 * axes, np.int64)
        missing[axes + 1] = wanted - count
        pads = graph.constant(f"{_SCOPE}/{name}/missing", missing)
        graph.node("Pad", [array, pads, empty], name)
    return [*arrays]


def _decoded(
    add: _Operators, codes: str, anchors: np.ndarray, coder: BoxCoderSpec
) -> str:
    """See `boxes.decode`: [N, A, 4]."""
    if coder.order == "xywh":
        order = add.constant("code_order", [1, 0, 3, 2], np.int64)
        codes = add("Gather", "codes", codes, order, axis=2)
    sides = add.constant("anchor_sides", anchors[:, 2:] - anchors[:, :2])
    centres = add.constant("anchor_centres", (anchors[:, :2] + anchors[:, 2:]) / 2)
    offsets = add.part("offsets", codes, 0, 2)
    scale = add.constant("centre_scale", coder.centre_scale)
    offsets = add("Div", "offsets/scaled", offsets, scale)
    offsets = add("Mul", "offsets/in_image", offsets, sides)
    centres = add("Add", "centres", centres, offsets)
    logarithms = add.part("logarithms", codes, 2, BOX_CODES)
    scale = add.constant("size_scale", coder.size_scale)
    logarithms = add("Div", "logarithms/scaled", logarithms, scale)
    if coder.most_log_ratio is not None:
        most = add.constant("most_log_ratio", coder.most_log_ratio)
        logarithms = add("Min", "logarithms/cut", logarithms, most)
    sides = add("Mul", "sides", sides, add("Exp", "ratios", logarithms))
    half = add("Div", "half", sides, add.constant("two", 2))
    corners = [
        add("Sub", "top_left", centres, half),
        add("Add", "bottom_right", centres, half),
    ]
    return add("Concat", "decoded", *corners, axis=2)


def _scores(add: _Operators, logits: str, spec: DetectorSpec, classes: int) -> str:
    """Of each class, [N, C, A]; below the candidates of a class they are no scores."""
    rule = spec.postprocessing
    if rule.scores == "sigmoid":
        scores = add("Sigmoid", "all_slots", logits)
    else:
        scores = add("Softmax", "all_slots", logits, axis=2)
    scores = add.part("slots", scores, 1, 1 + classes)
    scores = add("Transpose", "scores", scores, perm=[0, 2, 1])
    candidates = rule.candidates_per_class
    if candidates is None or candidates >= spec.num_anchors:
        return scores
    best, _ = add.several_largest("candidates", scores, candidates)
    least = add.part("least_candidate", best, candidates - 1, candidates)
    is_one = add("GreaterOrEqual", "is_candidate", scores, least)
    nothing = add.constant("no_candidate", _NO_SCORE)
    return add("Where", "of_candidates", is_one, scores, nothing)


def _has_area(add: _Operators, boxes: str) -> str:
    """[N, D, 4] -> [N, D]."""
    top_left, bottom_right = (
        add.part("starts", boxes, 0, 2),
        add.part("ends", boxes, 2, 4),
    )
    sides = add("Sub", "extent", bottom_right, top_left)
    height, width = (
        add("Gather", name, sides, add.constant(f"axis_of_{name}", i, np.int64), axis=2)
        for i, name in enumerate(("height", "width"))
    )
    area = add("Mul", "area", height, width)
    return add("Greater", "has_area", area, add.constant("least", 0))
