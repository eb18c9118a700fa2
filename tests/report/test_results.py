"""Runs as a table: found, filtered, grouped over seeds, sorted and written."""

import csv
import runpy
import shutil
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import yaml
from hydra import initialize_config_dir

from arclight.config.best_of import expand
from arclight.config.entry import plain_errors
from arclight.errors import UserError
from arclight.report.best import words_of
from arclight.report.differences import differing
from arclight.report.filters import ordered, where
from arclight.report.results import Result, _natural, collect
from arclight.report.rows import Mean, grouped, run_rows
from tests.conftest import CONFIGS, PROJECT, Composed
from tests.report.conftest import MakeRun

Script = Callable[..., str]


@pytest.fixture(scope="module")
def runs(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with three seeds each, at different depths; the last run is unfinished."""
    folder = tmp_path_factory.mktemp("runs")
    accuracies = {"cnn": [0.90, 0.92, 0.94], "vit": [0.80, 0.84, None]}
    for model, reached in accuracies.items():
        for seed, accuracy in enumerate(reached):
            metrics = {"val/accuracy": accuracy, "val/loss": 1 - accuracy} if accuracy else None
            make_run(
                folder / ("deep/er" if model == "vit" else "") / f"{model}-{seed}",
                f"model={model}",
                f"seed={seed}",
                metrics=metrics,
                status="finished" if accuracy else "interrupted",
            )
    return folder


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """Calls scripts/results.py with these words and returns what it prints."""

    def call(*words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["results.py", *map(str, words)])
        runpy.run_path(str(PROJECT / "scripts" / "results.py"), run_name="script")["main"]()
        return capsys.readouterr().out

    return call


def test_runs_are_found_at_any_depth_in_natural_order(make_run: MakeRun, runs: Path) -> None:
    assert [run.path.name for run in collect([runs])] == [
        *("cnn-0", "cnn-1", "cnn-2"),
        *("vit-0", "vit-1", "vit-2"),
    ]
    assert len(collect([runs, runs / "cnn-0"])) == 6  # each once
    numbers = ["run2", "run10", "run1"]
    assert sorted(map(Path, numbers), key=_natural) == [Path(f"run{i}") for i in (1, 2, 10)]


def test_columns_are_the_keys_that_differ(runs: Path) -> None:
    found = collect([runs])
    assert differing(found) == ["model", "seed"]
    assert differing(where(found, "model=cnn")) == ["seed"]


def test_a_difference_outside_the_overrides_is_a_column(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run(tmp_path / "a", "seed=0")
    make_run(tmp_path / "b", "seed=0")
    config = first.config
    config["optimizer"]["lr"] = 0.5  # the file of the default was edited between the two
    first.config_file.write_text(yaml.safe_dump(config))
    assert differing(collect([tmp_path])) == ["optimizer.lr"]


def test_means_are_over_finished_runs(runs: Path) -> None:
    rows = grouped(collect([runs]), ["model"])
    cnn, vit = rows
    assert (cnn["model"], cnn["n"], cnn["unfinished"]) == ("cnn", 3, 0)
    assert (vit["model"], vit["n"], vit["unfinished"]) == ("vit", 2, 1)
    assert cnn["val/accuracy"] == (pytest.approx(0.92), pytest.approx(0.02))
    assert vit["val/accuracy"].mean == pytest.approx(0.82)
    assert str(cnn["val/accuracy"]) == "0.920 ± 0.020"
    assert str(Mean.of([0.5])) == "0.5"  # one run has no deviation
    assert Mean.of([]) is None


def test_mixed_runs_in_a_row_are_rejected(
    make_run: MakeRun, script: Script, tmp_path: Path
) -> None:
    for i, words in enumerate([["seed=0"], ["seed=1"], ["seed=0", "optimizer.lr=0.5"]]):
        make_run(tmp_path / f"{i}", "model=cnn", *words, metrics={"val/accuracy": 0.5 + i / 10})
    with pytest.raises(UserError, match=r"3 runs of model=cnn differ in optimizer.lr \(.*0.5\)"):
        script(tmp_path, "by=model")
    mixed = list(csv.DictReader(StringIO(script(tmp_path, "by=model", "mixed=true", "format=csv"))))
    assert [row["n"] for row in mixed] == ["3"]
    told = list(csv.DictReader(StringIO(script(tmp_path, "by=auto", "format=csv"))))
    assert sorted(row["n"] for row in told) == ["1", "2"]  # seeds are pooled
    assert len(script(tmp_path, "by=model,optimizer.lr").splitlines()) == 4


def test_runs_of_another_task_are_left_out_of_the_rows(
    make_run: MakeRun, script: Script, tmp_path: Path
) -> None:
    make_run(tmp_path / "a", "seed=0", metrics={"val/accuracy": 0.5})
    make_run(tmp_path / "b", "optimizer.lr=0.5", metrics={"test/rmse": 0.1})
    make_run(tmp_path / "c", "optimizer.lr=0.5", status="interrupted")
    read = csv.DictReader(StringIO(script(tmp_path, "by=seed", "metrics=test/rmse", "format=csv")))
    assert [(row["n"], row["unfinished"]) for row in read] == [("1", "1")]


@pytest.mark.parametrize("damage", ["summary.json", "config.yaml", "overrides.yaml"])
def test_a_damaged_run_is_reported_and_the_others_are_shown(
    make_run: MakeRun, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good", "bad"):
        make_run(tmp_path / name, "model=cnn", metrics={"val/accuracy": 0.5})
    (tmp_path / "bad" / damage).write_text("{half of a fi")
    assert [result.path.name for result in collect([tmp_path])] == ["good"]
    assert f"{tmp_path / 'bad'} is left out" in capsys.readouterr().err


def test_two_runs_are_shown_side_by_side(make_run: MakeRun, script: Script, tmp_path: Path) -> None:
    for name, words, accuracy in (("a", ["seed=0"], 0.9), ("b", ["optimizer.lr=0.5"], 0.7)):
        run = make_run(tmp_path / name, *words, metrics={"val/accuracy": accuracy})
        run.metrics_file.write_text(f"step,val/accuracy\n5,{accuracy}\n")
        run.update_manifest(code={"train.py": name})
    said = script("compare", tmp_path / "a", tmp_path / "b")
    assert "-> 0.5" in said
    assert "- train.py" in said
    assert "+0.2" in said
    assert "has no predictions" in said


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ("model=cnn", 3),
        ("model!=cnn,status=finished", 2),
        ("val/accuracy>=0.9", 3),
        ("val/loss<0.09", 2),
        ("optimizer.lr<1e-2", 6),
        ("seed=1", 2),
        ("optimizer.betas=[0.9, 0.999]", 6),
    ],
)
def test_runs_are_chosen_by_conditions(runs: Path, conditions: str, count: int) -> None:
    assert len(where(collect([runs]), conditions)) == count


def test_metrics_are_sorted_best_first_and_settings_ascending(runs: Path) -> None:
    found = collect([runs])
    rows = run_rows(found, ["val/accuracy", "val/loss"])
    best = [row["val/accuracy"] for row in ordered(rows, "val/accuracy", found)]
    assert best == [0.94, 0.92, 0.9, 0.84, 0.8, None]  # what is missing comes last
    assert ordered(rows, "-val/accuracy", found)[0]["val/accuracy"] == 0.8
    assert ordered(rows, "val/loss", found)[0]["val/accuracy"] == 0.94
    assert [row["seed"] for row in ordered(rows, "seed", found)] == [0, 0, 1, 1, 2, 2]


def test_the_script_writes_markdown_csv_and_latex(
    script: Script, runs: Path, tmp_path: Path
) -> None:
    said = script(runs, "by=model", "sort=val/accuracy")
    assert "| cnn" in said.splitlines()[2]
    assert "0.920 ± 0.020" in said
    rows = list(csv.DictReader(StringIO(script(runs, "by=model", "format=csv"))))
    assert float(rows[0]["val/accuracy deviation"]) == pytest.approx(0.02)
    script(runs, "format=latex", "by=model,seed", f"output={tmp_path / 'table.tex'}")
    table = (tmp_path / "table.tex").read_text()
    assert r"\toprule" in table
    assert r"0.94 \\" in table or "& 0.94" in table
    shown = script(runs, "metrics=val/loss")
    assert "interrupted" in shown
    assert "val/accuracy" not in shown


def test_the_script_draws_runs_outside_searches(script: Script, runs: Path, tmp_path: Path) -> None:
    script(runs, f"figures={tmp_path}")
    assert {"history.png", "slices.png", "parallel.png"} <= {f.name for f in tmp_path.iterdir()}


def test_the_script_writes_the_best_config(
    script: Script, runs: Path, tmp_path: Path, composed: Composed
) -> None:
    script(runs, "where=model=vit", f"best={tmp_path / 'best.yaml'}")
    words = expand(["experiment=best_of", f"path={tmp_path / 'best.yaml'}", "trainer.max_epochs=2"])
    assert words == ["model=vit", "seed=1", "trainer.max_epochs=2"]
    composed(*words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Give at least one folder"),
        (("nowhere",), "nowhere is not a folder"),
        (("RUNS", "where=modle=cnn"), "did you mean model"),
        (("RUNS", "where=model"), "should be like model=cnn"),
        (("RUNS", "format=pdf"), "format=pdf is not known"),
        (("RUNS", "sorted=seed"), "did you mean sort"),
        (("RUNS", "by=sed"), "did you mean seed"),
        (("RUNS", "metrics=val/accuracies"), "did you mean val/accuracy"),
        (("RUNS", "sort=colour"), "colour is not a column"),
    ],
)
def test_mistyped_arguments_are_user_errors(
    script: Script, runs: Path, words: tuple[str, ...], sentence: str
) -> None:
    given = [str(runs) if word == "RUNS" else word for word in words]
    with pytest.raises(UserError, match=sentence):
        script(*given)


def test_overrides_are_found_within_hydra_too(composed: Composed) -> None:
    config = composed("seed=2", "data=digits_32")
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):  # as within hydra.main
        assert words_of(config, ["seed=2", "data=digits_32"]) == ["data=digits_32", "seed=2"]


@pytest.mark.parametrize(
    "typed",
    [
        ["model=vit", "optimizer.lr=3e-5", "seed=4"],
        ["experiment=gpt_shakespeare", "data.path=it's here/a b.txt", "trainer.max_steps=7"],
        ["search=digits_cnn", "model.widths=[8,16]", "search.n_trials=3"],
        ["optimizer=sgd", "scheduler=constant", "callbacks.ema.decay=0.9", "+extra.x={a: [1, b]}"],
        ["model=cnn", "~callbacks.ema"],
    ],
)
def test_overrides_compose_the_original_config(composed: Composed, typed: list[str]) -> None:
    quoted = [w.replace("it's here/a b.txt", "'it\\'s here/a b.txt'") for w in typed]
    config = composed(*quoted)
    words = words_of(config, quoted)
    assert not any(word.startswith("search") for word in words)
    assert {**composed(*words), "name": ""} == {**config, "name": ""}


def test_a_key_that_only_the_search_file_has_is_added(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setattr("arclight.config.compose.PROJECT", tmp_path)
    search = "# @package _global_\ndefaults: [_search@search, _self_]\ntask: {rate: 1}\n"
    (tmp_path / "configs" / "search" / "own.yaml").write_text(search)
    config = composed("+task.rate=3")
    words = words_of(config, ["search=own", "task.rate=3", "seed=0"])
    assert words == ["seed=0", "++task.rate=3"]


def test_runs_on_other_data_are_separate_rows() -> None:
    runs = [
        Result(Path(str(i)), "finished", "", {}, {"model": "cnn", "data.path": path}, {}, {"a": i})
        for i, path in enumerate(["digits", "digits", "noise"])
    ]
    rows = grouped(runs, ["model"], ["a"])
    assert [(row["data.path"], row["n"]) for row in rows] == [("digits", 2), ("noise", 1)]
    assert "data.path" not in grouped(runs[:2], ["model"], ["a"])[0]


def test_figures_leave_out_metrics_that_are_not_finite(
    make_run: MakeRun, tmp_path: Path, script: Script
) -> None:
    for seed, accuracy in enumerate([0.1, 0.2, float("nan")]):
        metrics = {"val/accuracy": accuracy}
        make_run(tmp_path / "runs" / str(seed), f"seed={seed}", metrics=metrics, status="finished")
    script(tmp_path / "runs", f"figures={tmp_path / 'figures'}")
    assert list((tmp_path / "figures").glob("*.png"))


def test_an_error_sends_no_escape_codes(
    make_run: MakeRun, tmp_path: Path, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"val/accuracy\x1b[2J": 0.5}
    make_run(tmp_path / "run", metrics=metrics, status="finished")
    with pytest.raises(UserError) as raised:
        script(tmp_path, "sort=val/accuracy")
    with pytest.raises(SystemExit), plain_errors():
        raise raised.value
    said = capsys.readouterr().err
    assert r"\x1b[2J" in said
    assert "\x1b" not in said
