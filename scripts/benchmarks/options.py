"""The options of `scripts/benchmark.py`."""

from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Options:
    """The options of the command line, and a folder to work in."""

    folder: Path
    runs: int
    steps: int | None
    data: str | None
    case: str | None = None
