"""`resume=auto` finds the newest run that can be continued, and says why it skips others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from arclight.errors import UserError
from arclight.run.opened import newest_unfinished
from arclight.run_directory import RunDirectory, create
from tests.conftest import Composed


def damaged_summary(run: RunDirectory) -> None:
    run.summary_file.write_text("{")


def damaged_config(run: RunDirectory) -> None:
    run.config_file.write_text("model: [")


def unknown_key(run: RunDirectory) -> None:
    run.config_file.write_text(run.config_file.read_text().replace("batch_size:", "batch_sise:"))


def failed_at_once(run: RunDirectory) -> None:
    run.update_summary(status="failed", error="data.path=images is not there.")


def diverged(run: RunDirectory) -> None:
    run.metrics_file.write_text("step,train/loss\n50,0.5\n")
    run.update_summary(status="failed", error="NonFiniteError: The training loss is nan.")


HOPELESS: dict[str, tuple[Callable[[RunDirectory], None], str]] = {
    "damaged summary": (damaged_summary, "summary.json is damaged"),
    "damaged config": (damaged_config, "is not valid YAML"),
    "unknown key": (unknown_key, "batch_sise"),
    "failed at once": (failed_at_once, "before its first checkpoint: data.path=images"),
    "diverged": (diverged, "would diverge again: NonFiniteError"),
}


@pytest.fixture
def runs(tmp_path: Path, composed: Composed) -> list[RunDirectory]:
    """The older was interrupted; so was the newer, of which the tests make something else."""
    made = [create(tmp_path / name, tmp_path, "run", composed(), [], {}) for name in ("old", "new")]
    for run in made:
        run.update_summary(status="interrupted")
    return made


@pytest.mark.parametrize("name", HOPELESS)
def test_a_run_that_would_fail_again_is_skipped(
    runs: list[RunDirectory], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = runs
    spoil, why = HOPELESS[name]
    spoil(newer)
    assert newest_unfinished(tmp_path) == older
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"resume=auto skips {newer.path}: ")
    assert why in said
    older.update_summary(status="finished")
    with pytest.raises(
        UserError, match=r"no unfinished run under .* besides the 1 that it skipped"
    ):
        newest_unfinished(tmp_path)


def test_a_run_that_may_succeed_is_not_skipped(runs: list[RunDirectory], tmp_path: Path) -> None:
    newer = runs[1]
    assert newest_unfinished(tmp_path) == newer
    newer.metrics_file.write_text("step,train/loss\n50,0.5\n")
    newer.update_summary(status="failed", error="The disk was full.")
    assert newest_unfinished(tmp_path) == newer
