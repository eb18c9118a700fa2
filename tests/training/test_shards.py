"""Shards are put together as they were saved."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import FileSystemWriter, save

from arclight.training.shards import assembled
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
    assert_equal(assembled(tmp_path), state)
