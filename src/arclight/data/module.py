"""What every data module shares: who reads which samples, in which order."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule

from arclight.data.ahead import on_device
from arclight.data.facts import Facts
from arclight.data.order import ChosenBatch, EvalBatches, TrainBatches
from arclight.errors import UserError

__all__ = ["DataModule", "require_counts", "require_fractions"]


class DataModule(LightningDataModule, ABC):
    """A data set with its facts, served by the trainer's process, accumulation and position.

    Without a trainer attached it serves all of it to one process on the CPU. Subclasses set
    `facts` in `setup()`, after which it is known what a model must know, and make the loaders.
    What a run must keep of them beside its checkpoints lies in `folder`, the run's directory; what
    it should say of them when it opens is in `notes`, a sentence each.

    Attributes:
        holds: what its batches are, in words; a task is for one kind (`Task.learns_from`).
        facts_type: the class of its facts, which can be assumed from a config alone.
        chosen: what it chose by its data for keys of the config that are `auto`, such as
            `trainer.max_epochs`; known after `setup()`.

    Args:
        path: what errors call the data.
        batch_size: samples of one optimizer step, over all processes and accumulated batches.
        eval_batch_size: samples of one evaluation batch over all processes; None: as many as go
            through the model at once in training, `batch_size` over the accumulated batches.
        seed: the run's seed, for order and augmentation.
    """

    holds: str | None = None
    facts_type: type[Facts] = Facts
    facts: Facts
    folder: Path | None = None
    notes: Sequence[str] = ()
    chosen: Mapping[str, Any] = {}

    def __init__(self, path: str, batch_size: int, eval_batch_size: int | None, seed: int) -> None:
        super().__init__()
        require_counts(batch_size=batch_size, eval_batch_size=eval_batch_size)
        self.path, self.seed = path, seed
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size

    @abstractmethod
    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> Any:
        """Batches of "train", "val" or "test": on the device, or a `RowLoader` of any."""

    def follow_weights(self, weights: str, before: Mapping[str, Any] | None) -> None:
        """Prepares inputs as `model.pretrained` knows them, where the config leaves that open.

        Called before `setup()`. By default nothing is taken over.

        Args:
            weights: `model.pretrained`.
            before: the facts that the run has found before, if it is resumed.
        """

    def held_bytes(self) -> int:
        """Of the data that the loaders will hold on the device."""
        return 0

    def evaluated_at_once(self, accumulate: int) -> int:
        """Samples of one evaluation batch, of a run that accumulates gradients so many times."""
        return self.eval_batch_size or max(1, self.batch_size // accumulate)

    def train_dataloader(self) -> Any:
        rank, world, device = self._process()
        n, trainer = self.facts.sizes["train"], self.trainer
        if trainer is None:
            batches = TrainBatches(n, self.batch_size, self.seed)
        else:
            progress = trainer.fit_loop.epoch_loop.batch_progress
            batches = TrainBatches(
                n,
                self.batch_size,
                self.seed,
                rank,
                world,
                trainer.accumulate_grad_batches,
                # Counted up after the step, saved in every checkpoint, and never set back.
                position=lambda: progress.total.processed,  # type: ignore[attr-defined]
                taken=trainer.limit_train_batches,
                repeat=bool(trainer.overfit_batches),  # type: ignore[attr-defined]
            )
        return on_device(self.make_loader("train", batches, device), device)

    def val_dataloader(self) -> Any:
        """Without validation samples, no loader: the trainer then does not validate."""
        return self._evaluation("val") if self.facts.sizes["val"] else []

    def test_dataloader(self) -> Any:
        if not self.facts.sizes["test"]:
            raise UserError(
                f"{self.path} has no test samples: type data.test_fraction=0.1 to take some of "
                "the training samples, or data.test_split=NAME."
            )
        return self._evaluation("test")

    def examples(self, stage: str, places: Sequence[int]) -> Any:
        """A batch of samples of "val" or "test", on the CPU, as evaluation is given them.

        Args:
            places: of the samples in their set, as `id` in `predictions.parquet`; one or more.
        """
        return next(iter(self.make_loader(stage, ChosenBatch(places), torch.device("cpu"))))

    def _evaluation(self, stage: str) -> Any:
        rank, world, device = self._process()
        cut = self.trainer.accumulate_grad_batches if self.trainer else 1
        batches = EvalBatches(self.facts.sizes[stage], self.evaluated_at_once(cut), rank, world)
        return on_device(self.make_loader(stage, batches, device), device)

    def _process(self) -> tuple[int, int, torch.device]:
        if self.trainer is None:
            return 0, 1, torch.device("cpu")
        return self.trainer.global_rank, self.trainer.world_size, self.trainer.strategy.root_device


def require_counts(**counts: int | None) -> None:
    """Raises `UserError` where one of the keys of `data` is a number below 1."""
    for key, count in counts.items():
        if count is not None and count < 1:
            raise UserError(f"data.{key}={count} should be 1 or more.")


def require_fractions(**fractions: float) -> None:
    """Raises `UserError` where one of the keys of `data` is no share of a whole."""
    for key, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise UserError(f"data.{key}={fraction} should be from 0 to less than 1.")
