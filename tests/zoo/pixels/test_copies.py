"""Copies of images within and across splits."""

from pathlib import Path

import pytest

from tests.pictures import image_folder, picture
from tests.zoo.pixels.test_image_data import ready


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_copies_across_splits_and_classes_are_reported(tmp_path: Path, loader: str) -> None:
    for n, place in enumerate(("train/a", "train/b", "val/a", "val/b")):
        (tmp_path / place).mkdir(parents=True)
        for i in range(4):
            picture(100 * n + i).save(tmp_path / place / f"{i}.png")
    picture(0).save(tmp_path / "val" / "a" / "copy.png")
    picture(1).save(tmp_path / "train" / "b" / "copy.png")
    for _ in range(2):  # the second time from the cache
        notes = ready(tmp_path, test_fraction=0.2, loader=loader).notes
        assert notes == [
            f"{tmp_path} has no test split: 3 for test are taken from its training images "
            "(data.test_fraction).",
            "Copies of training images in val: 1. They make its scores too high.",
            "Images with copies that have another label: 1.",
        ]


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_copies_in_a_test_folder_are_said(tmp_path: Path, loader: str) -> None:
    """Of images that were taken for validation too, under whatever name."""
    for split in ("train", "test"):
        image_folder(tmp_path / split, {"a": 5, "b": 5})
    for i in range(10):  # but those of train/b
        picture(i + 100 * (i > 4)).save(tmp_path / "test" / "a" / f"other{i}.png")
        (tmp_path / "test" / "ab"[i // 5] / f"00{i % 5}.png").unlink()
    picture(999).save(tmp_path / "test" / "b" / "new.png")
    assert ready(tmp_path, val_fraction=0.2, loader=loader).notes[1:] == [
        "Copies of training and validation images in test: 5. They make its scores too high."
    ]
