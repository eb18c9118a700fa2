"""Images that Hugging Face `datasets` reads: on the hub, and in local folders of parquet files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.errors import UserError
from arclight_zoo.pixels.decode import OR_SKIP, Encoded, read_image
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.reading.classes import numbered
from arclight_zoo.reading.complaints import images_alone
from arclight_zoo.reading.hub import known_column, load_splits
from arclight_zoo.reading.missing import require_none_missing


@dataclass(frozen=True)
class HubSplit:
    """One split of a `datasets.DatasetDict`, its images left encoded."""

    name: str
    path: str
    encoded: Any  # a datasets.Dataset with the image column alone
    labels: NDArray[np.int64]
    pixels: None = None

    @property
    def fingerprint(self) -> str:
        return str(self.encoded._fingerprint)

    def image(self, index: int) -> Image.Image:
        encoded, where = self._stored(index)
        return read_image(encoded, where, OR_SKIP)

    def content(self, index: int) -> bytes:
        encoded, _ = self._stored(index)
        return encoded if isinstance(encoded, bytes) else encoded.read_bytes()

    def _stored(self, index: int) -> tuple[Encoded, str]:
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
    path: str, folder: Path | None, image_column: str | None, label_column: str | None
) -> Source:
    """Opens a hub id, or a local folder that `datasets` understands.

    Columns are found by the type of their features. A label column that is not a `ClassLabel` is
    numbered by its sorted values in all splits; withheld labels are -1.

    Raises:
        UserError: it is not reachable, or a column is missing or ambiguous.
    """
    data = load_splits(path, folder)
    features = next(iter(data.values())).features
    image = _image_column(path, features, image_column)
    if folder and len(features) == 1:
        raise UserError(images_alone(path, label_column))
    label = _label_column(path, features, label_column, image)
    splits: dict[str, Split] = {}
    values = {name: _column(path, name, split, label) for name, split in data.items()}
    names = getattr(features[label], "names", None)
    plain = names is None
    if names is None:
        names, values = numbered(values)
    for name, split in data.items():
        labels = np.array(values[name], dtype=np.int64)
        splits[name] = HubSplit(name, path, _encoded(path, split, image), labels)
    return Source(path, list(names), splits, label if plain else None)


def _image_column(path: str, features: Mapping[str, Any], given: str | None) -> str:
    if given is not None:
        return known_column(path, features, given, "image_column")
    found = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
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


def _label_column(path: str, features: Mapping[str, Any], given: str | None, image: str) -> str:
    if given is not None:
        return known_column(path, features, given, "label_column")
    found = [name for name, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    if not found:
        plain = {n: getattr(f, "dtype", "") for n, f in features.items() if n != image}
        found = [n for n, kind in plain.items() if kind == "string" or kind.startswith("int")]
        found = ["label"] if "label" in found else found
    if len(found) == 1:
        return found[0]
    raise UserError(
        f"{path} has {len(found) or 'no'} columns that could be the label: type "
        f"data.label_column=NAME with one of {', '.join(found or features)}."
    )


def _encoded(path: str, split: Any, image: str) -> Any:
    """The image column alone, as bytes or paths."""
    from datasets import Image as ImageFeature

    try:
        return split.select_columns([image]).cast_column(image, ImageFeature(decode=False))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise UserError(
            f"data.image_column={image} of {path} does not hold images: type one that does, of "
            f"{', '.join(split.features)}."
        ) from error


def _column(path: str, name: str, split: Any, label: str) -> list[Any]:
    values: list[Any] = split.select_columns([label]).with_format("arrow")[:][label].to_pylist()
    require_none_missing(path, name, label, values)
    return values
