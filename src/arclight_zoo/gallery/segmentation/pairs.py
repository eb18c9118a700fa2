"""Open images with masks by their path."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.errors import UserError
from arclight_zoo.pixels.decode import IMAGE_SUFFIXES, Encoded, read_image
from arclight_zoo.pixels.hub_images import HubSplit, encoded_images
from arclight_zoo.pixels.scenes import COUNTS, DIGITS, scenes
from arclight_zoo.reading.hub import known_column, load_splits
from arclight_zoo.reading.splits import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, Wanted

IMAGES, MASKS = "images", "masks"
_USUAL_MASKS = ("mask", "label", "annotation", "segmentation_mask", "segmentation", "target")

Stored = Callable[[int], tuple[Encoded, str]]  # the file's content, and its name in error messages


@dataclass(frozen=True)
class Pairs:
    """A split of encoded pairs.

    Attributes:
        name: of the split.
        count: number of pairs.
        image: reads the image of an index.
        mask: reads the mask of an index.
        fingerprint: changes when the files change.
    """

    name: str
    count: int
    image: Callable[[int], Image.Image]
    mask: Callable[[int], Image.Image]
    where: Callable[[int], str]
    fingerprint: str


@dataclass(frozen=True)
class PairSource:
    """Splits by name, and class names if the source has them."""

    path: str
    splits: dict[str, Pairs]
    class_names: list[str] | None = None


def open_pairs(
    path: str,
    image_column: str | None,
    mask_column: str | None,
    cache: Path,
    wanted: Wanted = tuple,
) -> PairSource:
    """Opens `sklearn:scenes`, a folder, or a hub id.

    A folder holds `images` and `masks`, or `train`, `val` and `test` with these, or parquet files
    named by split with two columns of images.

    Args:
        path: of the data.
        image_column: of a table; None: found.
        mask_column: of a table; None: found.
        cache: folder for generated images.
        wanted: chooses the splits to open, given their names.

    Raises:
        UserError: it does not exist, or has images without masks.
    """
    if path == "sklearn:scenes":
        made = {name: scenes(name, cache) for name in COUNTS}
        splits = {
            name: Pairs(
                name,
                len(one.masks),
                one.image,
                lambda i, masks=one.masks: Image.fromarray(masks[i]),  # type: ignore[misc]
                one.where,
                one.fingerprint,
            )
            for name, one in made.items()
        }
        return PairSource(path, splits, ["ground", *DIGITS])
    folder = Path(path).expanduser()
    if folder.is_dir():
        usual = [f for f in sorted(folder.iterdir()) if f.name.lower() in _SPLITS and f.is_dir()]
        places = {f.name: f for f in usual if (f / IMAGES).is_dir()} or {"train": folder}
        if all((place / IMAGES).is_dir() for place in places.values()):
            return PairSource(path, {name: _files(name, places[name]) for name in wanted(places)})
    elif folder.exists() or path.startswith((".", "/", "~")):
        raise UserError(
            f"data.path={path} is not a folder: type data.path=FOLDER with one that has {IMAGES}/ "
            f"and {MASKS}/, or parquet files."
        )
    return _tables(path, folder if folder.is_dir() else None, image_column, mask_column, wanted)


_SPLITS = (*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES)


def _files(split: str, folder: Path) -> Pairs:
    """Pairs with the same name; suffixes may differ."""
    images, masks = _by_name(folder / IMAGES), _by_name(folder / MASKS)
    if not images:
        raise UserError(f"{folder / IMAGES} holds no image: fill it, or type another data.path.")
    if alone := sorted(images.keys() ^ masks.keys()):
        has, lacks = (IMAGES, MASKS) if alone[0] in images else (MASKS, IMAGES)
        raise UserError(
            f"{len(alone)} of the files in {folder} have no counterpart, such as {has}/{alone[0]}, "
            f"for which {folder / lacks} has no image of the same name: add or remove it."
        )
    names = sorted(images)
    every = [images[name] for name in names], [masks[name] for name in names]
    stats = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for files in every for f in files]
    return _pairs(
        split,
        len(names),
        lambda i: (every[0][i], str(every[0][i])),
        lambda i: (every[1][i], str(every[1][i])),
        hashlib.sha256(repr(stats).encode()).hexdigest(),
    )


def _by_name(folder: Path) -> dict[str, Path]:
    files = [f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES]
    return {str(f.relative_to(folder).with_suffix("")): f for f in files}


def _tables(
    path: str, folder: Path | None, image: str | None, mask: str | None, wanted: Wanted
) -> PairSource:
    holds = f"{IMAGES}/ and {MASKS}/, or parquet files with two columns of images"
    data = load_splits(path, folder, holds, wanted=wanted)
    features = next(iter(data.values())).features
    found = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    if mask is None:
        mask = next((name for name in _USUAL_MASKS if name in found), None)
    if image is None:
        others = [name for name in found if name != mask]
        image = others[0] if len(others) == 1 else None
    if image is None or mask is None:
        raise UserError(
            f"{path} has {len(found) or 'no'} columns of images ({', '.join(found or features)}): "
            "type data.image_column=NAME data.mask_column=NAME."
        )
    columns = {"image_column": image, "mask_column": mask}
    for key, column in columns.items():
        known_column(path, data, column, key)
    splits = {}
    for name, split in data.items():
        none: NDArray[Any] = np.zeros(len(split), dtype=np.int64)
        two = [
            HubSplit(name, path, encoded_images(path, split, column, key), none)
            for key, column in columns.items()
        ]
        print_of_two = hashlib.sha256("|".join(one.fingerprint for one in two).encode())
        splits[name] = _pairs(
            name, len(split), two[0].stored, two[1].stored, print_of_two.hexdigest()
        )
    return PairSource(path, splits)


def _pairs(name: str, count: int, image: Stored, mask: Stored, fingerprint: str) -> Pairs:
    return Pairs(
        name,
        count,
        lambda i: read_image(*image(i)),
        lambda i: read_image(*mask(i)),
        lambda i: image(i)[1],
        fingerprint,
    )
