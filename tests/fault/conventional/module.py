"""A classifier with dropout, torchmetrics and a schedule that monitors a metric."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Accuracy, MaxMetric


class Classifier(L.LightningModule):
    """Predicts the sign of a sum, for a batch, or a dictionary or list of batches.

    Args:
        lr: the learning rate.
    """

    def __init__(self, lr: float = 0.05) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
        self.train_acc, self.val_acc = Accuracy(task="binary"), Accuracy(task="binary")
        self.best_acc = MaxMetric()

    def on_train_start(self) -> None:
        self.best_acc.reset()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        parts = batch.values() if isinstance(batch, dict) else batch
        if isinstance(batch, list | tuple) and isinstance(batch[0], Tensor):
            parts = [batch]
        losses = [self._loss(x, y, self.train_acc) for x, y in parts]
        loss = torch.stack(losses).mean()
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("train_acc", self.train_acc, on_step=False, on_epoch=True)
        return loss

    def _loss(self, x: Tensor, y: Tensor, accuracy: Accuracy) -> Tensor:
        logits = self.net(x)
        accuracy.update(logits.argmax(1), y)
        return F.cross_entropy(logits, y)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("val_loss", self._loss(*batch, self.val_acc))
        self.log("val_acc", self.val_acc)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("test_loss", self._loss(*batch, self.val_acc))

    def on_validation_epoch_end(self) -> None:
        self.best_acc.update(self.val_acc.compute())
        self.log("best_acc", self.best_acc.compute())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams["lr"], momentum=0.9)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"},
        }
