"""The base of data modules: it decides which process reads which samples, in which order."""

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
    """A dataset with its facts; its loaders resume exactly and split batches among processes.

    Without a trainer it loads all data in one process on the CPU. Subclasses set `facts` in
    `setup()` and implement `make_loader`.

    Attributes:
        holds: the kind of its batches, in words; a task is for one kind (`Task.learns_from`).
        facts_type: the class of its facts; `facts_type.assumed` needs the config alone.
        facts: the facts of the dataset, set in `setup()`.
        folder: the run's directory, for files that the data module must keep beside checkpoints.
        notes: sentences for the run to print when it starts.
        chosen: values that it chose for keys of the config that are `auto`, such as
            `trainer.max_epochs`; known after `setup()`.

    Args:
        path: the name of the data in error messages.
        batch_size: samples of one optimizer step, over all processes and accumulated batches.
        eval_batch_size: samples of one evaluation batch over all processes; None: `batch_size`
            divided by the number of accumulated batches.
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
        """Returns a loader for "train", "val" or "test", with batches on the device.

        A `RowLoader` may have its batches anywhere: they are copied to the device.
        """

    def follow_weights(self, weights: str, before: Mapping[str, Any] | None) -> None:
        """Adopts the preprocessing of `model.pretrained` for settings that the config leaves open.

        Called before `setup()`. By default it does nothing.

        Args:
            weights: `model.pretrained`.
            before: the facts in the run's manifest, if it is resumed.
        """

    def held_bytes(self) -> int:
        """Returns the bytes of the data that the loaders will hold on the device."""
        return 0

    def evaluated_at_once(self, accumulate: int) -> int:
        """Returns the samples of one evaluation batch.

        Args:
            accumulate: the number of accumulated batches of an optimizer step.
        """
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
                # Counted after the step, saved in every checkpoint, and never reset.
                position=lambda: progress.total.processed,  # type: ignore[attr-defined]
                taken=trainer.limit_train_batches,
                repeat=bool(trainer.overfit_batches),  # type: ignore[attr-defined]
            )
        return on_device(self.make_loader("train", batches, device), device)

    def val_dataloader(self) -> Any:
        """Returns no loader if there are no validation samples; validation is then skipped."""
        return self._evaluation("val") if self.facts.sizes["val"] else []

    def test_dataloader(self) -> Any:
        if not self.facts.sizes["test"]:
            raise UserError(
                f"{self.path} has no test samples: type data.test_fraction=0.1 to take some of "
                "the training samples, or data.test_split=NAME."
            )
        return self._evaluation("test")

    def examples(self, stage: str, places: Sequence[int]) -> Any:
        """Returns a batch of samples of "val" or "test", on the CPU, prepared as in evaluation.

        Args:
            stage: "val" or "test".
            places: the indices of the samples, as `id` in `predictions.parquet`; one or more.
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
    """Raises `UserError` if one of these keys of `data` is below 1."""
    for key, count in counts.items():
        if count is not None and count < 1:
            raise UserError(f"data.{key}={count} should be 1 or more.")


def require_fractions(**fractions: float) -> None:
    """Raises `UserError` if one of these keys of `data` is not at least 0 and below 1."""
    for key, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise UserError(f"data.{key}={fraction} should be from 0 to less than 1.")
