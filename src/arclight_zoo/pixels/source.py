"""A data set of labelled images, whatever it is read from."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from arclight_zoo.pixels.decode import Take, upright
from arclight_zoo.reading.classes import require_short


class Split(Protocol):
    """One named part of a source: labelled images, each decoded only when it is asked for."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> NDArray[Any]:
        """`(n,)`, each an index into the source's class names.

        Or `(n, classes)`, uint8, ones for the classes that an image has; or its values
        `(n, values)`, float32. See `arclight_zoo.pixels.targets`.
        """

    @property
    def fingerprint(self) -> str:
        """Changes when the images do; says nothing about their decoded pixels."""

    @property
    def pixels(self) -> NDArray[np.uint8] | None:
        """All images as `(n, channels, height, width)`, where the source keeps them decoded."""

    def image(self, index: int, take: Take = upright) -> Any:
        """The decoded image, or what `take` makes of it.

        Threads may call it at the same time. Raises `UserError`, naming the image, where it cannot
        be read.
        """

    def content(self, index: int) -> bytes:
        """The stored bytes: equal for two images that are copies of one file."""

    def where(self, index: int) -> str:
        """What an error calls the image."""


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        path: what errors call it.
        class_names: `class_names[i]` is the name of label i, or of value i.
        splits: by their own names.
        label_column: whose different values are the classes; None: the source declares them.
    """

    path: str
    class_names: list[str]
    splits: dict[str, Split]
    label_column: str | None = None

    def __post_init__(self) -> None:
        require_short(self.class_names)
