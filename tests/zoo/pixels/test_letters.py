"""Printed letters, and a limit on training images only."""

from pathlib import Path

import numpy as np
import pytest

from arclight.errors import UserError
from arclight_zoo.pixels import letters
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.pixels.sources import open_source


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "FONTS", letters.FONTS[:2])
    monkeypatch.setattr(letters, "COPIES", 2)


@pytest.mark.usefixtures("few")
def test_letters_are_reproducible_and_not_blank(tmp_path: Path) -> None:
    first, again = (open_source("matplotlib:letters", cache=tmp_path / n) for n in ("a", "b"))
    split, other = first.splits["train"], again.splits["train"]
    assert split.fingerprint == other.fingerprint
    assert first.class_names == list(letters.LETTERS)
    assert split.pixels is not None
    assert split.pixels.shape == (2 * 26 * 2 * 2, 1, 8, 8)
    assert np.bincount(split.labels).tolist() == [8] * 26
    assert (split.pixels.max((1, 2, 3)) > 127).all()
    assert len({image.tobytes() for image in split.pixels[:4]}) == 4  # copies differ
    with pytest.raises(UserError, match="group_column"):
        open_source("matplotlib:letters", cache=tmp_path, group_column="font")


def test_train_limit_does_not_change_other_splits() -> None:
    whole, few, other = (
        ImageData("sklearn:digits", train_limit=n, split_seed=seed)
        for n, seed in ((None, 0), (32, 0), (32, 1))
    )
    for data in (whole, few, other):
        data.setup()
    assert few.facts.sizes == {**whole.facts.sizes, "train": 32}
    assert (few.parts["test"].rows == whole.parts["test"].rows).all()
    assert set(few.parts["train"].rows) <= set(whole.parts["train"].rows)
    assert set(few.parts["train"].rows) != set(other.parts["train"].rows)
    with pytest.raises(UserError, match=r"data\.train_limit=0"):
        ImageData("sklearn:digits", train_limit=0)
