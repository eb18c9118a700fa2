"""`QuickHooks` is active during training only and changes nothing else."""

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from arclight.libraries.lightning import QuickHooks


class Module(L.LightningModule):
    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.net, self.fails = nn.Linear(2, 1), fails
        self.during: list[bool] = []

    def training_step(self, batch: Tensor) -> Tensor:
        self.during.append("__setattr__" in vars(type(self)))
        assert self._current_fx_name == "training_step"
        self.log("loss", 0.0)  # looks up the name of the hook
        self.extra = nn.Linear(1, 1)
        if self.fails:
            raise ValueError("a failure")
        loss: Tensor = self.net(batch).sum()
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters())


def trained(module: Module) -> None:
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[QuickHooks()],
    )
    trainer.fit(module, DataLoader(torch.randn(2, 2)))  # type: ignore[arg-type]


def test_active_during_training_only() -> None:
    module = Module()
    trained(module)
    assert module.during == [True, True]
    assert "extra" in dict(module.named_children())
    assert "__setattr__" not in vars(Module)


def test_failure_restores_setattr() -> None:
    with pytest.raises(ValueError, match="a failure"):
        trained(Module(fails=True))
    assert "__setattr__" not in vars(Module)


def test_class_keeps_its_own_setattr() -> None:
    class Own(Module):
        names: list[str] = []

        def __setattr__(self, name: str, value: Any) -> None:
            self.names.append(name)
            super().__setattr__(name, value)

    own = vars(Own)["__setattr__"]
    trained(Own())
    assert vars(Own)["__setattr__"] is own
    assert "_current_fx_name" in Own.names
