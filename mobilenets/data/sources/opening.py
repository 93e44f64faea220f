"""Opens the configured data set."""

from collections.abc import Sequence

from mobilenets.config.schema import (
    Configuration,
    Dataset,
    EvalSet,
    FolderEval,
    InFolder,
    InTable,
    Named,
    OwnEval,
    Prepared,
)
from mobilenets.data.sources import (
    collages,
    embedded,
    painted_places,
    scenes,
    slices,
    tfds,
    tfds_attributes,
    tfds_boxes,
    tfds_masks,
)
from mobilenets.data.sources.base import (
    Labelled,
    Labels,
    Source,
    Undivided,
    UnknownSplit,
    WrongSplit,
)
from mobilenets.data.sources.boxed_folder import BoxedFolderSource
from mobilenets.data.sources.folder import FolderSource
from mobilenets.data.sources.masked_folder import MaskedFolderSource
from mobilenets.data.sources.placed_folder import PlacedFolderSource
from mobilenets.data.sources.placed_table import PlacedTableSource
from mobilenets.data.sources.table import TableSource
from mobilenets.errors import UserError


def open_source(
    dataset: Dataset | EvalSet,
    split: str,
    labels: Labels = "class",
    to_train: bool = False,
    option: str = "",
    in_use: Sequence[str] = (),
    labelled: Labelled = "all",
) -> Source:
    """Opens one split of a data set; reads no image yet.

    Args:
      dataset: the configured one.
      split: of it.
      labels: what must be known of its images.
      to_train: refuse a split of one's own images from which a class or an attribute
        cannot be learned.
      option: the key of the config that chooses the split, for messages; "": that of
        `dataset`.
      in_use: all splits of one's own images that are opened, whose classes are numbered
        together. A split that is the only one needs no other to be there.
      labelled: which of one's own images must have a label.

    Raises:
      UserError: there is no such data set or split, it is not prepared (the message has
        the command that prepares it), or it does not hold images with such labels.
    """
    option = option or ("dataset.train_split" if to_train else "dataset.eval_split")
    try:
        return _open(dataset, split, labels, to_train, in_use, labelled)
    except UnknownSplit as error:
        raise UserError(f"{error}{_other_split(error, dataset, option)}") from None
    except WrongSplit as error:
        raise UserError(f"{error} Give another one by --config.{option}.") from None
    except Undivided as error:
        to_evaluate = isinstance(dataset, FolderEval) or {*in_use} == {split}
        if isinstance(dataset, InFolder) and to_evaluate:
            if error.only:
                raise UserError(
                    f"{error} Give --config.{option}={error.only}."
                ) from None
            raise UserError(
                f"{error} Move them into {dataset.folder}/{split}."
            ) from None
        raise UserError(
            f"{error} Give --config.dataset.eval_fraction=0.2 to evaluate a fifth of "
            "the images and train on the others."
        ) from None


def open_sources(
    config: Configuration, labels: Labels, to_train: bool
) -> dict[str, Source]:
    """Opens the configured sets: "train", "val", and those of `config.evals`.

    Args:
      config: of the run.
      labels: see `open_source`.
      to_train: whether "train" is opened, and its classes count.

    Raises:
      UserError: see `open_source`.
    """
    dataset = config.dataset
    sources = {}
    in_use = [dataset.eval_split]
    if to_train:
        labelled = _labelled(config)
        if labelled != "none":
            in_use.append(dataset.train_split)
        sources["train"] = open_source(
            dataset,
            dataset.train_split,
            labels,
            to_train,
            in_use=in_use,
            labelled=labelled,
        )
    sources["val"] = open_source(dataset, dataset.eval_split, labels, in_use=in_use)
    for name, chosen in config.evals.items():
        source = dataset if isinstance(chosen, OwnEval) else chosen
        option = f"evals.{name}.split"
        sources[name] = open_source(
            source, chosen.split, labels, option=option, in_use=[chosen.split]
        )
    return sources


def _labelled(config: Configuration) -> Labelled:
    """Which of the images to train must have a label."""
    if not config.teacher:
        return "all"
    return "some" if config.distillation.label_weight else "none"


def _other_split(error: UnknownSplit, dataset: Dataset | EvalSet, option: str) -> str:
    """How one of the splits that there are is chosen."""
    if error.meant:
        return f" Give --config.{option}={error.meant}."
    if error.known == ["train"] and isinstance(dataset, Named | Prepared):
        return (
            " Give two parts of it: --config.dataset.train_split='train[:90%]' "
            f"--config.{option}='train[90%:]'."
        )
    return f" Give one of them by --config.{option}."


