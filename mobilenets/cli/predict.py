"""`mobilenets predict`."""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli import networks, outputs, tables
from mobilenets.cli.command_line import examples, fail_with, prepare_jax
from mobilenets.errors import UserError

if TYPE_CHECKING:  # they need JAX
    from mobilenets.inference.pixels import Found
    from mobilenets.inference.trained import Net

Files = Mapping[str, Any]  # the path that each option of an output gives, or None

_DEFAULT_PICTURE = pathlib.Path("predictions.png")
_DEFAULT_MASKS = pathlib.Path("predicted_masks")

EPILOG = examples(
    "mobilenets predict cat.jpg dog.png --weights efficientnet_lite0",
    "mobilenets predict photos --weights runs/photos --top 3 --csv predictions.csv",
    "mobilenets predict photos --weights runs/attributes --threshold 0.3",
    "mobilenets predict street.jpg --weights runs/coco --score 0.5 --json found.json",
    "mobilenets predict street.jpg --weights runs/cityscapes --masks masks --tile 1024",
    "mobilenets predict holiday.jpg --weights runs/places --json places.json",
)

# The options that only some weights have, by what these predict.
_ONLY = {
    "one class per image": ("top", "csv"),
    "places": ("top", "csv"),
    "attributes": ("threshold", "csv"),
    "objects": ("score", "iou", "max-detections", "coco"),
    "a class for each pixel": ("masks", "tile"),
}


