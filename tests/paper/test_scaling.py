"""Error against examples per parameter, and the runs that rows need."""

from pathlib import Path

import pytest

from arclight.config.compose import hydra_ready
from arclight.errors import UserError
from arclight.paper.cells import plan_before
from arclight.paper.compose import settings_of
from arclight.paper.outcomes import Outcomes
from arclight.paper.record import record_of
from arclight.paper.run_paper import require_finished
from arclight.paper.scaling import draw_scaling, scaling, scaling_rows
from tests.paper.conftest import make, planned

SIZES = {"n32": 32, "n128": 128, "n512": 512}
WORDS = (
    *("paper=small_data", "paper.seeds=[0,1]", "paper.claims=[]", "~paper.columns.n64"),
    *("~paper.columns.n256", "~paper.columns.n1294"),
)


def outcomes(folder: Path, *words: str, factor: float = 0.05, exponent: float = 0.3) -> Outcomes:
    """Runs whose errors follow a power law of examples per parameter."""
    paper, node, cells = planned(*WORDS, f"paper.dir={folder}", *words)
    for cell in cells:
        size = SIZES[cell.column]
        run = make(cell.path, cell.config, 1 - factor * (size / 5226) ** -exponent)
        sizes = {"train": size, "val": 10, "test": 100}
        run.update_manifest(data={"fingerprint": cell.column, "sizes": sizes})
    return Outcomes(record_of(paper, node, cells, folder), folder)


def test_a_power_law_is_found(tmp_path: Path) -> None:
    found = outcomes(tmp_path)
    curves = scaling(found)
    assert [curve.row for curve in curves] == found.rows
    for curve in curves:
        assert curve.factor == pytest.approx(0.05)
        assert curve.exponent == pytest.approx(0.3)
        assert curve.low <= curve.exponent <= curve.high
        assert curve.r2 == pytest.approx(1)
        assert [ratio for ratio, *_ in curve.points] == [n / 5226 for n in SIZES.values()]
    assert scaling_rows(curves)[0]["columns"] == 3
    assert draw_scaling(curves, found).axes


def test_two_sizes_or_no_errors_make_no_curve(tmp_path: Path) -> None:
    assert not scaling(outcomes(tmp_path / "two", "~paper.columns.n128"))
    assert not scaling(outcomes(tmp_path / "none", factor=0.0))


def test_required_runs_are_trained_once_and_must_have_the_same_config(tmp_path: Path) -> None:
    words = [*WORDS, f"paper.dir={tmp_path}"]
    with hydra_ready():
        paper, _ = settings_of(words)
        small, _ = cells = plan_before(paper, [], tmp_path)
        assert [cell.path for cell in cells] == [
            tmp_path / "before" / n for n in ("small", "large")
        ]
        assert small.config["data"]["path"] == "matplotlib:letters"
        run = make(small.path, small.config, 0.9)
        require_finished(cells[:1])
        run.update_summary(status="failed")
        with pytest.raises(UserError, match="has the status failed, but rows need it"):
            require_finished(cells[:1])
        plan_before(paper, [], tmp_path)
        with pytest.raises(UserError, match="was trained with another config"):
            plan_before(paper, ["optimizer.lr=0.5"], tmp_path)
