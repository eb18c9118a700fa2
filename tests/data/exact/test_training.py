"""Training that is interrupted and resumed gives exactly the same weights."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from tests.data.exact.cases import (
    LOADERS,
    STREAMS,
    Data,
    Drawing,
    Net,
    Noisy,
    SaveAt,
    StatefulLines,
    fit,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*worker processes in total"),
    pytest.mark.filterwarnings("ignore:.*have no `configure_optimizers|.*was not set, defaulting"),
    pytest.mark.filterwarnings("ignore:The `srun` command"),
    pytest.mark.filterwarnings("ignore:Your `IterableDataset` has"),
]


def equal(one: Net, two: Net) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return all(torch.equal(value, second[name]) for name, value in first.items())


def loader(n: int = 22, workers: int = 0, **how: Any) -> "DataLoader[Any]":
    return DataLoader(Noisy(n), 4, shuffle=True, num_workers=workers, **how)


def two(mode: Any = None) -> Any:
    loaders = {"a": loader(), "b": loader(9)}
    return CombinedLoader(loaders, mode) if mode else loaders


class SizedLines(StatefulLines):
    """With a length, so that Lightning does not prefetch a batch."""

    def __len__(self) -> int:
        return self.n


class Unsized(Drawing):
    """A sampler without a length, so that Lightning prefetches one batch."""

    __len__ = None  # type: ignore[assignment]


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (loader, {}),
    "weighted": (lambda: LOADERS["weighted"](0), {}),
    "2 workers": (lambda: loader(workers=2), {}),
    "persistent": (lambda: loader(workers=2, persistent_workers=True), {}),
    "validation": (loader, {"validate": True}),
    "validation within the epoch": (loader, {"validate": True, "val_check_interval": 2}),
    "accumulation": (loader, {"accumulate_grad_batches": 2}),
    "limited": (loader, {"limit_train_batches": 4}),
    "limited, persistent": (
        lambda: loader(workers=2, persistent_workers=True),
        {"limit_train_batches": 4},
    ),
    "two loaders": (two, {}),
    "two loaders, shortest": (lambda: two("min_size"), {}),
    "steps": (loader, {"max_steps": 16, "max_epochs": -1, "validate": True}),
    "reloaded": (loader, {"reload_dataloaders_every_n_epochs": 1}),
    "planned": (loader, {"plans": True, "validate": True}),
    "no length": (lambda: DataLoader(Noisy(), 4, sampler=Unsized("numpy")), {}),
    "no length, reloaded": (
        lambda: DataLoader(Noisy(), 4, sampler=Unsized("numpy")),
        {"reload_dataloaders_every_n_epochs": 1},
    ),
}


for _name in ("plain", "stateful", "persistent"):
    for _workers in (0, 2):
        _make = partial(STREAMS[_name], _workers)
        CASES[f"stream, {_name}, {_workers} workers"] = _make, {}
CASES["two loaders, a short one"] = lambda: {"a": loader(), "b": loader(8)}, {}
CASES["stream beside, a short one"] = lambda: {"a": loader(), "b": DataLoader(SizedLines(8), 4)}, {}
CASES["stream beside"] = lambda: {"a": loader(), "b": STREAMS["stateful"](0)}, {}
CASES["stream, planned"] = partial(STREAMS["stateful"], 0), {"plans": True}
CASES["stream, limited"] = partial(STREAMS["stateful"], 0), {"limit_train_batches": 4}


def lengths(case: str) -> int:
    """Batches of an epoch."""
    return {
        "limited": 4,
        "limited, persistent": 4,
        "stream, limited": 4,
        "two loaders, shortest": 3,
    }.get(case, 6)


@pytest.mark.parametrize("case", CASES)
def test_resumed_training_equals_uninterrupted_training(case: str, tmp_path: Path) -> None:
    make, how = CASES[case]
    validate = how.get("validate", False)
    how = {key: value for key, value in how.items() if key != "validate"}
    if not validate:
        how["limit_val_batches"] = 0
    whole = fit(Data(make), **how)
    n = lengths(case)
    assert all(value.isfinite().all() for value in whole.state_dict().values())
    cuts = [("batch", n + 2), ("batch", n), ("epoch", n), ("batch", 1), ("epoch", 2 * n)]
    if validate:
        cuts.append(("validation", n))
    if "within" in case:
        cuts.append(("validation", n + 2))
    if how.get("accumulate_grad_batches"):
        cuts = [("batch", n + 2), ("epoch", n)]
    if "a short one" in case:  # the end of its second cycle
        cuts += [("batch", 4), ("batch", n + 4)]
    if "2 workers" in case or "persistent" in case:
        cuts = cuts[:2]
    for hook, step in cuts:
        file = tmp_path / f"{hook}{step}.ckpt"
        cut = fit(Data(make), SaveAt(file, step, hook), **how)
        assert cut.seen == whole.seen[:step]
        rest = fit(Data(make), resume=file, **how)
        assert [batch for _, batch in rest.seen] == [b for _, b in whole.seen[step:]], (hook, step)
        assert equal(rest, whole), (hook, step)
