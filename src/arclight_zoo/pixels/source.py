"""The interface of all data sets of labelled images."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from arclight_zoo.pixels.decode import Take, upright
from arclight_zoo.reading.classes import require_short


class Split(Protocol):
    """A named split of a source; its images are decoded lazily."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> NDArray[Any]:
        """The targets: `(n,)`, indices into the source's class names.

        For multilabel, uint8 `(n, classes)` of 0 and 1; for values, float32 `(n, values)`. See
        `arclight_zoo.pixels.targets`.
        """

    @property
    def fingerprint(self) -> str:
        """Changes when the image files change; does not depend on their decoded pixels."""

    @property
    def pixels(self) -> NDArray[np.uint8] | None:
        """All images as `(n, channels, height, width)`, if the source stores them decoded."""

    def image(self, index: int, take: Take = upright) -> Any:
        """The decoded image, or the result of `take`; thread-safe.

        Raises:
            UserError: the image cannot be read.
        """

    def content(self, index: int) -> bytes:
        """The stored bytes; equal for copies of one file."""

    def where(self, index: int) -> str:
        """The name of the image in error messages."""


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        path: its name in error messages.
        class_names: `class_names[i]` is the name of label i, or of value i.
        splits: by name.
        label_column: the column whose distinct values are the classes; None: the source declares
            its classes.
        notes: messages about the data.
    """

    path: str
    class_names: list[str]
    splits: dict[str, Split]
    label_column: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_short(self.class_names)
