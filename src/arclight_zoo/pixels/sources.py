"""Open a data set of labelled images by its path."""

from collections.abc import Sequence
from pathlib import Path

from arclight.errors import UserError
from arclight.network import address
from arclight_zoo.pixels.source import Source
from arclight_zoo.pixels.targets import Targets, converted
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.splits import Wanted


def open_source(
    path: str,
    image_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    cache: Path | None = None,
    targets: Targets = "classes",
    group_column: str | None = None,
    wanted: Wanted = tuple,
) -> Source:
    """Opens `sklearn:digits`, `sklearn:scenes`, `matplotlib:letters`, a folder, a `.npz` file, or a
    hub id.

    A folder holds class folders, tar shards or parquet files. Relative paths start at the working
    directory. Existing paths are not looked up on the hub, nor are paths that can only be folders.

    Args:
        path: of the data.
        image_column: of a table; None: found by type.
        label_column: of a table; None: found by type. Several columns for `values`.
        cache: folder for the index of shards.
        targets: `classes`, `multilabel` or `values`.
        group_column: of a table; rows with the same value stay in one split.
        wanted: chooses the splits that are opened, given their names.

    Raises:
        UserError: it does not exist, or does not hold labelled images.
    """
    _require_columns(
        path,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
    )
    if path == "sklearn:digits":
        from arclight_zoo.pixels.digits import open_digits

        return converted(open_digits(), targets)
    if path == "matplotlib:letters":
        from arclight_zoo.pixels.letters import open_letters

        return converted(open_letters(cache or cache_folder(None)), targets)
    if path == "sklearn:scenes":
        from arclight_zoo.pixels.scenes import open_scenes

        if targets == "classes":
            raise UserError(
                "Images of sklearn:scenes show several digits: type task=image_multilabel, or "
                "task=image_regression to predict their number."
            )
        return open_scenes(cache or cache_folder(None), targets)
    folder = Path(path).expanduser()
    if folder.is_file() and folder.suffix.lower() == ".npz":
        from arclight_zoo.pixels.npz import open_npz

        return open_npz(folder, targets)
    if folder.is_file():
        raise UserError(
            f"data.path={path} is a file: type data.path={folder.parent}, the folder it is in."
        )
    if folder.is_dir():
        from arclight_zoo.pixels.folder import (
            folder_without_classes,
            holds_class_folders,
            open_folder,
            without_classes,
        )

        if holds_class_folders(folder):
            return converted(open_folder(folder, wanted), targets)
        from arclight_zoo.pixels.tars import holds_tars, open_tars

        if holds_tars(folder):
            assert label_column is None or isinstance(label_column, str)
            opened = open_tars(folder, cache or cache_folder(None), label_column, wanted)
            return converted(opened, targets)
        if (split := folder_without_classes(folder)) and label_column is None:
            raise UserError(without_classes(split))
    elif _means_a_folder(path):
        raise UserError(
            f"data.path={path} does not exist (looked for {folder.absolute()}): "
            "type data.path=FOLDER with the folder of your images."
        )
    from arclight_zoo.pixels.hub_images import open_hub

    place = folder if folder.is_dir() else None
    return open_hub(path, place, image_column, label_column, targets, group_column, wanted)


def _require_columns(path: str, **given: str | Sequence[str] | None) -> None:
    """Raises `UserError` if a column is named, but the source has no columns of that kind."""
    known = _columns(path)
    for key, name in given.items():
        if name is not None and key not in known:
            named = name if isinstance(name, str) else f"[{','.join(name)}]"
            raise UserError(
                f"data.{key}={named} is a column of parquet or hub data, but {path} has no "
                f"columns: type data.{key}=null."
            )


def _columns(path: str) -> tuple[str, ...]:
    """The config keys that name columns of this kind of source."""
    from arclight_zoo.pixels.folder import holds_class_folders
    from arclight_zoo.pixels.tars import holds_tars

    folder = Path(path).expanduser()
    if path.startswith(("sklearn:", "matplotlib:")) or folder.is_file():
        return ()
    if folder.is_dir() and holds_class_folders(folder):
        return ()
    if folder.is_dir() and holds_tars(folder):
        return ("label_column",)
    return ("image_column", "label_column", "group_column")


def _means_a_folder(path: str) -> bool:
    path = address(path)[0] if ":" not in path.partition("/")[0] else path
    parent = path.rpartition("/")[0]
    return (
        path.startswith((".", "/", "~"))
        or "\\" in path
        or ":" in path
        or path.count("/") > 1
        or (parent != "" and Path(parent).is_dir())
    )
