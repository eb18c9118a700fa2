"""`experiment=best_of path=PATH` stands for the words of the best config."""

from pathlib import Path

import pytest

from arclight.config.best_of import expand
from arclight.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = "overrides: [model=vit, optimizer.lr=0.01, ++model.extra=1]\n"
    (tmp_path / "best.yaml").write_text(words)
    return tmp_path


def test_the_words_take_the_place_of_the_two(folder: Path) -> None:
    best = ["model=vit", "optimizer.lr=0.01", "++model.extra=1"]
    assert expand(["experiment=best_of", f"path={folder}"]) == best
    assert expand(["-m", "experiment=best_of", f"path={folder}/best.yaml", "seed=0,1"]) == [
        *best,
        *("-m", "seed=0,1"),
    ]


def test_what_is_typed_wins(folder: Path) -> None:
    words = expand(["experiment=best_of", f"path={folder}", "model=cnn", "model.extra=2"])
    assert words == ["optimizer.lr=0.01", "model=cnn", "model.extra=2"]


def test_other_lines_are_left_alone() -> None:
    words = ["experiment=digits_cnn", "data.path=somewhere"]
    assert expand(words) == words


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="type path=runs/search/NAME"):
        expand(["experiment=best_of", "data.path=somewhere"])
    with pytest.raises(UserError, match=r"holds no best\.yaml"):
        expand(["experiment=best_of", f"path={tmp_path}"])
    (tmp_path / "best.yaml").write_text("- a list")
    with pytest.raises(UserError, match="is no best config"):
        expand(["experiment=best_of", f"path={tmp_path}"])
