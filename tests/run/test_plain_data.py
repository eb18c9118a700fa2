"""The facts of plain data modules, and the reasons why a run is inexact."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from arclight.data.exact.identity import identity
from arclight.run.assembly import UNKNOWN, recorded_facts
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from tests.conftest import Composed, Package
from tests.run.test_plain_modules import DATA, LIT

KINDS = (
    DATA
    + """
import random
import numpy as np
from torch.utils.data import Dataset, Sampler, random_split


class Longer(Spots):
    def setup(self, stage):
        super().setup(stage)
        self.train = TensorDataset(torch.ones(40, 4), torch.ones(40).long())


class Other(Spots):
    def setup(self, stage):
        super().setup(stage)
        self.train = TensorDataset(self.train.tensors[0] + 1e-3, self.train.tensors[1])


class Split(Spots):
    '''Splits without a generator, at each call of `setup`.'''

    def setup(self, stage):
        super().setup(stage)
        self.train, self.val = random_split(self.train, (24, 8))
        self.drawn = random.random(), np.random.rand(), torch.rand(()).item()


class Jittered(TensorDataset):
    '''Holds a generator, seeded by the system.'''

    def __getitem__(self, i):
        if not hasattr(self, "rng"):
            self.rng = np.random.default_rng()
        x, y = super().__getitem__(i)
        return x + self.rng.normal(), y


class Held(Spots):
    def train_dataloader(self):
        return DataLoader(Jittered(*self.train.tensors), 8, shuffle=True)


class Unseeded(TensorDataset):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x + np.random.SeedSequence().entropy % 7, y


class Unrepeatable(Spots):
    def train_dataloader(self):
        return DataLoader(Unseeded(*self.train.tensors), 8)


class ByLoss(Sampler):
    def __init__(self, n):
        self.n, self.weights = n, [1.0] * n

    def __iter__(self):
        self.weights[0] += 1  # as if a callback told it the losses
        return iter(range(self.n))

    def __len__(self):
        return self.n


class Fed(Spots):
    def setup(self, stage):
        super().setup(stage)
        self.sampler = ByLoss(32)

    def train_dataloader(self):
        return DataLoader(self.train, 8, sampler=self.sampler)
"""
)


@pytest.fixture
def made(composed: Composed, package: Package, tmp_path: Path) -> Any:
    package(lit=LIT, spots=KINDS)

    def make(data: str = "Spots", **trainer: Any) -> RunDirectory:
        base = composed()
        config = {k: v for k, v in base.items() if k not in ("model", "optimizer", "scheduler")}
        config["task"] = {"_target_": "mylab.lit.Two"}
        config["data"] = {"_target_": f"mylab.spots.{data}"}
        config["callbacks"]["checkpoints"] |= {"monitor": "val_loss", "mode": "min"}
        config["trainer"] |= {"max_epochs": None, "max_steps": 5, **trainer}
        return create(tmp_path / f"run-{data}", tmp_path, "run", config, [], {})

    return make


def goes_on(run: RunDirectory, data: str) -> int:
    """Executes a run again, for more steps, with another data module's data."""
    config = run.config
    config["data"]["_target_"] = f"mylab.spots.{data}"
    config["trainer"]["max_steps"] = 9
    run.config_file.write_text(yaml.safe_dump(config))
    run.update_summary(status="interrupted")
    return execute(run)


def test_sizes_and_fingerprint_are_in_the_manifest_and_stay(made: Any) -> None:
    run = made()
    assert execute(run) == 0
    data = run.manifest["data"]
    assert data["sizes"] == {"train": 32, "val": 8}  # `Two` has no test
    assert data["fingerprint"].startswith("held1-")
    assert recorded_facts(run) is UNKNOWN  # a task is told nothing of it
    assert goes_on(run, "Spots") == 0
    assert run.manifest["data"] == data
    assert run.summary["resume"] == "exact"


@pytest.mark.parametrize(
    ("data", "said"),
    [("Longer", "train had 32 samples and has 40"), ("Other", "the training set had the finger")],
)
def test_changed_data_are_rejected(made: Any, data: str, said: str) -> None:
    run = made()
    assert execute(run) == 0
    assert goes_on(run, data) == 2
    assert said in run.summary["error"]
    assert goes_on(run, "Spots") == 0  # they were put back


def test_a_split_without_a_generator_is_always_the_same(made: Any) -> None:
    run = made("Split")
    assert execute(run) == 0
    torch.rand(3)
    assert goes_on(run, "Split") == 0  # or its data would be refused as others
    assert run.summary["resume"] == "exact"


def test_generators_that_data_hold_are_seeded(made: Any) -> None:
    run = made("Held")
    assert execute(run) == 0
    assert run.summary["resume"] == "exact", run.summary["inexact_because"]


def test_data_with_uncontrolled_randomness_are_marked_inexact(made: Any) -> None:
    run = made("Unrepeatable")
    assert execute(run) == 0
    assert run.summary["resume"] == "inexact"
    assert (
        "batches of Unseeded differ when they are read twice" in run.summary["inexact_because"][0]
    )


def test_inexact_runs_are_marked_and_warn(made: Any) -> None:
    run = made("Fed")
    assert execute(run) == 0
    assert run.summary["resume"] == "inexact"
    assert "ByLoss" in run.summary["inexact_because"][0]
    said = run.log_file.read_text()
    assert said.count("warning: This run cannot be resumed exactly. train/0: ByLoss") == 1


class Lazy(Dataset[int]):
    """Remembers what was asked for."""

    def __init__(self, root: str) -> None:
        self.samples = [(f"{root}/{i}.png", i % 3) for i in range(1000)]
        self.cache: list[int | None] = [None] * 1000
        self.asked = 0

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, i: int) -> int:
        raise AssertionError("nothing is read")


class Endless(IterableDataset[int]):
    def __iter__(self) -> Any:
        raise AssertionError("nothing is read")


def test_a_fingerprint_follows_from_the_data_alone() -> None:
    x = torch.arange(5000.0).reshape(1000, 5)
    before = torch.get_rng_state()
    one = identity(TensorDataset(x, x[:, 0]))
    assert one == identity(TensorDataset(x.clone(), x[:, 0].clone()))
    assert one.size == 1000
    assert torch.equal(before, torch.get_rng_state())
    assert identity(TensorDataset(x + 1, x[:, 0])) != one
    assert identity(Subset(TensorDataset(x), range(9))) != identity(
        Subset(TensorDataset(x), [1] * 9)
    )
    both = ConcatDataset([TensorDataset(x), TensorDataset(x + 1)])
    assert identity(both) != identity(ConcatDataset([TensorDataset(x), TensorDataset(x)]))
    lazy = Lazy("/here")
    found = identity(lazy)
    lazy.cache[3], lazy.asked = 1, 7
    assert identity(lazy) == found == identity(Lazy("/elsewhere"))  # a folder may be moved
    lazy.samples[-1] = ("other.png", 0)
    assert identity(lazy) != found
    assert identity(Endless()) == (None, "")
    assert identity(TensorDataset(x.bfloat16(), x > 2)).fingerprint
