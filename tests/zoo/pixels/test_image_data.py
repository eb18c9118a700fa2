"""The data module for images: facts, splits and errors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arclight.config.build import build
from arclight.config.checks.check import check
from arclight.errors import UserError
from arclight_zoo.pixels.augment import Augment
from arclight_zoo.pixels.decode import Shape
from arclight_zoo.pixels.image_data import ImageData
from tests.conftest import SHARED_DATA, Composed
from tests.pictures import image_folder, parquet_folder, picture


def ready(path: Path | str, **given: Any) -> ImageData:
    data = ImageData(str(path), **{"batch_size": 4, "num_workers": 0, **given})
    data.setup()
    return data


def fault(path: Path | str, **given: Any) -> str:
    with pytest.raises(UserError) as error:
        ready(path, **given)
    return str(error.value)


def test_digits() -> None:
    data = ready("sklearn:digits", test_fraction=0.2, batch_size=128)
    facts = data.facts
    assert (facts.num_classes, facts.image_size, facts.channels) == (10, 8, 1)
    assert facts.class_names == list("0123456789")
    assert sum(facts.sizes.values()) == 1797
    assert abs(facts.sizes["test"] - 359) < 3
    assert abs(facts.sizes["val"] - 144) < 3
    x, y = next(iter(data.train_dataloader()))
    assert (x.shape, x.dtype, y.dtype) == ((128, 1, 8, 8), torch.float32, torch.int64)
    everything = torch.cat([x for x, _ in data.train_dataloader()])
    assert abs(float(everything.mean())) < 0.02
    assert abs(float(everything.std()) - 1) < 0.02
    for loader, stage in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
        assert sum(len(y) for _, y in loader) == facts.sizes[stage]


def test_the_fingerprint_follows_the_data_and_not_the_seed() -> None:
    prints = [
        ready("sklearn:digits", **given).facts.fingerprint
        for given in ({}, {"seed": 5, "batch_size": 8}, {"split_seed": 1}, {"limit": 100})
    ]
    assert prints[0] == prints[1]
    assert len({len(p) for p in prints}) == 1
    assert len(set(prints)) == 3


def test_setup_again_does_nothing() -> None:
    data = ready("sklearn:digits")
    facts = data.facts
    data.setup("fit")
    assert data.facts is facts


def test_splits_that_exist_are_used_whole(tmp_path: Path) -> None:
    for name, count in (("train", 20), ("val", 3), ("test", 4)):
        image_folder(tmp_path / name, {"a": count, "b": count})
    assert ready(tmp_path).facts.sizes == {"train": 40, "val": 6, "test": 8}
    sizes = ready(tmp_path, test_split="val", val_fraction=0.25, limit=7).facts.sizes
    assert sizes == {"train": 7, "val": 7, "test": 6}


def test_fractions_of_zero(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 4, "b": 4})
    data = ready(tmp_path, val_fraction=0.0, test_fraction=0.0)
    assert data.facts.sizes == {"train": 8, "val": 0, "test": 0}
    assert data.val_dataloader() == []
    with pytest.raises(UserError, match=r"has no test samples: type data\.test_fraction=0\.1"):
        data.test_dataloader()


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_copies_stay_in_one_split(tmp_path: Path, loader: str) -> None:
    image_folder(tmp_path, {"a": 0, "b": 0})
    for i in range(40):
        picture(i % 10).save(tmp_path / "ab"[i // 20] / f"{i:02}.png")
    data = ready(tmp_path, loader=loader, val_fraction=0.3, test_fraction=0.3)
    sides = [set(part.rows % 10) for part in data.parts.values()]
    assert sum(map(len, sides)) == 10
    assert min(map(len, sides)) > 0


def test_workers_and_memory_load_the_same_images(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 12, "b": 12})
    augment = Augment(crop=1, flip=True)
    memory, workers = (ready(tmp_path, loader=n, augment=augment) for n in ("memory", "workers"))
    assert workers.facts.mean == memory.facts.mean
    assert workers.facts.sizes == memory.facts.sizes
    for one, other in zip(memory.train_dataloader(), workers.train_dataloader(), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_only_evaluation_is_cropped(tmp_path: Path, loader: str) -> None:
    """Also if validation images are taken from the training split."""
    image_folder(tmp_path, {"a": 12, "b": 12})
    given = {"loader": loader, "mean": [0.0] * 3, "std": [1.0] * 3, "eval_batch_size": 99}
    whole, cropped = ready(tmp_path, **given), ready(tmp_path, **given, eval_crop=0.5)
    assert (whole.facts.eval_crop, cropped.facts.eval_crop) == (1.0, 0.5)
    (before, _), (after, _) = (next(iter(d.train_dataloader())) for d in (whole, cropped))
    assert torch.equal(before, after)
    for stage in ("val", "test"):
        part = cropped.parts[stage]
        x, _ = next(iter(getattr(cropped, f"{stage}_dataloader")()))
        images = [part.split.image(int(row)) for row in part.rows]
        centres = np.stack([Shape(3, 12, crop=0.5).pixels(image) for image in images])
        torch.testing.assert_close(x, torch.from_numpy(centres) / 255)
    assert "data.eval_crop=1.5 should be more than 0" in fault(tmp_path, eval_crop=1.5)


def test_the_default_evaluation_batch_is_that_of_training() -> None:
    alike, own = (ready("sklearn:digits", batch_size=12, eval_batch_size=n) for n in (None, 50))
    assert [alike.evaluated_at_once(n) for n in (1, 3)] == [12, 4]
    assert [own.evaluated_at_once(n) for n in (1, 3)] == [50, 50]
    assert max(len(y) for _, y in alike.val_dataloader()) <= 12


def test_auto_uses_memory_if_the_data_fit(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 12, "b": 12})
    assert ready(tmp_path).pixels
    assert not ready(tmp_path, memory_limit_gb=1e-6).pixels
    assert not ready(tmp_path, augment=Augment(resized_crop=0.5)).pixels
    message = fault(tmp_path, loader="memory", augment=Augment(resized_crop=0.5))
    assert message.endswith("does not keep: type data.loader=workers.")


def test_channels_follow_the_data_or_the_config(tmp_path: Path) -> None:
    image_folder(tmp_path / "grey", {"a": 6, "b": 6}, mode="L")
    assert ready(tmp_path / "grey").facts.channels == 1
    assert ready(tmp_path / "grey", channels=3).facts.channels == 3
    image_folder(tmp_path / "mixed", {"a": 6, "b": 6}, mode="L")
    picture(7).save(tmp_path / "mixed" / "b" / "colour.png")
    data = ready(tmp_path / "mixed")
    assert data.facts.channels == len(data.facts.mean) == 3
    assert ready("sklearn:digits", image_size=12, channels=3).facts.image_size == 12


def test_mean_and_std_can_be_given() -> None:
    facts = ready("sklearn:digits", mean=[0.1], std=[0.2]).facts
    assert (facts.mean, facts.std) == ([0.1], [0.2])
    assert fault("sklearn:digits", mean=[0.1, 0.2]) == (
        "data.mean=[0.1, 0.2] should be 1 numbers, one per channel: type null to compute it."
    )
    assert "none of them 0" in fault("sklearn:digits", std=[0.0])


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_different_sizes_need_a_size(tmp_path: Path, loader: str) -> None:
    image_folder(tmp_path, {"a": 4, "b": 4})
    picture(1, (20, 16)).save(tmp_path / "a" / "large.png")
    assert fault(tmp_path, loader=loader) == (
        "The images have different sizes (12x12 and 20x16 pixels): "
        "type data.image_size=12 to resize them all."
    )
    assert ready(tmp_path, loader=loader, image_size=10).facts.image_size == 10


def test_a_rare_size_is_found_when_it_is_decoded(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 99, "b": 1})
    picture(1, (20, 16)).save(tmp_path / "a" / "001.png")
    assert fault(tmp_path).startswith("The images have different sizes (12x12 and 20x16 pixels)")


def test_images_that_are_not_square_need_a_size(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 4, "b": 4}, size=(16, 12))
    assert fault(tmp_path) == (
        "The images are not square (16x12 pixels): type data.image_size=12 to resize and crop them."
    )


def test_labels_out_of_range_are_rejected(tmp_path: Path) -> None:
    import datasets

    columns = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    train = {"image": [picture(i) for i in range(4)], "label": [0, 1, 0, 1]}
    test = {"image": [picture(i) for i in range(2)], "label": [0, -1]}
    parquet_folder(tmp_path, columns, train=train, test=test)
    assert fault(tmp_path).startswith(
        f"Row 1 of split test of {tmp_path} has label -1, but the 2 classes are 0 to 1: "
    )


def test_arguments_out_of_range_are_rejected() -> None:
    assert fault("sklearn:digits", val_fraction=1.0) == (
        "data.val_fraction=1.0 should be from 0 to less than 1."
    )
    assert fault("sklearn:digits", channels=2) == (
        "An image of 1 channel cannot become one of 2: type data.channels=1, or store all images "
        "with the same channels."
    )
    assert fault("sklearn:digits", limit=0) == "data.limit=0 should be 1 or more."
    with pytest.raises(UserError, match=r"data\.batch_size=5000 is more than the"):
        ready("sklearn:digits", batch_size=5000).train_dataloader()


NAMES = ("cifar10", "cifar100", "digits", "fashion_mnist", "image_folder", "mnist")


@pytest.mark.parametrize("name", NAMES)
def test_configs_build(composed: Composed, name: str) -> None:
    more = ["data.path=FOLDER"] if name == "image_folder" else []
    config = composed(f"data={name}", "seed=3", *more)
    check(config)
    data = build(config["data"])
    assert isinstance(data, ImageData)
    assert data.seed == 3


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="real data are not here")
def test_a_local_copy_through_the_hubs_config(composed: Composed, tmp_path: Path) -> None:
    path = SHARED_DATA / "fashion_mnist"
    data = build(composed("data=fashion_mnist", f"data.path={path}", "data.loader=workers")["data"])
    data.setup()
    assert data.facts.sizes == {"train": 54000, "val": 6000, "test": 10000}
    assert (data.facts.num_classes, data.facts.image_size, data.facts.channels) == (10, 28, 1)
    assert data.facts.class_names[0] == "T-shirt/top"
    assert abs(data.facts.mean[0] - 0.286) < 0.01


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="real data are not here")
def test_cifar10() -> None:
    facts = ready(SHARED_DATA / "cifar10", val_fraction=0.0).facts
    assert facts.sizes == {"train": 49923, "val": 0, "test": 9979}
    assert np.round(facts.mean, 4).tolist() == [0.4914, 0.4821, 0.4464]
    assert np.round(facts.std, 4).tolist() == [0.2470, 0.2435, 0.2616]
    assert facts.class_names[3] == "cat"


def test_digits_need_no_large_library() -> None:
    code = (
        "import sys\n"
        "from arclight_zoo.pixels.sources import open_source\n"
        "open_source('sklearn:digits')\n"
        "import arclight_zoo.pixels.stage\n"
        "heavy = 'datasets pandas pyarrow sklearn scipy torchvision lightning'.split()\n"
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_never_read_a_whole_parquet_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all splits, mean and std are given, setup reads 32 images of each split."""
    import datasets

    from arclight_zoo.pixels.hub_images import HubSplit

    columns = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    rows = {"image": [picture(i) for i in range(60)], "label": [0, 1] * 30}
    few = {name: column[:40] for name, column in rows.items()}
    path = parquet_folder(tmp_path / "set", columns, train=rows, validation=few, test=few)
    looked: list[int] = []
    stored = HubSplit.stored
    monkeypatch.setattr(HubSplit, "stored", lambda s, i: looked.append(i) or stored(s, i))
    given = {"mean": [0.5] * 3, "std": [0.2] * 3, "memory_limit_gb": 0}
    data = ready(path, loader="workers", **given)
    assert len(looked) == 3 * 32
    assert all(part.pixels is None for part in data.parts.values())
    next(iter(data.train_dataloader()))
    assert len(looked) == 3 * 32 + 4
