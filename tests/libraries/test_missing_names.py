"""A missing name of a library raises an error; it does not silently disable a feature."""

import importlib
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch.utils.data import DataLoader

from arclight.data.loader_workers import OwnsWorkers
from arclight.libraries import huggingface, lightning, pytorch, wandb
from arclight.libraries.optuna import PlainCmaEsSampler
from arclight_zoo.reading import datasets_library

NUMBERS: Any = range(4)


class Loader(OwnsWorkers):
    def __init__(self) -> None:
        self.inner = DataLoader(NUMBERS, num_workers=1)

    def __iter__(self) -> Any:
        return self.begin()


def fails(library: str, name: str) -> Any:
    return pytest.raises(RuntimeError, match=rf"{library} \S+ has no \S*{name}\b")


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in lightning.METHODS.items() for name in names]
)
def test_lightning_without_a_method(kind: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    lightning.require_names(trainer)
    monkeypatch.delattr(kind, name)
    with fails("lightning", name):
        lightning.require_names(trainer)


@pytest.mark.parametrize("name", ["_signal_connector", "_logger_connector"])
def test_lightning_without_a_connector(name: str) -> None:
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    delattr(trainer, name)
    with fails("lightning", name):
        lightning.require_names(trainer)


def test_lightning_without_an_attribute() -> None:
    average = WeightAveraging()
    del average._average_model
    with fails("lightning", "_average_model"):
        lightning.set_average(average, torch.nn.Linear(1, 1))
    strategy: Any = SimpleNamespace(num_nodes=1, num_processes=1)
    with fails("lightning", "_data_parallel_size"):
        lightning.shard_over_all_processes(strategy)


def test_lightning_stops_the_workers_of_a_loader() -> None:
    loader = Loader()
    combined = CombinedLoader(loader)
    iter(combined)
    (worker,) = loader._iterator._workers
    assert worker.is_alive()
    combined.reset()
    assert not worker.is_alive()
    assert loader._iterator is None


def test_workers_stop_immediately() -> None:
    loader = DataLoader(NUMBERS, num_workers=2)
    batches, workers = pytorch.start_workers(loader)
    assert [worker.is_alive() for worker in workers] == [True, True]
    pytorch.end_workers(batches)
    assert [worker.is_alive() for worker in workers] == [False, False]


def test_torch_without_the_iterator_of_a_loader() -> None:
    loader = DataLoader(NUMBERS)
    del loader._iterator
    with fails("torch", "_iterator"):
        pytorch.start_workers(loader)


@pytest.mark.parametrize("name", ["_workers", "_shutdown_workers"])
def test_torch_without_the_workers_of_an_iterator(name: str) -> None:
    batches = SimpleNamespace(**{n: [] for n in {"_workers", "_shutdown_workers"} - {name}})

    class Renamed:
        _iterator = None
        num_workers = 1

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> None: ...

        def __getattr__(self, attribute: str) -> Any:
            return getattr(batches, attribute)

    loader: Any = Renamed()
    with fails("torch", name):
        pytorch.start_workers(loader)


def test_torch_without_an_operator() -> None:
    with fails("torch", "aten::_gone"):
        pytorch._operator("_gone")


@pytest.mark.filterwarnings("ignore")  # warnings of the compiler
def test_graphs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pytorch.graphs_so_far()
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))
    assert pytorch.graphs_so_far() == before + 1
    monkeypatch.delattr("torch._dynamo.utils.counters")
    with fails("torch", "counters"):
        pytorch.graphs_so_far()
    torch._dynamo.reset()


def test_tensors_without_values() -> None:
    assert pytorch.has_values(torch.ones(2))
    assert not pytorch.has_values(torch.ones(2, device="meta"))
    with pytorch.FakeTensorMode():
        assert not pytorch.has_values(torch.ones(2))


def test_wandb_without_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ConnectionError in wandb.service_gone()
    monkeypatch.delattr("wandb.sdk.mailbox.HandleAbandonedError")
    with fails("wandb", "HandleAbandonedError"):
        wandb.service_gone()


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "ENDPOINT"])
def test_huggingface_hub_without_a_constant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(f"huggingface_hub.constants.{name}")
    with fails("huggingface_hub", name), huggingface.offline(True):
        pass


def test_offline_restores_the_former_mode() -> None:
    for library in (huggingface, datasets_library):
        before = library.is_offline()
        with library.offline(not before):
            assert library.is_offline() is not before
        assert library.is_offline() is before


def test_hub_library_uses_the_offline_mode() -> None:
    hub = importlib.import_module("huggingface_hub")
    with huggingface.offline(True):
        assert hub.is_offline_mode()


def test_datasets_without_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with fails("datasets", "_fingerprint"):
        datasets_library.fingerprint(object())
    monkeypatch.delattr("datasets.config.HF_HUB_OFFLINE")
    with fails("datasets", "HF_HUB_OFFLINE"), datasets_library.offline(True):
        pass


def test_optuna_without_a_method_of_cma_es(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("optuna.samplers.CmaEsSampler._init_optimizer")
    with fails("optuna", "_init_optimizer"):
        PlainCmaEsSampler(seed=0)
