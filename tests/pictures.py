"""Small image datasets on disk."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(number: int, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> Image.Image:
    """A noise image, different for each number; `size` is (width, height)."""
    width, height = size
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


def image_folder(folder: Path, per_class: dict[str, int], **kind: Any) -> Path:
    """Writes images to `folder/CLASS/NUMBER.png`."""
    number = 0
    for name, count in per_class.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            picture(number, **kind).save(folder / name / f"{i:03}.png")
            number += 1
    return folder


def parquet_folder(folder: Path, columns: dict[str, Any], **splits: dict[str, list[Any]]) -> Path:
    """Writes each split like the hub, to `SPLIT-00000-of-00001.parquet` with typed columns."""
    import datasets

    folder.mkdir(parents=True, exist_ok=True)
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    for name, rows in splits.items():
        data = datasets.Dataset.from_dict(rows, features=datasets.Features(columns))
        data.to_parquet(folder / f"{name}-00000-of-00001.parquet")
    if bars:
        datasets.enable_progress_bars()
    return folder


def tar_shards(
    folder: Path, shards: dict[str, list[str]], sidecar: str = "cls", suffix: str = "png"
) -> Path:
    """Writes `folder/NAME.tar` for each name, with an image for each of its labels."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for name, labels in shards.items():
        with tarfile.open(folder / f"{name}.tar", "w") as shard:
            for label in labels:
                encoded = io.BytesIO()
                picture(number).save(encoded, suffix, lossless=True)
                beside = label if sidecar == "cls" else json.dumps({"label": label, "width": 12})
                members = {suffix: encoded.getvalue(), sidecar: beside.encode()}
                for kind, content in members.items():
                    member = tarfile.TarInfo(f"{number:06}.{kind}")
                    member.size = len(content)
                    shard.addfile(member, io.BytesIO(content))
                number += 1
    return folder
