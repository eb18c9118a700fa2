"""The report of a search: tables, figures, the best config, and its summary in W&B."""

import csv
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import optuna
import pytest
import yaml

from arclight.errors import UserError
from arclight.report.search_plots import draw
from arclight.report.search_report import open_search, report
from arclight.report.wandb_summary import summary_id
from tests.conftest import Composed
from tests.report.conftest import write_search


@pytest.fixture(scope="module")
def concluded(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = Path(shutil.copytree(made_once, tmp_path_factory.mktemp("concluded") / "search"))
    with redirect_stdout(StringIO()) as said:
        report(folder)
    return folder, said.getvalue()


def test_every_trial_is_in_the_table_with_its_state(concluded: tuple[Path, str]) -> None:
    with (concluded[0] / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    states = ["finished", "finished", "pruned", "finished", "failed", "finished"]
    assert [row["state"] for row in rows] == states
    assert rows[1]["val/accuracy"] == "0.97"
    assert rows[2]["val/accuracy"] == "0.4"  # the last that it reported
    assert rows[4]["reason"] == "the loss is not finite"
    assert rows[1]["optimizer.lr"] == "0.01"
    assert rows[1]["runs"] == "trials/0001"


def test_a_short_summary_is_printed(concluded: tuple[Path, str]) -> None:
    folder, said = concluded
    assert "4 finished, 1 pruned, 1 failed" in said
    assert "the loss is not finite (trial 4)" in said
    assert "trial 1: val/accuracy 0.97" in said
    assert f"experiment=best_ofpath={folder}" in "".join(said.split())


def test_the_report_lists_best_and_failed_trials_and_figures(concluded: tuple[Path, str]) -> None:
    folder, _ = concluded
    report = (folder / "report.md").read_text()
    assert "Trial 1: val/accuracy 0.97." in report
    assert "the loss is not finite" in report
    figures = sorted(f.name for f in (folder / "figures").iterdir())
    assert figures == ["history.png", "importances.png", "parallel.png", "slices.png"]
    for name in figures:
        assert f"(figures/{name})" in report


def test_best_yaml_has_the_overrides_of_the_best_trial(concluded: tuple[Path, str]) -> None:
    best = yaml.safe_load((concluded[0] / "best.yaml").read_text())
    assert best == {"overrides": ["model=cnn", "seed=3", "optimizer.lr=0.01"]}


def test_reporting_again_writes_the_same_files(concluded: tuple[Path, str]) -> None:
    folder, _ = concluded
    names = ("trials.csv", "report.md", "best.yaml")
    before = [(folder / name).read_text() for name in names]
    report(folder)
    assert [(folder / name).read_text() for name in names] == before


def test_a_search_without_a_finished_trial_has_no_best(
    search_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (search_dir / "study.db").unlink()
    optuna.create_study(study_name="small", storage=f"sqlite:///{search_dir / 'study.db'}")
    report(search_dir)
    assert not (search_dir / "best.yaml").exists()
    assert "none" in capsys.readouterr().out


def test_a_journal_is_read_as_well(tmp_path: Path, composed: Composed) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    write_search(tmp_path, composed())
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    study = optuna.create_study(study_name="small", storage=storage, direction="minimize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=3)
    assert [t.values for t in open_search(tmp_path).trials] == [t.values for t in study.trials]


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        width = trial.suggest_int("model.width", 8, 64)
        depth = trial.suggest_int("model.depth", 1, 3) if width > 20 else 1  # conditional
        return 1 - 1 / (width * depth), width**2 * depth

    study.optimize(objective, n_trials=8)
    drawn = draw(study, ["val/accuracy", "parameters"], tmp_path)
    assert "pareto" in drawn
    assert all(path.stat().st_size > 1000 for path in drawn.values())


def test_other_folders_are_user_errors(tmp_path: Path, composed: Composed) -> None:
    with pytest.raises(UserError, match=r"has no search\.yaml"):
        open_search(tmp_path)
    write_search(tmp_path, composed())
    with pytest.raises(UserError, match="has no study yet"):
        open_search(tmp_path)


def test_the_summary_in_wandb_has_one_id(
    search_dir: Path,
    composed: Composed,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    write_search(search_dir, composed("logger=wandb"), metric="val/accuracy")
    number = summary_id(open_search(search_dir))
    (search_dir / "wandb" / f"offline-run-20260101_120000-{number}").mkdir(parents=True)
    report(search_dir)
    assert "wandb sync" in capsys.readouterr().out
    folders = list((search_dir / "wandb").glob("offline-run-*"))
    assert [folder.name.rpartition("-")[2] for folder in folders] == [number]
    media = {f.name.partition("_")[0] for f in folders[0].glob("files/media/**/*.*")}
    assert {"trials", "history", "importances", "parallel", "slices"} <= media
