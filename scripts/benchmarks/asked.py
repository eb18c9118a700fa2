"""What `scripts/benchmark.py` is asked, and where it is."""

from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, and a folder to work in."""

    folder: Path
    runs: int
    steps: int | None
    data: str | None
    case: str | None = None
