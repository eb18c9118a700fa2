"""Checkpoints are complete, verified when read, and linked under the right names."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from arclight.errors import UserError
from arclight.training.checkpoint_files import UnreadableCheckpointError, newest_readable, read
from arclight.training.checkpoint_io import WholeCheckpointIO
from arclight.training.checkpoints import Checkpoints

RUN = "0a1b2c3d"


def content(step: int, run_id: str = RUN) -> dict[str, Any]:
    return {"state_dict": {"w": torch.full((64,), step)}, "global_step": step, "run_id": run_id}


def save(path: Path, step: int, run_id: str = RUN) -> None:
    WholeCheckpointIO().save_checkpoint(content(step, run_id), path)


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "bit-flipped":
        place = data.find(torch.full((64,), 2).numpy().tobytes())
        assert place > 0
        data[place] ^= 1
    elif how == "foreign":
        torch.save({"weights": 1}, path)
        return
    elif how == "not a checkpoint":
        data = bytearray(b"PNG")
    path.write_bytes(bytes(data))


DAMAGES = ["truncated", "empty", "bit-flipped", "foreign", "not a checkpoint"]


@pytest.mark.parametrize("how", DAMAGES)
def test_corrupt_checkpoints_are_reported_and_the_previous_one_is_used(
    tmp_path: Path, how: str
) -> None:
    save(tmp_path / "previous.ckpt", 1)
    save(tmp_path / "last.ckpt", 2)
    assert newest_readable(tmp_path, RUN) == (tmp_path / "last.ckpt", [])
    damage(tmp_path / "last.ckpt", how)
    path, complaints = newest_readable(tmp_path, RUN)
    assert path == tmp_path / "previous.ckpt"
    assert len(complaints) == 1
    assert "last.ckpt" in complaints[0]


def test_a_corrupt_checkpoint_does_not_replace_good_ones(tmp_path: Path) -> None:
    save(tmp_path / "previous.ckpt", 3)
    (tmp_path / "best.ckpt").hardlink_to(tmp_path / "previous.ckpt")
    (tmp_path / "last.ckpt").write_bytes(b"damaged")
    files = Checkpoints(tmp_path, RUN)
    files.best = [(3, 0.5)]
    trainer: Any = SimpleNamespace(
        global_step=3,
        is_global_zero=True,
        ckpt_path=str(tmp_path / "previous.ckpt"),
        callbacks=[],
    )
    files.on_train_start(trainer, pl_module=None)  # type: ignore[arg-type]
    for name in ("last.ckpt", "previous.ckpt", "best.ckpt"):
        assert read(tmp_path / name)["global_step"] == 3


def test_another_runs_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    save(tmp_path / "last.ckpt", 2, run_id="other")
    with pytest.raises(UserError, match=r"last\.ckpt belongs to another run"):
        newest_readable(tmp_path, RUN)


def test_without_a_checkpoint_a_run_starts_from_scratch(tmp_path: Path) -> None:
    assert newest_readable(tmp_path, RUN) == (None, [])


def test_a_pickle_with_code_is_never_executed(tmp_path: Path) -> None:
    torch.save({**content(1), "model": torch.nn.Linear(1, 1)}, tmp_path / "last.ckpt")
    with pytest.raises(UnreadableCheckpointError):
        read(tmp_path / "last.ckpt")


def test_a_full_disk_keeps_the_old_file_and_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "last.ckpt", 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"last\.ckpt cannot be written: No space left"):
        save(tmp_path / "last.ckpt", 2)
    assert read(tmp_path / "last.ckpt")["global_step"] == 1
    assert [f.name for f in tmp_path.iterdir()] == ["last.ckpt"]


def test_the_best_files_follow_the_scores(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, RUN, monitor="val/accuracy", mode="max", keep_best=2)
    scores = {1: 0.5, 2: 0.9, 3: 0.7, 4: 0.9, 5: 0.95}
    for step, score in scores.items():
        kept.best.append((step, score))
        kept.best.sort(key=lambda entry: (-entry[1], -entry[0]))
        del kept.best[2:]
        save(tmp_path / "last.ckpt", step)
        kept.link_best(step, kept.best)
        kept.link_best(step, kept.best)  # what a resumed run does again
    assert read(tmp_path / "best.ckpt")["global_step"] == 5
    assert read(tmp_path / "step=4.ckpt")["global_step"] == 4
    assert sorted(f.name for f in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt", "step=4.ckpt"]
