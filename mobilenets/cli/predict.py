"""`mobilenets predict`."""

import pathlib
from typing import Annotated

import typer

from mobilenets.cli import tables
from mobilenets.cli.command_line import examples, fail_with, prepare_jax
from mobilenets.errors import UserError

_DEFAULT_PICTURE = pathlib.Path("predictions.png")

EPILOG = examples(
    "mobilenets predict cat.jpg dog.png --weights weights/v2",
    "mobilenets predict photos/*.jpg --weights runs/photos --top 3",
)


def command(
    photos: Annotated[
        list[pathlib.Path], typer.Argument(help="JPEG, PNG or WebP files.")
    ],
    weights: Annotated[
        str, typer.Option(help="A folder of weights, or the workdir of a run.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 5,
    picture: Annotated[
        pathlib.Path, typer.Option(help="Where to draw them.", metavar="FILE")
    ] = _DEFAULT_PICTURE,
) -> None:
    """Names the likeliest classes of photographs, and draws them.

    A file that is no image is named and left out; the exit code is then 1.
    """
    prepare_jax()
    from mobilenets.inference import prediction, trained

    if picture.suffix != ".png":
        raise UserError(f"The picture must be a .png file, but is {str(picture)!r}.")
    if picture.exists():
        is_photo = any(photo.exists() and photo.samefile(picture) for photo in photos)
        if is_photo or picture != _DEFAULT_PICTURE:
            raise UserError(f"{picture} exists already: give another --picture.")
    net = trained.load(weights)
    broken: list[UserError] = []
    readable = prediction.read_photos(photos, net, broken.append)
    predictions = prediction.predict(net, readable, top)
    if predictions:
        tables.print_predictions(predictions)
        prediction.draw_predictions(predictions, picture)
        print(f"Drawn in {picture}.")
    fail_with(broken)
