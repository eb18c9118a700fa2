"""`experiment=best_of path=PATH` is replaced by the overrides of the best config."""

from pathlib import Path

import pytest

from arclight.config.best_of import expand
from arclight.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    content = "overrides: [model=vit, optimizer.lr=0.01, ++model.extra=1]\n"
    (tmp_path / "best.yaml").write_text(content)
    return tmp_path


def test_best_of_and_path_are_replaced(folder: Path) -> None:
    best = ["model=vit", "optimizer.lr=0.01", "++model.extra=1"]
    assert expand(["experiment=best_of", f"path={folder}"]) == best
    assert expand(["-m", "experiment=best_of", f"path={folder}/best.yaml", "seed=0,1"]) == [
        *best,
        *("-m", "seed=0,1"),
    ]


def test_command_line_wins(folder: Path) -> None:
    overrides = expand(["experiment=best_of", f"path={folder}", "model=cnn", "model.extra=2"])
    assert overrides == ["optimizer.lr=0.01", "model=cnn", "model.extra=2"]


def test_other_command_lines_are_unchanged() -> None:
    overrides = ["experiment=digits_cnn", "data.path=somewhere"]
    assert expand(overrides) == overrides


def test_errors_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="type path=runs/search/NAME"):
        expand(["experiment=best_of", "data.path=somewhere"])
    with pytest.raises(UserError, match=r"has no best\.yaml"):
        expand(["experiment=best_of", f"path={tmp_path}"])
    (tmp_path / "best.yaml").write_text("- a list")
    with pytest.raises(UserError, match="is not a best config"):
        expand(["experiment=best_of", f"path={tmp_path}"])
