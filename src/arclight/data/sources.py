"""Open a data set of labelled images by its path."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.data.cache import cache_folder
from arclight.errors import UserError
from arclight.network import address


class Split(Protocol):
    """One named part of a source: labelled images, each decoded only when it is asked for."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """`(n,)`, each an index into the source's class names."""

    @property
    def fingerprint(self) -> str:
        """Changes when the images do; says nothing about their decoded pixels."""

    @property
    def pixels(self) -> NDArray[np.uint8] | None:
        """All images as `(n, channels, height, width)`, where the source keeps them decoded."""

    def image(self, index: int) -> Image.Image:
        """The decoded image; raises `UserError`, naming it, where it cannot be read."""

    def content(self, index: int) -> bytes:
        """The stored bytes: equal for two images that are copies of one file."""

    def where(self, index: int) -> str:
        """What an error calls the image."""


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        path: what errors call it.
        class_names: `class_names[i]` is the name of label i.
        splits: by their own names.
        label_column: whose different values are the classes; None: the source declares them.
    """

    path: str
    class_names: list[str]
    splits: dict[str, Split]
    label_column: str | None = None


def open_source(
    path: str,
    image_column: str | None = None,
    label_column: str | None = None,
    cache: Path | None = None,
) -> Source:
    """Opens `sklearn:digits`, a folder (of class folders, tar shards or parquet), or a hub id.

    A relative folder is relative to the working directory. Whatever exists here is never looked
    for on the hub, nor is a path that can only mean a folder. `cache` keeps the index of shards.

    Raises:
        UserError: it is nowhere to be found, or does not hold labelled images.
    """
    if path == "sklearn:digits":
        from arclight.data.digits import open_digits

        return open_digits()
    folder = Path(path).expanduser()
    if folder.is_file():
        raise UserError(
            f"data.path={path} is a file: type data.path={folder.parent}, the folder it is in."
        )
    if folder.is_dir():
        from arclight.data.folder import holds_class_folders, open_folder

        if holds_class_folders(folder):
            return open_folder(folder)
        from arclight.data.tars import holds_tars, open_tars

        if holds_tars(folder):
            return open_tars(folder, cache or cache_folder(None), label_column)
    elif _means_a_folder(path):
        raise UserError(
            f"data.path={path} does not exist (looked for {folder.absolute()}): "
            "type data.path=FOLDER with the folder of your images."
        )
    from arclight.data.hub import open_hub

    return open_hub(path, folder if folder.is_dir() else None, image_column, label_column)


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
