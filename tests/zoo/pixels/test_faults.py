"""Unreadable images."""

from pathlib import Path

import pytest

from arclight.errors import UserError
from arclight_zoo.pixels.image_data import ImageData
from tests.pictures import image_folder


def ready(folder: Path, **given: object) -> ImageData:
    options = {"batch_size": 4, "num_workers": 0, "val_fraction": 0, "test_fraction": 0, **given}
    data = ImageData(str(folder), cache=str(folder.parent / "cache"), **options)  # type: ignore[arg-type]
    data.setup()
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 images; the first and the third are unreadable."""
    made = image_folder(tmp_path / "images", {"a": 10, "b": 10})
    (made / "a" / "000.png").write_bytes(b"")
    whole = (made / "a" / "002.png").read_bytes()
    (made / "a" / "002.png").write_bytes(whole[: len(whole) // 2])
    return made


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_unreadable_images_are_reported(folder: Path, loader: str) -> None:
    with pytest.raises(
        UserError, match=r"a/00[02]\.png cannot be read .* type data\.on_error=skip to leave"
    ):
        list(ready(folder, loader=loader).train_dataloader())


def test_skip_leaves_them_out_and_counts_them(folder: Path) -> None:
    prints = []
    for loader in ("memory", "workers"):
        for _ in range(2):  # the second time from the cache
            data = ready(folder, loader=loader, on_error="skip")
            assert data.facts.skipped == {"train": 2}
            assert data.facts.sizes["train"] == 18
            assert data.notes == [
                "Left out 2 unreadable images of split train (data.on_error=skip): "
                f"{folder}/a/000.png, {folder}/a/002.png."
            ]
            assert sum(len(y) for _, y in data.train_dataloader()) == 16  # whole batches of 4
        prints.append(data.facts.fingerprint)
    (folder / "a" / "001.png").write_bytes(b"")
    assert ready(folder, on_error="skip").facts.skipped == {"train": 3}


def test_skip_has_a_limit(folder: Path) -> None:
    with pytest.raises(UserError) as error:
        ready(folder, on_error="skip", max_errors=1)
    assert str(error.value) == (
        f"2 images cannot be read, more than data.max_errors=1 ({folder}/a/000.png, "
        f"{folder}/a/002.png): replace or remove them, or type data.max_errors=2."
    )


def test_skip_changes_nothing_if_all_images_are_readable(tmp_path: Path) -> None:
    made = image_folder(tmp_path / "images", {"a": 6, "b": 6})
    careful, plain = ready(made, on_error="skip").facts, ready(made).facts
    assert careful == plain
