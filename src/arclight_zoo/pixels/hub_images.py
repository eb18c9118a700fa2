"""Read images with Hugging Face `datasets`: from the hub, and from folders of parquet files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.pixels.decode import OR_SKIP, Encoded, Take, read_image, upright
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.pixels.targets import Targets, many_hot, numbers
from arclight_zoo.reading.classes import numbered
from arclight_zoo.reading.complaints import images_alone
from arclight_zoo.reading.datasets_library import fingerprint
from arclight_zoo.reading.folds import group_numbers
from arclight_zoo.reading.hub import begins_with, known_column, load_splits
from arclight_zoo.reading.missing import require_none_missing
from arclight_zoo.reading.splits import Wanted


@dataclass(frozen=True)
class HubSplit:
    """One split of a `datasets.DatasetDict` with encoded images."""

    name: str
    path: str
    encoded: Any  # a datasets.Dataset with the image column alone
    labels: NDArray[Any]
    pixels: None = None
    groups: NDArray[np.int64] | None = None  # equal for images that stay together

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.encoded)

    def image(self, index: int, take: Take = upright) -> Any:
        encoded, where = self.stored(index)
        return read_image(encoded, where, OR_SKIP, take)

    def content(self, index: int) -> bytes:
        encoded, _ = self.stored(index)
        return encoded if isinstance(encoded, bytes) else encoded.read_bytes()

    def stored(self, index: int) -> tuple[Encoded, str]:
        """The image file, and its name in error messages."""
        where = self.where(index)
        (cell,) = self.encoded[index].values()
        if cell is not None and cell["bytes"] is not None:
            return cell["bytes"], where
        if cell is not None and cell["path"] is not None:
            return Path(cell["path"]), cell["path"]
        raise UserError(f"{where} has no image: remove that row{OR_SKIP}.")

    def where(self, index: int) -> str:
        return f"Row {index} of split {self.name} of {self.path}"


def open_hub(
    path: str,
    folder: Path | None,
    image_column: str | None,
    label_column: str | Sequence[str] | None,
    targets: Targets = "classes",
    group_column: str | None = None,
    wanted: Wanted = tuple,
) -> Source:
    """Opens a hub id, or a local folder that `datasets` supports.

    Columns are found by the types of their features. The values of a label column that is not a
    `ClassLabel` are sorted over the opened splits and numbered; withheld labels are -1.

    Args:
        path: the hub id, also used in errors.
        folder: the local folder; None: it is on the hub.
        image_column: None: the only one.
        label_column: None: the only one that can be the label.
        targets: see `open_source`.
        group_column: see `open_source`.
        wanted: chooses the splits that are opened, given their names.

    Raises:
        UserError: it is not reachable, or a column is missing or ambiguous.
    """
    splits: dict[str, Split]
    data = load_splits(path, folder, wanted=wanted)
    features = next(iter(data.values())).features
    groups: dict[str, NDArray[np.int64]] = {}
    if group_column is not None:
        group = known_column(path, data, group_column, "group_column")
        groups = {name: group_numbers(_cells(split, group)) for name, split in data.items()}
    image = _image_column(path, data, image_column)
    if folder and len(features) == 1:
        raise UserError(images_alone(path, label_column))
    if targets != "classes":
        columns = _target_columns(path, data, label_column, image, targets)
        known, of_split = _targets(path, data, columns, targets)
        splits = {
            name: HubSplit(
                name,
                path,
                encoded_images(path, split, image),
                of_split[name],
                groups=groups.get(name),
            )
            for name, split in data.items()
        }
        return Source(path, known, splits)
    assert label_column is None or isinstance(label_column, str)
    label = _label_column(path, data, label_column, image)
    values = {name: _column(path, name, split, label) for name, split in data.items()}
    names = getattr(features[label], "names", None)
    plain = names is None
    if names is None:
        names, values = numbered(values)
    splits = {}
    for name, split in data.items():
        labels = np.array(values[name], dtype=np.int64)
        encoded = encoded_images(path, split, image)
        splits[name] = HubSplit(name, path, encoded, labels, groups=groups.get(name))
    return Source(path, list(names), splits, label if plain else None)


def _target_columns(
    path: str,
    data: Mapping[str, Any],
    given: str | Sequence[str] | None,
    image: str,
    targets: Targets,
) -> list[str]:
    """The given columns, or the only column that holds lists of classes, or fractions."""
    if given is not None:
        columns = [given] if isinstance(given, str) else list(given)
        return [known_column(path, data, column, "label_column") for column in columns]
    features = next(iter(data.values())).features
    others = {name: feature for name, feature in features.items() if name != image}
    if targets == "multilabel":
        found = [n for n, f in others.items() if "List" in type(f).__name__]
        found = found or [n for n, f in others.items() if _is_text(f)]
    else:
        inner = {n: getattr(f, "feature", f) for n, f in others.items()}
        found = [n for n, f in inner.items() if str(getattr(f, "dtype", "")).startswith("float")]
    if len(found) == 1:
        return found
    what = "lists of classes" if targets == "multilabel" else "numbers"
    raise UserError(
        f"{path} has {len(found) or 'no'} columns that could hold {what}: type "
        f"data.label_column=NAME with one of {', '.join(found or others)}"
        f"{', or data.label_column=[NAME,...] with several' if targets == 'values' else ''}."
        f"{begins_with(data)}"
    )


def _targets(
    path: str, data: Any, columns: Sequence[str], targets: Targets
) -> tuple[list[str], Mapping[str, NDArray[Any]]]:
    """The names of the classes or values, and the targets by split."""
    features = next(iter(data.values())).features
    first = features[columns[0]]
    names = getattr(getattr(first, "feature", first), "names", None)
    cells = {name: [_cells(split, column) for column in columns] for name, split in data.items()}
    if targets == "values":
        if names is not None:
            raise UserError(
                f"{columns[0]} of {path} holds classes, but data.targets=values needs numbers: "
                "type data.label_column=NAME with a column of numbers."
            )
        alone = len(columns) == 1
        rows = {n: own[0] if alone else list(zip(*own, strict=True)) for n, own in cells.items()}
        return numbers(path, columns, rows)
    lists = {name: own[0] for name, own in cells.items()}
    if _is_text(first):  # empty csv cells are read as None
        lists = {name: ["" if cell is None else cell for cell in o] for name, o in lists.items()}
    return many_hot(path, columns[0], lists, names)


def _image_column(path: str, data: Mapping[str, Any], given: str | None) -> str:
    if given is not None:
        return known_column(path, data, given, "image_column")
    features = next(iter(data.values())).features
    found: list[str] = [n for n, f in features.items() if type(f).__name__ == "Image"]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"{path} has no image column among {', '.join(features)}: type data.image_column=NAME "
            "if one of them holds image files, or another data.path."
        )
    raise UserError(
        f"{path} has {len(found)} image columns: type data.image_column=NAME with one of "
        f"{', '.join(found)}."
    )


def _label_column(path: str, data: Mapping[str, Any], given: str | None, image: str) -> str:
    if given is not None:
        return known_column(path, data, given, "label_column")
    features = next(iter(data.values())).features
    found: list[str] = [n for n, f in features.items() if type(f).__name__ == "ClassLabel"]
    if not found:
        plain = {n: f for n, f in features.items() if n != image}
        found = [
            n for n, f in plain.items() if _is_text(f) or getattr(f, "dtype", "").startswith("int")
        ]
        found = ["label"] if "label" in found else found
    if len(found) == 1:
        return found[0]
    raise UserError(
        f"{path} has {len(found) or 'no'} columns that could be the label: type "
        f"data.label_column=NAME with one of {', '.join(found or features)}.{begins_with(data)}"
    )


def _is_text(feature: Any) -> bool:
    return getattr(feature, "dtype", "") in ("string", "large_string")  # csv: large_string


def encoded_images(path: str, split: Any, image: str, key: str = "image_column") -> Any:
    """Only the image column, as bytes or paths; `key` is its config key, for error messages."""
    from datasets import Image as ImageFeature

    try:
        return split.select_columns([image]).cast_column(image, ImageFeature(decode=False))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise UserError(
            f"data.{key}={image} of {path} does not hold images: type another column of "
            f"{', '.join(split.features)}."
        ) from error


def _cells(split: Any, column: str) -> list[Any]:
    cells: list[Any] = split.select_columns([column]).with_format("arrow")[:][column].to_pylist()
    return cells


def _column(path: str, name: str, split: Any, label: str) -> list[Any]:
    values = _cells(split, label)
    require_none_missing(path, name, label, values)
    return values
