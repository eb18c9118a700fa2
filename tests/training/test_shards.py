"""Shards are assembled as they were saved."""

import io
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemWriter, save

from arclight.training.checkpoint_files import UnreadableCheckpointError, read
from arclight.training.shards import PICKLE, assemble, checksum, remove_pickle
from tests.run.test_exact_resume import assert_equal


def test_a_nested_state_is_read_whole(tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "state_dict": {"a.b": torch.randn(3, 4), "c": torch.tensor(5), "d": torch.ones(2).half()},
        "optimizer_states": [
            {
                "state": {"a.b": {"step": torch.tensor(3.0), "exp_avg": torch.randn(3, 4)}},
                "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99), "params": ["a.b", "c"]}],
            },
            {"param_groups": []},
        ],
        "mixed": [torch.ones(1), 5, [torch.zeros(2), {"k": torch.ones(1)}], None],
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        save(state, storage_writer=FileSystemWriter(tmp_path), no_dist=True)
    plain = remove_pickle(tmp_path)
    assert not (tmp_path / PICKLE).exists()
    kept = tmp_path / "plain.pt"
    torch.save(plain, kept)
    assert_equal(assemble(tmp_path, torch.load(kept, weights_only=True)), state)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Shards of a tensor and a value, with their metadata."""
    folder = tmp_path / "best-1.shards"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        state = {"state_dict": {"a": torch.ones(2)}, "other": [5]}
        save(state, storage_writer=FileSystemWriter(folder), no_dist=True)
    return folder, remove_pickle(folder)


def checkpoint_of(folder: Path, plain: dict[str, Any]) -> Path:
    file = folder.parent / "best.ckpt"
    known = {"state_dict": {}, "global_step": 1, "run_id": "x", "shards": folder.name}
    sums = {one.name: checksum(one) for one in folder.iterdir()}
    torch.save({**known, "shard_metadata": plain, "checksums": sums}, file)
    return file


def test_a_pickle_among_the_shards_is_not_run(saved: Any, tmp_path: Path) -> None:
    folder, plain = saved
    mark = tmp_path / "mark"
    (folder / PICKLE).write_bytes(pickle.dumps(Payload(mark)))
    assert read(checkpoint_of(folder, plain))["other"] == [5]
    assert not mark.exists()


def test_a_pickle_instead_of_a_value_is_not_run(saved: Any, tmp_path: Path) -> None:
    folder, plain = saved
    mark = tmp_path / "mark"
    content = io.BytesIO()
    torch.save(Payload(mark), content)
    (folder / "found").write_bytes(content.getvalue())
    plain["other"]["stored"] = [[None, None, "found", 0, len(content.getvalue())]]
    with pytest.raises(UnreadableCheckpointError, match="damaged"):
        read(checkpoint_of(folder, plain))
    assert not mark.exists()


@pytest.mark.parametrize("file", ["../best.ckpt", "/etc/hostname", "none"])
def test_nothing_outside_of_the_folder_is_read(saved: Any, file: str) -> None:
    folder, plain = saved
    plain["state_dict.a"]["stored"][0][2] = file
    with pytest.raises(UnreadableCheckpointError, match="damaged"):
        read(checkpoint_of(folder, plain))


def test_shards_without_metadata_are_rejected(saved: Any) -> None:
    folder, _ = saved
    file = checkpoint_of(folder, {})
    content = torch.load(file, weights_only=True)
    del content["shard_metadata"]
    torch.save(content, file)
    with pytest.raises(UnreadableCheckpointError, match="does not describe its shards"):
        read(file)