def command(
    photos: Annotated[
        list[pathlib.Path],
        typer.Argument(help="JPEG, PNG or WebP files, or folders of them."),
    ],
    weights: Annotated[str, typer.Option(help=networks.NAME_OR_WEIGHTS)],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Number of classes or cells to print. Default: 5."),
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
    score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Lowest score of a detected object. Default: 0.3."
        ),
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Overlap (intersection over union) above which the lower of two "
            "scores of a class is dropped. Default: that of the weights.",
        ),
    ] = None,
    max_detections: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Most objects in an image. Default: that of the weights.",
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=128,
            help="See the photograph in overlapping parts of this height and width, a "
            "multiple of 128, so that memory does not grow with it.",
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
    masks: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="Where the masks of segmenters are written. Default: "
            f"{_DEFAULT_MASKS}.",
            metavar="FOLDER",
        ),
    ] = None,
    as_coco: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--coco", help="Also write objects as COCO's results.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Classify or locate images, find objects or label pixels.

    Prints and draws the most likely classes; for multi-label weights, the attributes;
    for detectors, the objects; for segmenters, the classes of the pixels; for
    geolocalization, the place on a map. For segmenters it also writes the mask of each
    photograph. Files that are not images are reported and skipped; the exit code is
    then 1.
    """
    prepare_jax()
    from mobilenets.inference import detections, pixels, places, prediction

    if picture.suffix != ".png":
        raise UserError(f"The picture must be a .png file, but is {str(picture)!r}.")
    paths = prediction.photos_in(photos)
    _refuse_to_draw_on(paths, picture)
    files = {"picture": picture, "json": as_json, "csv": as_csv, "coco": as_coco}
    outputs.check(files, ours=_DEFAULT_PICTURE)
    net = networks.load(weights)
    given = {"top": top, "threshold": threshold, "score": score, "iou": iou}
    given |= {"max-detections": max_detections, "csv": as_csv, "coco": as_coco}
    given |= {"masks": masks, "tile": tile}
    _refuse_others(given, net)
    broken: list[UserError] = []
    if pixels.is_segmenter(net):
        _check_tile(tile)
        _check_masks(paths, masks)
        segmented = pixels.segment(net, paths, broken.append, tile)
        folder, names = masks or _DEFAULT_MASKS, net.description.class_names
        found = pixels.write_masks(segmented, paths, names, folder)
        write = {"json": pixels.write_json}
        _report(found, tables.print_pixels, pixels.draw, write, files)
        _print_masks(found, folder)
    elif detections.is_detector(net):
        options = (score, iou, max_detections)
        found = [*detections.detect_objects(net, paths, broken.append, *options)]
        names = net.description.class_names
        ids = {name: number for number, name in enumerate(names, start=1)}
        write_coco = functools.partial(detections.write_coco, category_ids=ids)
        write = {"json": detections.write_json, "coco": write_coco}
        _report(found, tables.print_detections, detections.draw, write, files)
    elif places.is_geolocalizer(net):
        readable = prediction.read_photos(paths, net, broken.append)
        located = places.locate(net, readable, top or places.DEFAULT_TOP)
        found = prediction.keep_few_pixels(located)
        write = {"json": places.write_json, "csv": places.write_csv}
        _report(found, tables.print_places, places.draw, write, files)
    else:
        readable = prediction.read_photos(paths, net, broken.append)
        predicted = prediction.predict(net, readable, top, threshold)
        found = prediction.keep_few_pixels(predicted)
        draw = prediction.draw_predictions
        write = {"json": prediction.write_json, "csv": prediction.write_csv}
        _report(found, tables.print_predictions, draw, write, files)
    fail_with(broken)


def _report(
    found: list[Any],
    print_table: Callable[[list[Any]], None],
    draw: Callable[[list[Any], pathlib.Path], None],
    write: Mapping[str, Callable[..., None]],
    files: Files,
) -> None:
    """Prints, draws and writes what is predicted, if any photograph could be read.

    Args:
      found: of each photograph.
      print_table: of it.
      draw: into a file.
      write: by the option that gives the file.
      files: that the options give.
    """
    from mobilenets.inference.prediction import MOST_DRAWN

    if not found:
        return
    print_table(found)
    picture = files["picture"]
    draw(found, picture)
    which = f" with the first {MOST_DRAWN} photographs"
    print(f"Wrote {picture}{which if len(found) > MOST_DRAWN else ''}.")
    for option, write_file in write.items():
        if files[option]:
            write_file(found, path=files[option])


def _print_masks(found: "list[Found]", folder: pathlib.Path) -> None:
    """Prints where the masks are."""
    if found:
        print(
            f"Wrote {found[0].mask if len(found) == 1 else f'the masks to {folder}'}."
        )


def _check_tile(tile: int | None) -> None:
    """Raises UserError unless parts of a photograph can have that size."""
    from mobilenets.segmentation.tiles import GRID

    if tile is not None and tile % (4 * GRID):
        lower = tile // (4 * GRID) * 4 * GRID
        raise UserError(
            f"--tile is {tile}, but must be a multiple of {4 * GRID}, such as {lower} "
            f"or {lower + 4 * GRID}."
        )


def _check_masks(photos: Sequence[pathlib.Path], folder: pathlib.Path | None) -> None:
    """Makes sure that no mask overwrites a file, unless the folder is our own."""
    from mobilenets.inference.pixels import mask_names

    if folder is None:
        outputs.check({"masks": _DEFAULT_MASKS / "a mask"})
        return
    for name in mask_names(photos).values():
        outputs.check({"masks": folder / name})


def _refuse_others(given: Mapping[str, Any], net: "Net") -> None:
    """Raises UserError if an option is given that is for other weights."""
    from mobilenets.inference import detections, pixels, places

    predicted = "one class per image"
    if pixels.is_segmenter(net):
        predicted = "a class for each pixel"
    elif detections.is_detector(net):
        predicted = "objects"
    elif places.is_geolocalizer(net):
        predicted = "places"
    elif net.description.threshold is not None:
        predicted = "attributes"
    for option, value in given.items():
        if value is None or option in _ONLY[predicted]:
            continue
        fitting = " or ".join(kind for kind in _ONLY if option in _ONLY[kind])
        raise UserError(
            f"--{option} is for weights that predict {fitting}, but these predict "
            f"{predicted}: leave it out."
        )


def _refuse_to_draw_on(photos: Sequence[pathlib.Path], picture: pathlib.Path) -> None:
    """Raises UserError if a photograph has the name of our own picture."""
    if picture.exists() and any(p.exists() and p.samefile(picture) for p in photos):
        raise UserError(f"{picture} is one of the photographs: give another --picture.")