def _open(
    dataset: Dataset | EvalSet,
    split: str,
    labels: Labels,
    to_train: bool,
    in_use: Sequence[str],
    labelled: Labelled,
) -> Source:
    match dataset:
        case InTable() if labels in ("boxes", "mask"):
            _check_labels(f"dataset.table {dataset.table}", "class", labels)
        case InTable() if labels == "place":
            return PlacedTableSource(
                dataset.table, split, dataset.images, dataset.eval_fraction, labelled
            )
        case InTable():
            return TableSource(
                dataset.table,
                split,
                labels,
                dataset.images,
                dataset.separator,
                dataset.eval_fraction,
                to_train,
                in_use,
                labelled,
            )
        case InFolder() if labels == "boxes":
            return BoxedFolderSource(dataset.folder, split, dataset.eval_fraction)
        case InFolder() if labels == "mask":
            return MaskedFolderSource(
                dataset.folder, split, dataset.eval_fraction, to_train
            )
        case InFolder() if labels == "place":
            return PlacedFolderSource(
                dataset.folder, split, dataset.eval_fraction, labelled
            )
        case InFolder():
            if labelled != "none":
                _check_labels(f"dataset.folder {dataset.folder}", "class", labels)
            return FolderSource(
                dataset.folder,
                split,
                dataset.eval_fraction,
                to_train,
                in_use,
                labelled,
            )
        case Prepared() if labels == "boxes":
            builder = tfds.prepared_builder(dataset.directory)
            return tfds_boxes.TfdsBoxedSource(builder, split)
        case Prepared() if labels == "mask":
            builder = tfds.prepared_builder(dataset.directory)
            return tfds_masks.TfdsMaskedSource(builder, split)
        case Prepared() if labels == "attributes":
            builder = tfds.prepared_builder(dataset.directory)
            return tfds_attributes.TfdsAttributesSource(builder, split)
        case Prepared():
            builder = tfds.prepared_builder(dataset.directory)
            return tfds.open_classes(builder, split, to_train)
        case Named():
            return _named(dataset, split, labels, to_train)
    raise UserError(
        "The data set is missing: give dataset.folder, images in folders of their "
        "classes, dataset.table, a CSV file, dataset.name or dataset.directory."
    )


def _named(dataset: Named, split: str, labels: Labels, to_train: bool) -> Source:
    """The split of a data set that is embedded or TFDS's."""
    if dataset.name == embedded.PLACES:
        _check_labels(f"The data set {dataset.name}", "place", labels)
        return painted_places.PaintedPlacesSource(split)
    if dataset.name == embedded.COLLAGES:
        _check_labels(f"The data set {dataset.name}", "attributes", labels)
        return collages.CollageSource(_garments(), split)
    if dataset.name == embedded.SCENES:
        if labels not in ("boxes", "mask"):
            _check_labels(f"The data set {dataset.name}", "boxes", labels)
        chosen = slices.places(dataset.name, scenes.SIZES, split)
        folder = scenes.folder_of_scenes(_garments(), dataset.data_dir)
        names = sorted({name for name, _ in chosen})
        if len(names) > 1:
            raise UserError(
                f"The data set {dataset.name} has no split {split}: give a part of "
                f"{' or '.join(names)} alone."
            )
        numbers = [number for _, number in chosen]
        if labels == "mask":
            return slices.PartOfMasked(MaskedFolderSource(folder, names[0]), numbers)
        return slices.PartOfBoxed(BoxedFolderSource(folder, names[0]), numbers)
    if labels == "place" or dataset.name in embedded.PREPARED:
        _check_labels(f"The data set {dataset.name}", "class", labels)
    if dataset.name in embedded.PREPARED:
        return tfds.TfdsSource(tfds.embedded_builder(dataset.name), split)
    builder = tfds.named_builder(dataset.name, dataset.data_dir)
    if labels == "boxes":
        return tfds_boxes.TfdsBoxedSource(builder, split)
    if labels == "mask":
        return tfds_masks.TfdsMaskedSource(builder, split)
    if labels == "attributes":
        return tfds_attributes.TfdsAttributesSource(builder, split)
    return tfds.open_classes(builder, split, to_train)


def _garments() -> dict[str, Source]:
    """The splits of the embedded clothes, of which others are composed."""
    clothes = tfds.embedded_builder("fashion_mnist_subset")
    return {split: tfds.TfdsSource(clothes, split) for split in ("train", "validation")}


def _check_labels(what: str, has: Labels, needed: Labels) -> None:
    if has == needed:
        return
    if needed == "boxes":
        raise UserError(
            f"{what} has no boxes, but the task needs them: give dataset.folder with "
            "COCO, YOLO or Pascal VOC files, or another task.name."
        )
    if needed == "mask":
        raise UserError(
            f"{what} has no masks, but the task needs them: give dataset.folder with "
            "images and masks, or another task.name."
        )
    if needed == "place":
        raise UserError(
            f"{what} has no places, but the task needs them: give dataset.table with "
            "the columns path, latitude and longitude, dataset.folder with photographs "
            "whose EXIF data have their place, or another task.name."
        )
    if has == "place":
        raise UserError(
            f"{what} has a place for each image, which only task.name=geolocalization "
            "can use: give it, or another data set."
        )
    if has == "boxes":
        raise UserError(
            f"{what} has boxes and masks, but the task needs labels of whole images: "
            "give another data set, or task.name=detection or segmentation."
        )
    if has == "class":
        raise UserError(
            f"{what} has one class per image, but the task needs attributes: give "
            "dataset.table, which may have a column for each, or "
            "task.name=classification."
        )
    raise UserError(
        f"{what} has several attributes per image, but the task needs one class: give "
        "task.name=multilabel, or another data set."
    )
