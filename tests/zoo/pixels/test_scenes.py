"""Images of several digits are reproducible, and share no digits between splits."""

from pathlib import Path

import numpy as np
import pytest

from arclight.errors import UserError
from arclight_zoo.pixels import scenes
from arclight_zoo.pixels.sources import open_source


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "COUNTS", {"train": 20, "val": 10, "test": 10})


def test_labels_match_the_masks(tmp_path: Path) -> None:
    source = open_source("sklearn:scenes", cache=tmp_path, targets="multilabel")
    again = scenes.scenes("train", tmp_path / "again")
    one = source.splits["train"]
    assert np.array_equal(one.pixels, again.pixels)
    assert one.fingerprint == again.fingerprint
    assert one.labels.sum(1).min() >= 1
    for mask, labels in zip(again.masks, one.labels, strict=True):
        assert set(np.unique(mask)) - {0} == {digit + 1 for digit in np.flatnonzero(labels)}


def test_values_are_the_number_of_digits(tmp_path: Path) -> None:
    source = open_source("sklearn:scenes", cache=tmp_path, targets="values")
    assert source.class_names == ["digits"]
    assert set(source.splits["val"].labels.ravel()) <= {1, 2, 3, 4}


def test_single_class_targets_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="show several digits: type task=image_multilabel"):
        open_source("sklearn:scenes", cache=tmp_path)
