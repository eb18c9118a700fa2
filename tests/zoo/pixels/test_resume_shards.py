"""Data larger than memory: an interrupted run ends bitwise equal to an unbroken one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from arclight.run.execute import execute
from arclight.run_directory import RunDirectory
from arclight.training.checkpoints import Checkpoints
from tests.conftest import Composed
from tests.fault.harness import finished, first_differences, train, undisturbed, wait_for
from tests.pictures import tar_shards
from tests.run.test_exact_resume import assert_equal, outcome, started

TEXT = "".join(f"line {i}: {i * i}\n" for i in range(1500))
TEXT_MODEL = (
    *("model=gpt", "model.d_model=16", "model.n_layers=1", "model.n_heads=2"),
    *("model.dropout=0.1", "data.context=16", "data.val_fraction=0.1", "data.vocab_size=300"),
)


def images(folder: Path) -> list[str]:
    shards = {f"train-{i}": ["a", "b"] * 12 for i in range(4)}
    tar_shards(folder, {**shards, "val-0": ["a", "b"] * 4, "test-0": ["a", "b"] * 4})
    small = ["model=cnn", "model.widths=[8,8]", "data.image_size=12", "data.shuffle_window=2"]
    return [*small, "data=tar_shards", "data.num_workers=2", "data.augment.crop=1"]


def shards(folder: Path) -> list[str]:
    folder.mkdir()
    lines = [json.dumps({"text": line}) for line in TEXT.splitlines()]
    for i in range(3):
        (folder / f"train-{i}.jsonl").write_text("\n".join(lines[i::3]))
    return [*TEXT_MODEL, "data=text_shards", "data.block_mb=0.004", "data.limit=120"]


def tokens(folder: Path) -> list[str]:
    folder.mkdir()
    np.frombuffer(TEXT.encode(), np.uint8).astype(np.uint16).tofile(folder / "train.bin")
    return [*TEXT_MODEL, "data=token_files", "data.limit=120"]


def mapped(folder: Path) -> list[str]:
    folder.mkdir()
    (folder / "text.txt").write_text(TEXT)
    return [*TEXT_MODEL, "data=text_file", f"data.path={folder}/text.txt", "data.limit=120"]


@pytest.mark.parametrize(
    "make",
    [images, shards, *(pytest.param(m, marks=pytest.mark.slow) for m in (tokens, mapped))],
)
def test_runs_resume_exactly(
    composed: Composed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], list[str]],
) -> None:
    words: list[Any] = [
        f"data.path={tmp_path / 'data'}", "data.batch_size=16", "data.eval_batch_size=16",
        "trainer.max_epochs=2", "trainer.log_every_n_steps=2",
        "callbacks.checkpoints.every_n_steps=5",
    ]  # fmt: skip
    run = started(tmp_path / "undisturbed", composed(*words, *make(tmp_path / "data")))
    save = Checkpoints.save

    def save_and_copy(self: Checkpoints, trainer: Any) -> None:
        save(self, trainer)
        trainer.strategy.checkpoint_io.wait()
        if self.folder == run.checkpoints and trainer.global_step in (5, 10):
            shutil.copytree(run.path, tmp_path / f"at-{trainer.global_step}")

    monkeypatch.setattr(Checkpoints, "save", save_and_copy)
    assert execute(run) == 0
    expected = outcome(run)
    assert expected["step"] >= 12
    for point in ("at-5", "at-10"):  # within the first epoch and the second
        copy = RunDirectory(tmp_path / point)
        assert execute(copy) == 0
        assert copy.summary["times_resumed"] == 1
        assert_equal(outcome(copy), expected, point)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("make", [images, shards])
def test_two_killed_processes_resume_exactly(
    tmp_path: Path, make: Callable[[Path], list[str]]
) -> None:
    """Both are killed during training, and the same command continues."""
    words = (
        *make(tmp_path / "data"), f"data.path={tmp_path / 'data'}", "trainer=ddp_cpu",
        "data.batch_size=16", "data.eval_batch_size=16", "trainer.log_every_n_steps=2",
        "trainer.max_epochs=8", "callbacks.checkpoints.every_n_steps=1",
    )  # fmt: skip
    reference = undisturbed(RunDirectory(tmp_path / "undisturbed"), *words)
    run = RunDirectory(tmp_path / "killed")
    with train(run, *words) as command:
        wait_for("training", command, run, reference, Random(0))
        assert len(command.ranks()) >= 2  # and their workers
        command.kill()
    assert run.status == "running"
    assert not finished(run, *words)
    assert run.summary["times_resumed"] == 1
    assert not first_differences(run, reference)
