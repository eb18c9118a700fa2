"""What Hugging Face `datasets` reads: data sets on the hub, and local folders of parquet files."""

import contextlib
import errno
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.data import ranges
from arclight.data.classes import numbered
from arclight.data.decode import OR_SKIP, Encoded, read_image
from arclight.data.missing import require_none_missing
from arclight.data.reading import IMAGES, TEXTS, fault, images_alone, require_commas
from arclight.data.sources import Source, Split
from arclight.errors import UserError
from arclight.network import address, reachable, refusal, why_not


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


_COMMIT = re.compile(r"@[0-9a-f]{40}/")

TABLES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".txt": "text"}
"""What reads a single file, by its suffix."""


def load_splits(path: str, place: Path | None, holds: str = IMAGES) -> Any:
    """A `datasets.DatasetDict` of a hub id, or of a local folder or file.

    Args:
        path: the hub id, and what errors call it.
        place: the folder or file, or None for the hub. A file has one split, `train`.
        holds: what errors say that it should hold.

    Raises:
        UserError: it is not reachable, or cannot be read as a data set.
    """
    import datasets

    with _quiet_hub(may_connect=place is None) as within:
        try:
            if place and place.is_file():
                if place.suffix not in TABLES:
                    raise UserError(
                        f"data.path={path} is no {', '.join(TABLES)} file: convert it to one."
                    )
                require_commas(place)
                files = {"train": str(place.resolve())}
                return datasets.load_dataset(TABLES[place.suffix], data_files=files)
            if place:
                return datasets.load_dataset(str(place.resolve()))
            repo, subset, revision = address(path)
            return datasets.load_dataset(repo, subset, revision=revision)
        except UserError:
            raise
        except Exception as error:  # of many kinds: the hub's, of connections, of formats
            raise UserError(_fault(path, place, error, within, holds)) from error


def split_files(path: str, place: Path | None) -> dict[str, tuple[list[str], str]]:
    """By split, the files of a hub id or local folder, and what identifies them; none is read.

    Args:
        path: the hub id, and what errors call it.
        place: the folder, or None for the hub.

    Raises:
        UserError: it is not reachable, or no data set.
    """
    import datasets

    repo, subset, revision = (str(place.resolve()), None, None) if place else address(path)
    with _quiet_hub(may_connect=place is None) as within:
        try:
            builder = datasets.load_dataset_builder(repo, subset, revision=revision)
        except Exception as error:
            raise UserError(_fault(path, place, error, within, TEXTS)) from error
        found = builder.config.data_files or {}
        if not found and not within and not place:
            raise UserError(_not_given(path, within))
        if not found:
            raise UserError(f"{path} names no data files: type data=text_file to load it as it is.")
        return {
            str(split): (list(map(str, files)), _identity(files)) for split, files in found.items()
        }


def _identity(files: Any) -> str:
    """Changes when the files do; on the hub not with every commit."""
    if all(map(ranges.is_here, files)):
        return str(files.origin_metadata)
    return str([(_COMMIT.sub("/", str(file)), ranges.identity(str(file))) for file in files])


def _fault(path: str, folder: Path | None, error: Exception, within: bool, holds: str) -> str:
    import datasets

    cache = datasets.config.HF_DATASETS_CACHE
    cause = error.__cause__ or error  # of a DatasetGenerationError
    if folder and folder.is_dir() and not any(f.is_file() for f in folder.rglob("*")):
        return (
            f"data.path={path} is an empty folder: type data.path=FOLDER with one that holds "
            f"{holds}."
        )
    if isinstance(cause, OSError) and (cause.errno == errno.ENOSPC or str(cache) in str(cause)):
        return (
            f"The cache of Hugging Face datasets {cache} cannot be written ({cause.strerror}): "
            "type HF_HOME=FOLDER before the command, with a folder that can."
        )
    known = isinstance(error, ConnectionError | FileNotFoundError)
    if not folder and (known or refusal(error)):
        return _not_given(path, within, error)
    words = " ".join(str(cause).split())
    if "zstd not supported" in words:
        return (
            f"data.path={path} is compressed by zstd, which needs another package: type pip "
            "install zstandard."
        )
    if not folder and (subsets := _subsets(path)):
        return (
            f"data.path={path} should say which subset is meant: type data.path="
            f"{address(path)[0]}:SUBSET with one of {', '.join(subsets)}."
        )
    if folder:
        return fault(path, folder, cause, holds)
    return (
        f"data.path={path} cannot be read as a data set ({words[:300].rstrip('.')}): type another, "
        f"or data.path=FOLDER with one that holds {holds}."
    )


def _not_given(path: str, within: bool, error: Exception | None = None) -> str:
    return (
        f"data.path={path} is no folder here, and on the Hugging Face hub {path} "
        f"{why_not(within, error)}; with a local copy, type data.path=FOLDER."
    )


def _subsets(path: str) -> list[str]:
    """Those that a data set on the hub has, where the path does not name one of several."""
    import datasets

    repo, subset, revision = address(path)
    try:
        known: list[str] = datasets.get_dataset_config_names(repo, revision=revision)
    except Exception:  # of many kinds; the first fault has been met before
        return []
    return known if len(known) > 1 and subset not in known else []


@contextlib.contextmanager
def _quiet_hub(may_connect: bool) -> Iterator[bool]:
    """No progress bars, no words about what is raised as well, and no half minute of retries
    without a network; yields whether one is."""
    import datasets
    import huggingface_hub

    bars, offline = datasets.is_progress_bar_enabled(), datasets.config.HF_HUB_OFFLINE
    may_connect = may_connect and not offline
    found = may_connect and reachable(huggingface_hub.constants.ENDPOINT)
    settings: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    datasets.disable_progress_bars()
    readers = logging.getLogger("datasets.packaged_modules")
    level = readers.level
    readers.setLevel(logging.CRITICAL)
    for module in settings:
        module.HF_HUB_OFFLINE = not found
    try:
        yield found
    finally:
        for module in settings:
            module.HF_HUB_OFFLINE = offline
        readers.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


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


def known_column(path: str, features: Mapping[str, Any], given: str, key: str) -> str:
    if given not in features:
        raise UserError(
            f"data.{key}={given} is not a column of {path}: type one of {', '.join(features)}."
        )
    return given


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
