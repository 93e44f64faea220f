"""`mobilenets predict`."""

import pathlib
from collections.abc import Sequence
from typing import Annotated

import typer

from mobilenets.cli import networks, outputs, tables
from mobilenets.cli.command_line import examples, fail_with, prepare_jax
from mobilenets.errors import UserError

_DEFAULT_PICTURE = pathlib.Path("predictions.png")

EPILOG = examples(
    "mobilenets predict cat.jpg dog.png --weights efficientnet_lite0",
    "mobilenets predict photos --weights runs/photos --top 3 --csv predictions.csv",
    "mobilenets predict photos --weights runs/attributes --threshold 0.3",
)


def command(
    photos: Annotated[
        list[pathlib.Path],
        typer.Argument(help="JPEG, PNG or WebP files, or folders of them."),
    ],
    weights: Annotated[str, typer.Option(help=networks.NAME_OR_WEIGHTS)],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Number of classes to print. Default: 5."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Lowest probability of an attribute that is reported. Default: that "
            "of the weights.",
        ),
    ] = None,
    picture: Annotated[
        pathlib.Path, typer.Option(help="Picture of the predictions.", metavar="FILE")
    ] = _DEFAULT_PICTURE,
    as_json: Annotated[
        pathlib.Path | None,
        typer.Option("--json", help="Also write them as JSON.", metavar="FILE"),
    ] = None,
    as_csv: Annotated[
        pathlib.Path | None,
        typer.Option("--csv", help="Also write them as a table.", metavar="FILE"),
    ] = None,
) -> None:
    """Classify images and draw the predictions.

    Prints the most likely classes; for multi-label weights, the attributes. Files that
    are not images are reported and skipped; the exit code is then 1.
    """
    prepare_jax()
    from mobilenets.inference import prediction, trained

    if picture.suffix != ".png":
        raise UserError(f"The picture must be a .png file, but is {str(picture)!r}.")
    paths = prediction.photos_in(photos)
    _refuse_to_draw_on(paths, picture)
    files = {"picture": picture, "json": as_json, "csv": as_csv}
    outputs.check(files, ours=_DEFAULT_PICTURE)
    net = trained.load(networks.weights(weights))
    broken: list[UserError] = []
    readable = prediction.read_photos(paths, net, broken.append)
    found = prediction.keep_few_pixels(
        prediction.predict(net, readable, top, threshold)
    )
    if found:
        tables.print_predictions(found)
        prediction.draw_predictions(found, picture)
        first = prediction.MOST_DRAWN
        which = f" with the first {first} photographs" if found[first:] else ""
        print(f"Wrote {picture}{which}.")
        if as_json:
            prediction.write_json(found, as_json)
        if as_csv:
            prediction.write_csv(found, as_csv)
    fail_with(broken)


def _refuse_to_draw_on(photos: Sequence[pathlib.Path], picture: pathlib.Path) -> None:
    """Raises UserError if a photograph has the name of our own picture."""
    if picture.exists() and any(p.exists() and p.samefile(picture) for p in photos):
        raise UserError(f"{picture} is one of the photographs: give another --picture.")
