"""The tables that the command line prints.

Million means 10**6 and MB 10**6 bytes. Costs are multiply-adds (MAdds), never FLOPs.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import rich.table

from mobilenets.cli.scaling_table import Facts, One, Released, Scaled, Series
from mobilenets.config import describe as config_describe
from mobilenets.profiling.profile_table import Row
from mobilenets.runtime.tables import add_columns, millions, new, show

if TYPE_CHECKING:
    from mobilenets.export.record import Record
    from mobilenets.inference.detections import DetectedPhoto
    from mobilenets.inference.pixels import Found
    from mobilenets.inference.places import LocatedPhoto
    from mobilenets.inference.prediction import Prediction
    from mobilenets.profiling.memory_profile import StepMemory


def print_list(networks: Sequence[dict[str, Any]]) -> None:
    """Prints the networks that `mobilenets list` knows.

    Args:
      networks: of each its name, parameters, madds, resolution, source, and top1, ap
        or miou.
    """
    score = {"top1": "top-1", "ap": "AP", "miou": "mIoU"}
    key = next(key for key in score if key in networks[0])
    heading = score[key]
    table = new("name", ">parameters", ">MAdds\n(M)", ">pixels", f">{heading}\n(%)")
    table.add_column(f"source of {heading}", overflow="fold")
    for net in networks:
        table.add_row(
            net["name"],
            f"{net['parameters']:,}",
            millions(net["madds"]),
            str(net["resolution"]),
            "" if net[key] is None else str(net[key]),
            net["source"],
        )
    show(table)


def print_config(name: str, rows: Sequence[config_describe.Row]) -> None:
    """Prints every value of a configuration, its range, default and meaning."""
    table = new("key")
    for column in ("value", "may be", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for row in rows:
        default = "" if row.default is None else str(row.default)
        table.add_row(row.key, str(row.value), row.allowed, default, row.description)
    show(f"Config {name}", table)


def print_profile(heading: str, rows: Sequence[Row]) -> None:
    """Prints a network row by row, and the totals."""
    table = new("name")
    table.add_column("operator")  # it alone may wrap
    add_columns(
        table,
        "kernel\nstride",
        ">expan-\nsion",
        ">SE",
        ">output",
        ">param-\neters",
        ">MAdds\n(M)",
        ">memory\n(MB)",
    )
    for row in rows:
        has_kernel = row.kernel_size is not None
        table.add_row(
            row.name,
            row.operator,
            f"{row.kernel_size}x{row.kernel_size}, {row.stride}" if has_kernel else "",
            f"{row.expansion:.3g}" if row.expansion is not None else "",
            str(row.se_channels or ""),
            "x".join(map(str, row.output)),
            f"{row.parameters:,}",
            millions(row.madds),
            millions(row.activation_bytes),
        )
    table.add_section()
    table.add_row(
        "total",
        *[""] * 5,
        f"{sum(row.parameters for row in rows):,}",
        millions(sum(row.madds for row in rows)),
        millions(sum(row.activation_bytes for row in rows)),
    )
    show(heading, table)


def print_memory(heading: str, step: "StepMemory") -> None:
    """Prints the memory that a training step needs on each device."""
    table = new("on each device", ">MB")
    table.add_column(" what it is")
    outputs_elsewhere = step.output_bytes - step.alias_bytes
    for name, number, meaning in (
        ("arguments", step.argument_bytes, "the state and a part of the batch"),
        ("outputs", outputs_elsewhere, "except the state, which is updated in place"),
        ("temporary", step.temporary_bytes, "activations, gradients, workspace"),
        ("generated code", step.generated_code_bytes, "0 if XLA does not report it"),
    ):
        table.add_row(name, millions(number), f" {meaning}")
    table.add_section()
    table.add_row("total", millions(step.total_bytes), "")
    devices = f"{step.devices} {step.platform} device{'s' * (step.devices > 1)}"
    remat = ", remat" if step.remat else ""
    show(
        heading,
        f"A training step of {step.batch} images on {devices}: {step.dtype}, "
        f"{step.optimizer}{remat}; XLA's memory analysis",
        table,
    )


def print_latencies(rows: Sequence[dict[str, Any]]) -> None:
    """Prints what `mobilenets benchmark` has measured.

    Args:
      rows: of each network its name, runtime, resolution, madds, batch,
        median_seconds, and round_seconds.
    """
    table = new(
        "name",
        "runtime",
        ">pixels",
        ">MAdds\n(M)",
        ">median\n(ms)",
        ">min",
        ">max",
        ">images/s",
    )
    for row in rows:
        rounds = row["round_seconds"]
        table.add_row(
            row["name"],
            row["runtime"],
            str(row["resolution"]),
            millions(row["madds"]),
            *(f"{1e3 * t:.3g}" for t in (row["median_seconds"], *_ends(rounds))),
            f"{row['batch'] / row['median_seconds']:,.0f}",
        )
    show(table)


def print_record(record: "Record") -> None:
    """Prints what `mobilenets export` has written, and how it compares."""
    parity = record.parity
    kind = "photographs" if parity.photographs else "random images"
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for word, arrays in (("takes", record.inputs), ("gives", record.outputs)):
        for array in arrays:
            table.add_row(word, f"{array.name} {list(array.shape)}".replace("'", ""))
    table.add_row("size", f"{record.bytes / 1e6:.1f} MB, {record.numbers}")
    table.add_row(
        "difference",
        f"{parity.largest_difference:.1e} of the outputs' spread at most, "
        f"{parity.mean_difference:.1e} on average",
    )
    if parity.agreement is not None:
        table.add_row("same class", f"{parity.agreement:.1%} on {parity.images} {kind}")
    images = record.batch or 1
    table.add_row(
        "latency",
        f"{1e3 * record.median_seconds:.3g} ms for {images} image{'s' * (images > 1)}, "
        f"{record.threads} thread{'s' * (record.threads > 1)}",
    )
    show(table)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def print_catalogue(catalogue: Mapping[str, Any]) -> None:
    """Prints the trained networks of `pretrained.catalogue`."""
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, entry in catalogue.items():
        table.add_row(name, f"{entry.task}; {entry.source}; {entry.licence}")
        table.add_row("", f"{entry.registry}: {entry.package}")
        table.add_row("", f"sha256: {entry.sha256}")
    show(table)


def print_predictions(predictions: "Sequence[Prediction]") -> None:
    """Prints the classes or attributes of each photograph, the likeliest first.

    Args:
      predictions: of one network, at least one.
    """
    is_class = predictions[0].threshold is None
    table = new("photograph", ">probability", " class" if is_class else " attribute")
    from mobilenets.inference.prediction import labels  # needs JAX

    for name, prediction in zip(labels(predictions), predictions, strict=True):
        if not prediction.classes:
            table.add_row(name, "", " none")
        for i, (class_name, p) in enumerate(prediction.classes):
            table.add_row("" if i else name, f"{p:.1%}", f" {class_name}")
    show(table)


def print_places(photos: "Sequence[LocatedPhoto]") -> None:
    """Prints the cells of each photograph, the likeliest first: it is the prediction.

    Args:
      photos: at least one.
    """
    table = new("photograph", ">probability", ">latitude", ">longitude", " cell")
    from mobilenets.inference.prediction import labels_of  # needs JAX

    names = labels_of([one.photo.path for one in photos])
    for name, one in zip(names, photos, strict=True):
        for i, cell in enumerate(one.cells):
            table.add_row(
                "" if i else name,
                f"{cell.probability:.1%}",
                f"{cell.latitude:.4f}",
                f"{cell.longitude:.4f}",
                f" {cell.cell}",
            )
    show(table)


def print_detections(photos: "Sequence[DetectedPhoto]") -> None:
    """Prints the objects in each photograph, the highest score first.

    Args:
      photos: at least one.
    """
    table = new("photograph", ">score", " class", ">left", ">top", ">right", ">bottom")
    from mobilenets.inference.prediction import labels_of  # needs JAX

    for name, photo in zip(labels_of([p.path for p in photos]), photos, strict=True):
        if not photo.objects:
            table.add_row(name, "", " none", "", "", "", "")
        for i, found in enumerate(photo.objects):
            corners = (found.left, found.top, found.right, found.bottom)
            table.add_row(
                "" if i else name,
                f"{found.score:.0%}",
                f" {found.class_name}",
                *(f"{corner:.0f}" for corner in corners),
            )
    show(table)


def print_pixels(photos: "Sequence[Found]") -> None:
    """Prints the parts of each photograph that are of a class, the largest first.

    Args:
      photos: at least one.
    """
    table = new("photograph", ">pixels", " class")
    from mobilenets.inference.prediction import labels_of  # needs JAX

    for name, photo in zip(labels_of([p.path for p in photos]), photos, strict=True):
        for i, (class_name, share) in enumerate(photo.told.items()):
            table.add_row("" if i else name, f"{share:.1%}", f" {class_name}")
    show(table)


def print_scaling(report: One | Series) -> None:
    """Prints the result of `scaling_table.one` or `scaling_table.series`."""
    by = report.coefficients
    heading = (
        f"{report.family}, scaled by alpha {by.alpha:.4g} (depth), beta {by.beta:.4g} "
        f"(width), gamma {by.gamma:.4g} (resolution)"
    )
    if isinstance(report, One):
        show(heading, _one(report))
        return
    show(heading, _series(report.nets))
    if report.released:
        show(
            "\nThe released networks, and the phi that each multiplier implies",
            _released(report.released),
        )


def _one(report: One) -> rich.table.Table:
    """A line for each fact of one network."""
    net = report.net.facts
    by = net.multipliers
    lines = {
        "phi": f"{report.net.phi:g}",
        "depth": f"x {by.depth:.3f}",
        "width": f"x {by.width:.3f}",
        "resolution": f"x {by.resolution:.3f} = {net.resolution} pixels",
        "parameters": f"{net.parameters:,}",
        "MAdds": f"{net.madds:,} = {net.madds_to_baseline:.2f} x the baseline's",
        "dropout": f"{net.dropout_rate:.3g}",
    }
    if near := report.nearest_released:
        lines["nearest released"] = near.name
        lines["its parameters"] = f"{near.facts.parameters:,}"
        lines["its MAdds"] = f"{near.facts.madds:,}"
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in lines.items():
        table.add_row(name, value)
    return table


def _series(nets: Sequence[Scaled]) -> rich.table.Table:
    """A row for each phi."""
    table = new(">phi", *_SCALED_COLUMNS)
    for net in nets:
        table.add_row(f"{net.phi:g}", *_scaled_cells(net.facts))
    return table


def _released(nets: Sequence[Released]) -> rich.table.Table:
    """A row for each released network, with the phi that its multipliers imply."""
    dimensions = ("depth", "width", "resolution")
    table = new(
        "", *_SCALED_COLUMNS, ">phi by\ndepth", ">phi by\nwidth", ">phi by\npixels"
    )
    for net in nets:
        phis = [net.implied_phi.get(dimension) for dimension in dimensions]
        table.add_row(
            net.name.removeprefix("efficientnet_").upper(),
            *_scaled_cells(net.facts),
            *("" if phi is None else f"{phi:.1f}" for phi in phis),
        )
    return table


_SCALED_COLUMNS = (
    ">depth",
    ">width",
    ">pixels",
    ">parameters",
    ">MAdds\n(M)",
    ">times\nphi = 0",
    ">dropout",
)


def _scaled_cells(net: Facts) -> list[str]:
    return [
        f"{net.multipliers.depth:.2f}",
        f"{net.multipliers.width:.2f}",
        str(net.resolution),
        f"{net.parameters:,}",
        millions(net.madds),
        f"{net.madds_to_baseline:.1f}",
        f"{net.dropout_rate:.2g}",
    ]
