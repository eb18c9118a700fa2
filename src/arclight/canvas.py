"""Draw figures on a matplotlib canvas, without a window and without global state."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["figure", "save"]


def figure(
    columns: int, size: float, rows: int = 1, layout: Literal["constrained"] | None = "constrained"
) -> "tuple[Figure, list[Axes]]":
    """Creates a figure of `rows * columns` square panels.

    Args:
        columns: the number of columns.
        size: the side of a panel in inches.
        rows: the number of rows.
        layout: "constrained" makes room for labels of any length, but doubles the drawing time.

    Returns:
        The figure, and its axes row by row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(size * columns, size * rows), layout=layout)
    FigureCanvasAgg(drawn)
    count = rows * columns
    return drawn, [drawn.add_subplot(rows, columns, i + 1) for i in range(count)]


def save(drawn: "Figure", target: Path) -> Path:
    """Writes the figure in the format of the file's suffix, and returns the file.

    Characters that matplotlib's font lacks are drawn as boxes.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn.savefig(target, dpi=120)
    return target
