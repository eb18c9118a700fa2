"""Check the numbers of shards: `train-000000.tar`, `train-00000-of-00010.parquet`."""

import re
from collections.abc import Sequence

from arclight.errors import UserError


def require_all(files: Sequence[str]) -> None:
    """Raises `UserError` if a shard is missing, judged by the numbers in the file names."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for file in files:
        match = re.fullmatch(r"(.*?)(\d+)(?:-of-(\d+))?(\.\w+)", file)
        if match:
            numbers.setdefault((match[1], match[3] or ""), []).append(int(match[2]))
    for (stem, of), found in numbers.items():
        first, last = (0, int(of) - 1) if of else (min(found), max(found))
        missing = sorted(set(range(first, last + 1)) - set(found))
        if missing:
            raise UserError(
                f"Of the shards {stem}*, number {missing[0]} is missing"
                f"{f' and {len(missing) - 1} more' if missing[1:] else ''} between {first} and "
                f"{last}: add it, or renumber the shards."
            )
