"""Images and masks are found in folders and tables, and decoded and augmented together."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from arclight.data.order import random_table
from arclight.errors import UserError
from arclight_zoo.gallery.segmentation.augment import PairAugment
from arclight_zoo.gallery.segmentation.data import UNLABELLED, SegmentationData

N, SIZE = 10, 8


def pair(i: int) -> tuple[Image.Image, Image.Image]:
    """An image and its mask; the pixels are 50 times the classes."""
    classes = np.random.default_rng(i).integers(0, 4, (SIZE, SIZE), dtype=np.uint8)
    return Image.fromarray(classes * 50), Image.fromarray(classes)


def folder_of(root: Path, split: str = "") -> Path:
    for kind in ("images", "masks"):
        (root / split / kind).mkdir(parents=True)
    for i in range(N):
        image, mask = pair(i)
        image.save(root / split / "images" / f"{i}.png")
        mask.save(root / split / "masks" / f"{i}.png")
    return root


def parquet_of(root: Path) -> Path:
    def stored(image: Image.Image) -> dict[str, Any]:
        out = io.BytesIO()
        image.save(out, "png")
        return {"bytes": out.getvalue(), "path": None}

    rows = [{"image": stored(a), "label": stored(b)} for a, b in map(pair, range(N))]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Image()})
    root.mkdir()
    datasets.Dataset.from_list(rows, features=features).to_parquet(root / "train.parquet")
    return root


def data_of(path: Path, **options: Any) -> SegmentationData:
    data = SegmentationData(str(path), cache=str(path.parent / "cache"), **options)
    data.setup()
    return data


@pytest.mark.parametrize("kind", ["folder", "splits", "parquet"])
def test_pairs_belong_together(tmp_path: Path, kind: str) -> None:
    if kind == "splits":
        for split in ("train", "val", "test"):
            folder_of(tmp_path / "set", split)
        data = data_of(tmp_path / "set", batch_size=4)
        assert data.facts.sizes == {"train": N, "val": N, "test": N}
    else:
        make = folder_of if kind == "folder" else parquet_of
        data = data_of(make(tmp_path / "set"), batch_size=4, test_fraction=0.2)
        assert data.facts.sizes == {"train": 7, "val": 1, "test": 2}
    assert data.facts.class_names == ["0", "1", "2", "3"]
    assert sum(data.facts.class_counts) == data.facts.sizes["train"] * SIZE**2
    for images, masks in data.train_dataloader():
        assert images.shape == (4, 1, SIZE, SIZE)
        pixels = images * data.facts.std[0] + data.facts.mean[0]
        assert torch.equal((pixels * 255 / 50).round().long()[:, 0], masks)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_image_and_mask_move_together(tmp_path: Path, padding: Any) -> None:
    augment = PairAugment(crop=3, padding=padding, flip=True)
    data = data_of(folder_of(tmp_path / "set"), batch_size=8, augment=augment, test_fraction=0)
    images, masks = next(iter(data.train_dataloader()))
    pixels = (images * data.facts.std[0] + data.facts.mean[0]) * 255 / 50
    uncovered = masks == UNLABELLED
    assert torch.equal(pixels.round().long()[:, 0][~uncovered], masks[~uncovered])
    assert bool(uncovered.any()) == (padding == "zeros")
    plain = data.parts["train"][:, -1].long() - 1
    assert not any(torch.equal(masks, plain[i : i + 8]) for i in range(2))


def test_contrast_only_changes_the_image() -> None:
    rows = random_table(0, 0, 4)
    images = torch.randn(4, 1, 5, 5)
    factors = PairAugment(contrast=0.3).shade(images, rows) / images
    assert 0.7 <= factors.min() < factors.max() <= 1.3
    assert torch.equal(PairAugment().shade(images, rows), images)


def test_black_and_white_masks_have_two_classes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set")
    for file in (folder / "masks").iterdir():
        mask = np.array(Image.open(file))
        Image.fromarray(np.where(mask > 1, 255, 0).astype(np.uint8)).save(file)
    data = data_of(folder, batch_size=4)
    assert data.facts.num_classes == 2
    assert set(next(iter(data.train_dataloader()))[1].unique().tolist()) == {0, 1}


def test_unlabelled_pixels(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set")
    mask = np.full((SIZE, SIZE), 255, dtype=np.uint8)
    for i in range(N):
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    mask[0] = 3
    Image.fromarray(mask).save(folder / "masks" / "0.png")
    data = data_of(folder, batch_size=9, val_fraction=0, test_fraction=0)
    assert data.facts.num_classes == 4
    assert (next(iter(data.train_dataloader()))[1] == UNLABELLED).any()


def test_invalid_data_are_rejected(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set")
    with pytest.raises(UserError, match=r"is not a folder: type data\.path=FOLDER"):
        data_of(tmp_path / "none", batch_size=4)
    with pytest.raises(UserError, match=r"class 3, but data\.class_names has 2 names"):
        data_of(folder, class_names=["a", "b"])
    (folder / "masks" / "3.png").unlink()
    with pytest.raises(UserError, match=r"no counterpart, such as images/3, .* add or remove it"):
        data_of(folder)
    Image.new("L", (4, 4)).save(folder / "masks" / "3.png")
    with pytest.raises(UserError, match=r"3\.png is 8x8 pixels and its mask 4x4: fix one"):
        data_of(folder)
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(folder / "masks/3.png")
    with pytest.raises(UserError, match=r"The mask of .*3\.png has colours"):
        data_of(folder)
    Image.new("L", (9, 8)).save(folder / "images" / "0.png")
    with pytest.raises(UserError, match=r"The images are 8x8 and 9x8 pixels: type data\.image_siz"):
        data_of(folder)
