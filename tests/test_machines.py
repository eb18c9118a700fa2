"""Runs on machines that lack a home, room or a wide terminal, and in places with odd names."""

import errno
import os
import pwd
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
import torch
import wandb
from PIL import Image

from arclight.config.entry import plain_errors
from arclight.config.overrides import quoted
from arclight.console import table
from arclight.entry.start import start
from arclight.run_directory import RunDirectory
from arclight.training.progress import BESIDE, shortened
from tests.conftest import CONFIGS, PROJECT

TINY = (
    *("trainer.max_steps=1", "data.limit=64", "data.batch_size=16", "model.widths=[4,4]"),
    *("preflight=false", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"),
)
Train = Callable[..., int]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: None) -> Train:
    """Does what `python train.py` does, in this process; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    main = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")(start)

    def call(*overrides: str) -> int:
        resumed = overrides[0].startswith("resume=") if overrides else False
        overrides = overrides if resumed else (*overrides, *TINY)
        monkeypatch.setattr(sys, "argv", ["train.py", *overrides])
        try:
            with plain_errors(CONFIGS):
                sys.argv[1:] = quoted(sys.argv[1:])
                main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return call


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME is not set, and the user's number has no name, as in a container."""

    def nobody(*_: Any) -> Any:
        raise KeyError("uid not found")

    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


@pytest.fixture
def few_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def finished(path: Path | str) -> bool:
    return RunDirectory(Path(path)).status == "finished"


def photographs(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for index in range(40):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.mark.usefixtures("homeless")
def test_nothing_needs_a_home(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ARCLIGHT_CACHE")
    assert train("run_dir=run") == 0
    assert finished("run")
    assert train("run_dir=~/run") == 2
    assert "A path begins with ~" in capsys.readouterr().err


def test_a_place_that_may_only_be_read_is_named_with_what_to_type(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mkdir = Path.mkdir

    def refuse(path: Path, *arguments: Any, **named: Any) -> None:
        if path.parts[:1] == ("runs",):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        mkdir(path, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert train() == 2
    assert "type another place with run_dir=PATH" in capsys.readouterr().err
    assert train("runs=elsewhere") == 0
    assert len(list(Path("elsewhere").iterdir())) == 1


@pytest.mark.usefixtures("few_files")
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("hydra.job.chdir=true",),
        ("hydra.job.chdir=true", "hydra.run.dir=outputs/1"),
        ("hydra.run.dir='a b'",),
    ],
)
def test_paths_mean_what_they_mean_where_they_were_typed(
    train: Train, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    assert train("run_dir=run", *overrides) == 0
    assert finished(tmp_path / "run")


def test_a_multirun_in_a_directory_of_its_own_is_like_any_other(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("-m", "seed=0,1", "hydra.job.chdir=true", "runs=mine") == 0
    (folder,) = (tmp_path / "mine" / "multirun").iterdir()
    assert all(finished(folder / job) for job in ("0", "1"))


def test_a_disabled_logger_is_no_fault(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_SILENT", "true")
    try:
        assert train("run_dir=run", "logger=wandb") == 0
    finally:
        wandb.teardown()  # otherwise later tests would use its service, offline or not
    assert finished("run")


@pytest.mark.parametrize("name", ["n" * 200, "Ann's run, 100 %", "ü" * 60, "-x", "a=b"])
def test_a_run_has_any_name(train: Train, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    assert train(f"run_dir={place}") == 0
    assert finished(place)
    assert train(f"resume={place}") == 0


def test_data_lie_in_a_folder_of_any_name(train: Train, tmp_path: Path) -> None:
    folder = photographs(tmp_path / f"Ann's {'photographs ' * 15}(2)")
    assert train("run_dir=run", "data=image_folder", f"data.path={folder}") == 0
    assert finished("run")


@pytest.mark.parametrize("given", ["name", "run_dir", "resume"])
@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128])
def test_a_name_that_is_too_long_is_a_sentence(
    train: Train, given: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(f"{given}={name}") == 2
    assert re.search("(nn|üü)[.]{3} is .*long.*: type a shorter", capsys.readouterr().err)
    assert not list(Path().rglob("*"))


def test_too_many_open_files_are_a_sentence(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("arclight.run.fit.fit", fail)
    assert train("run_dir=run") == 2
    assert "ulimit -n" in capsys.readouterr().err


# ------------------------------------------------------------------------------- terminals

ROWS = [("run", "/a/very/long/path" * 12), ("model", "CNN"), ("ms a step", "data 1, " * 30)]


@pytest.mark.parametrize("columns", ["30", "80", "200", "0", "wide", None])
def test_a_table_fits_the_terminal(columns: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    room = min(100, int(columns)) if columns in ("30", "80", "200") else 100
    drawn = table(ROWS, "Arclight")
    assert max(len(line) for line in drawn.splitlines()) <= room
    assert "".join(drawn.split()).count("/a/very/long/path") > 0


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (80, "train/loss 0.5132"),
        (100, "train/loss 0.5132, train/accuracy 0.91"),
        (60, ""),
        (20, ""),
        (float("inf"), "train/loss 0.5132, train/accuracy 0.91, 12,345 examples/s"),
    ],
)
def test_the_bar_leaves_out_what_does_not_fit(columns: float, expected: str) -> None:
    metrics = "train/loss 0.5132, train/accuracy 0.91, 12,345 examples/s"
    assert shortened(metrics, columns - BESIDE) == expected


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        pytest.param(
            "trainer=gpu",
            "trainer=gpu needs a CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        ("data.path=nowhere/at/all", "does not exist"),
    ],
)
def test_what_is_not_there_is_a_user_error(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, sentence: str
) -> None:
    assert train(word, "runs=mistyped") == 2
    said = "".join(capsys.readouterr())
    assert sentence in said
    assert "Traceback" not in said
    assert not list((tmp_path / "mistyped").glob("*"))


def test_a_start_from_elsewhere_without_a_terminal(tmp_path: Path) -> None:
    """The config is found beside train.py, and nothing is drawn where nobody looks."""
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "TERM")}
    done = subprocess.run(
        [sys.executable, str(PROJECT / "train.py"), *TINY],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = (tmp_path / "runs").iterdir()
    assert finished(run)
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
