"""Photographs from disk to normalised batches, against other loaders."""

import tarfile
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from benchmarks.samples import Row

BATCH, WORKERS, SIZE = 64, 2, 224
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BLOCK = 8  # batches of one sample; the default of steps=


def photos(options: Options) -> list[Row]:
    """JPEGs of 500x375, random-resized-cropped to 224, flipped and normalised, by two workers each.

    The files are crops of scikit-learn's two photographs, and each epoch is one measurement. The
    baselines: torchvision v2 as in its documentation (tensors from the start), with Pillow images
    until the end, and with its own decoder; WebDataset, if it is installed. Their workers are
    persistent.
    """
    folder = options.folder / "photos"
    _make(folder, (options.steps or BLOCK) * BATCH)
    sides: dict[str, Iterable[Any]] = {"here": _here(folder, options.folder / "cache")}
    sides |= _of_torchvision(folder)
    if find_spec("webdataset"):
        sides["WebDataset"] = _of_webdataset(folder, options.folder / "photos.tar")
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.runs + 1):
        for name, batches in sides.items():
            began = time.perf_counter()
            count = sum(len(images) for images, _ in batches)
            speeds[name].append(count / (time.perf_counter() - began))
    own, *others = ((name, samples[1:]) for name, samples in speeds.items())
    goals = {"torchvision v2": 2.0}
    return [
        Row(f"photographs / {name}", "images/s", own[1], samples, "ratio", goals.get(name), True)
        for name, samples in others
    ]


def _make(folder: Path, n: int) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    rng = np.random.default_rng(0)
    for i in range(n):
        photograph = photographs[i % 2]
        height = int(rng.uniform(0.75, 1) * photograph.height)
        width = height * 4 // 3
        left = int(rng.integers(photograph.width - width + 1))
        top = int(rng.integers(photograph.height - height + 1))
        window = photograph.crop((left, top, left + width, top + height)).resize((500, 375))
        (folder / f"class{i % 10}").mkdir(parents=True, exist_ok=True)
        window.save(folder / f"class{i % 10}" / f"{i:06}.jpg", quality=90)


def _here(folder: Path, cache: Path) -> Iterable[Any]:
    from arclight_zoo.pixels.augment import Augment
    from arclight_zoo.pixels.image_data import ImageData

    data = ImageData(
        str(folder),
        val_fraction=0,
        test_fraction=0,
        image_size=SIZE,
        channels=3,
        mean=MEAN,
        std=STD,
        batch_size=BATCH,
        loader="workers",
        num_workers=WORKERS,
        augment=Augment(resized_crop=0.08, flip=True),
        cache=str(cache),
    )
    data.setup()
    batches: Iterable[Any] = data.train_dataloader()
    return batches


def _of_torchvision(folder: Path) -> dict[str, Iterable[Any]]:
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    crop = [v2.RandomResizedCrop(SIZE, antialias=True), v2.RandomHorizontalFlip()]

    def decode(file: str) -> Any:
        return decode_image(file, ImageReadMode.RGB, apply_exif_orientation=True)

    def loader(transforms: list[Any], **how: Any) -> "DataLoader[Any]":
        pictures = ImageFolder(folder, v2.Compose([*transforms, *_to_floats()]), **how)
        more: Any = {"num_workers": WORKERS, "persistent_workers": True}
        return DataLoader(pictures, BATCH, shuffle=True, drop_last=True, **more)

    return {
        "torchvision v2": loader([v2.ToImage(), *crop]),
        "torchvision v2, cropped by Pillow": loader([*crop, v2.ToImage()]),
        "torchvision v2, its own decoder": loader(crop, loader=decode),
    }


def _of_webdataset(folder: Path, shard: Path) -> Iterable[Any]:
    import webdataset
    from torch.utils.data import DataLoader
    from torchvision.transforms import v2

    files = sorted(folder.rglob("*.jpg"))
    shards = [shard.with_suffix(f".{i}.tar") for i in range(WORKERS)]
    for i, part in enumerate(shards):
        with tarfile.open(part, "w") as tar:
            for file in files[i::WORKERS]:
                tar.add(file, file.name)
    crop = [v2.RandomResizedCrop(SIZE, antialias=True), v2.RandomHorizontalFlip()]
    transform = v2.Compose([v2.ToImage(), *crop, *_to_floats()])
    pictures = (
        webdataset.WebDataset(list(map(str, shards)), shardshuffle=WORKERS, empty_check=False)
        .shuffle(256)
        .decode("pil")
        .to_tuple("jpg", "__key__")
        .map_tuple(transform, len)
        .batched(BATCH, partial=False)
    )
    more: Any = {"num_workers": WORKERS, "persistent_workers": True}
    return DataLoader(pictures, batch_size=None, **more)


def _to_floats() -> list[Any]:
    import torch
    from torchvision.transforms import v2

    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
