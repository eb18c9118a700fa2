"""Sizes, crops, batches and epochs that follow the images."""

from functools import partial
from pathlib import Path

import pytest

from arclight_zoo.pixels.augment import Augment
from arclight_zoo.pixels.fit import by_number
from tests.pictures import image_folder, picture
from tests.zoo.pixels.test_image_data import ready


@pytest.mark.parametrize(
    ("side", "size", "share", "shift"), [(200, 64, 0.3, 0), (60, 48, 0.5, 0), (28, 28, 0.0, 3)]
)
def test_size_and_augmentation_are_chosen_by_image_size(
    tmp_path: Path, side: int, size: int, share: float, shift: int
) -> None:
    for n, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        for i in range(12):
            picture(100 * n + i, (side, side + 9 * (i > 3))).save(tmp_path / name / f"{i}.png")
    data = ready(tmp_path, image_size="auto", augment=Augment(crop=None, resized_crop=None))
    assert data.facts.image_size == size
    assert (data.augment.resized_crop, data.augment.crop) == (share, shift)
    assert data.chosen["data.image_size"] == size
    assert data.chosen["data.augment.resized_crop"] == share
    assert data.facts.eval_crop == (0.875 if side == 200 else 1.0)
    assert data.chosen.get("data.augment.crop", 0) == shift
    given = ready(tmp_path, image_size=16, augment=Augment(crop=2, resized_crop=0.0))
    assert (given.facts.image_size, given.augment.crop) == (16, 2)
    assert "data.image_size" not in given.chosen


@pytest.mark.parametrize(
    ("images", "batch", "epochs"), [(10, 2, 100), (400, 16, 100), (3_000, 32, 40), (10**6, 128, 10)]
)
def test_batch_and_epochs_follow_the_number_of_images(images: int, batch: int, epochs: int) -> None:
    assert by_number(images) == {"data.batch_size": batch, "trainer.max_epochs": epochs}


def test_an_open_batch_fits_a_set_that_is_smaller_than_any(tmp_path: Path) -> None:
    data = ready(image_folder(tmp_path, {"a": 6, "b": 6}), batch_size="auto")
    assert data.batch_size == data.chosen["data.batch_size"] == 2
    assert len(next(iter(data.train_dataloader()))[0]) == 2


def test_models_follow_the_size_of_images() -> None:
    from arclight_zoo.image.backbones import timm_model
    from arclight_zoo.image.cnn import CNN
    from arclight_zoo.image.vit import ViT

    assert len(CNN(image_size=64).features) > len(CNN(image_size=32).features)
    vit = partial(ViT, patch_size=None, num_classes=2, d_model=8, n_heads=1, n_layers=1)
    sizes = (8, 28, 32, 48, 64, 96, 224, 500, 512)
    assert [vit(size).patch_size for size in sizes] == [4, 4, 4, 4, 8, 8, 16, 50, 64]
    assert [CNN(image_size=size, residual=None).residual for size in (32, 64)] == [False, True]
    for size, small in ((32, True), (64, False)):
        model = timm_model("resnet18", 10, small_images=None, image_size=size)
        assert model.small_images is small
