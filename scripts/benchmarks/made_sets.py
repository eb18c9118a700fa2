"""The data of the `streams` part of `scripts/benchmark.py`: the same data in several formats."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SHARDS = 8


def texts(folder: Path, size: int) -> tuple[Path, Path]:
    """`size` characters of Python's standard library: as one jsonl file, and as shards."""
    from arclight_zoo.tokens.stdlib import modules

    lines, left = [], size
    for source in modules().values():
        if source and left > 0:
            lines.append(json.dumps({"text": source[:left]}) + "\n")
            left -= len(source)
    (folder / "shards").mkdir(parents=True)
    for i in range(SHARDS):
        (folder / "shards" / f"train-{i:05}.jsonl").write_text("".join(lines[i::SHARDS]))
    (folder / "text.jsonl").write_text("".join(lines))
    return folder / "text.jsonl", folder / "shards"


def photos(n: int, side: int) -> Iterator[tuple[bytes, str]]:
    """JPEG files and labels; smooth noise, so the files are as large as photos of that size."""
    rng = np.random.default_rng(0)
    for i in range(n):
        coarse = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        image, out = Image.fromarray(coarse).resize((side, side)), io.BytesIO()
        image.save(out, "jpeg", quality=90)
        yield out.getvalue(), f"class{i % 10}"


def images(folder: Path, n: int, side: int) -> tuple[Path, Path, Path]:
    """The same JPEG files in class folders, in tar shards, and in a parquet file."""
    import pyarrow
    from pyarrow import parquet

    folders, tars, tables = (folder / name for name in ("folders", "tars", "parquet"))
    made = list(photos(n, side))
    for place in (tars, tables):
        place.mkdir(parents=True)
    for i, (content, label) in enumerate(made):
        (folders / label).mkdir(parents=True, exist_ok=True)
        (folders / label / f"{i:06}.jpg").write_bytes(content)
    for s in range(SHARDS):
        with tarfile.open(tars / f"train-{s:06}.tar", "w") as shard:
            for i, (content, label) in list(enumerate(made))[s::SHARDS]:
                for suffix, part in (("jpg", content), ("cls", label.encode())):
                    member = tarfile.TarInfo(f"{i:06}.{suffix}")
                    member.size = len(part)
                    shard.addfile(member, io.BytesIO(part))
    rows = {"image": [{"bytes": c, "path": None} for c, _ in made], "label": [x for _, x in made]}
    parquet.write_table(pyarrow.table(rows), tables / "train-00000-of-00001.parquet")
    return folders, tars, tables
