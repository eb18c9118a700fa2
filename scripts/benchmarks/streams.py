"""Streamed data against the same data in memory."""

import time
from typing import Any

from benchmarks.options import Options
from benchmarks.samples import Row


def streams(options: Options) -> list[Row]:
    """Whole epochs of loaders without training, alternately; each epoch starts without caches.

    The files are in the system's page cache, so this measures the code and not the disk. Images are
    decoded by two workers in every format except in memory.
    """
    import numpy as np
    from benchmarks.made_sets import images, texts

    from arclight_zoo.pixels.image_data import ImageData
    from arclight_zoo.text.stream import TextStream
    from arclight_zoo.text.text_shards import BlockLoader, TextShards

    def speeds(loaders: dict[str, Any]) -> dict[str, list[float]]:
        """Samples per second of each loader, without the first round, in which workers start."""
        found: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(options.runs + 1):
            for name, loader in loaders.items():
                if isinstance(loader, BlockLoader):
                    loader.encoded.clear()
                count = 0
                began = time.perf_counter()
                for x, _ in loader:
                    count += x.numel() if x.ndim == 2 else len(x)
                found[name].append(count / (time.perf_counter() - began))
        return {name: samples[1:] for name, samples in found.items()}

    cache = str(options.folder / "cache")
    file, shards = texts(options.folder / "texts", 3_000_000)
    how: Any = {"context": 256, "vocab_size": 1024, "val_fraction": 0.02, "test_fraction": 0}
    mapped, memory = (TextStream(str(file), **how, cache=cache) for _ in range(2))
    coded = TextShards(str(shards), **how, block_mb=0.05, shuffle_window=1, cache=cache)
    for text in (mapped, memory, coded):
        text.setup()
    memory.streams = {name: np.array(tokens) for name, tokens in memory.streams.items()}
    sides = {"mapped": mapped, "memory": memory, "coded": coded}
    tokens = speeds({name: text.train_dataloader() for name, text in sides.items()})
    folders, tars, tables = images(options.folder / "images", 256, 256)
    shown: Any = {"val_fraction": 0, "test_fraction": 0, "image_size": 224, "channels": 3}
    shown |= {"mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 32, "cache": cache}
    workers: Any = {**shown, "loader": "workers", "num_workers": 2}
    sets = {
        "tar": ImageData(str(tars), **workers, shuffle_window=2),
        "folders": ImageData(str(folders), **workers),
        "parquet": ImageData(str(tables), "image", "label", **workers),
        "memory": ImageData(str(folders), **shown, loader="memory"),
    }
    for made in sets.values():
        made.setup()
    loaders = {name: made.train_dataloader() for name, made in sets.items()}
    seen = speeds(loaders)
    return [
        Row("mapped tokens / tokens in memory", "tokens/s", tokens["mapped"], tokens["memory"]),
        Row(
            "shards encoded on the fly / tokens in memory",
            "tokens/s",
            tokens["coded"],
            tokens["memory"],
        ),
        Row("tar shards / class folders", "images/s", seen["tar"], seen["folders"]),
        Row("tar shards / parquet", "images/s", seen["tar"], seen["parquet"]),
        Row("tar shards / decoded in memory", "images/s", seen["tar"], seen["memory"]),
    ]
