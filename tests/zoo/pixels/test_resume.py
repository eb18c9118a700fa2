"""A run resumed from any of Lightning's checkpoints gets the batches of an unbroken run."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from arclight_zoo.pixels.augment import Augment
from arclight_zoo.pixels.image_data import ImageData

# Lightning 2.6.6 uses an interface that torch 2.15 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")
MAX_EPOCHS = 2


class Witness(LightningModule):
    """Records its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)
        self.seen: list[tuple[int, int, torch.Tensor, torch.Tensor]] = []
        self.evaluated = 0

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        x, y = batch
        self.seen.append((self.current_epoch, index, x.clone(), y.clone()))
        return torch.nn.functional.cross_entropy(self.layer(x.flatten(1)), y)

    def validation_step(self, batch: Any, index: int) -> None:
        self.evaluated += len(batch[1])

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveEverywhere(Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, trainer: Trainer, name: str) -> None:
        given = trainer.fit_loop.epoch_loop.batch_progress.total.processed
        trainer.save_checkpoint(self.folder / f"{name}-{given}.ckpt", weights_only=False)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step and not (
            trainer.fit_loop.epoch_loop.batch_progress.total.processed
            % trainer.accumulate_grad_batches
        ):
            self.save(trainer, "step")

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        self.save(trainer, "epoch")

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.save(trainer, "validated")


def fit(checkpoint: Path | None = None, **given: Any) -> Witness:
    accumulate, save = given.pop("accumulate", 1), given.pop("save", None)
    augment = Augment(crop=1, erase=0.3)
    data = ImageData("sklearn:digits", batch_size=400, augment=augment, **given)
    model = Witness()
    torch.nn.init.zeros_(model.layer.weight)
    torch.nn.init.zeros_(model.layer.bias)
    trainer = Trainer(
        max_epochs=MAX_EPOCHS,
        accelerator="cpu",
        accumulate_grad_batches=accumulate,
        callbacks=[SaveEverywhere(save)] if save else [],
        **dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
        ),
    )
    trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    if save:
        trainer.test(model, data, verbose=False)
    return model


def test_fit_and_resume_at_every_checkpoint(tmp_path: Path) -> None:
    whole = fit(save=tmp_path, accumulate=2)
    batches = len(whole.seen) // MAX_EPOCHS
    assert batches == 6
    for file in sorted(tmp_path.iterdir()):
        given = int(file.stem.rpartition("-")[2])
        resumed = fit(file, accumulate=2)
        for ours, theirs in zip(resumed.seen, whole.seen[given:], strict=True):
            assert ours[:2] == theirs[:2], file.name  # epoch and index
            assert torch.equal(ours[2], theirs[2]), file.name
            assert torch.equal(ours[3], theirs[3]), file.name
        assert torch.equal(resumed.layer.weight, whole.layer.weight), file.name


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_with_workers(tmp_path: Path, workers: int) -> None:
    expected = fit()
    given = {"loader": "workers", "num_workers": workers, "cache": str(tmp_path / "cache")}
    (tmp_path / "saved").mkdir()
    whole = fit(save=tmp_path / "saved", **given)
    resumed = fit(tmp_path / "saved" / "step-4.ckpt", **given)
    for ours, theirs in zip(whole.seen, expected.seen, strict=True):
        assert torch.equal(ours[2], theirs[2])
    for ours, theirs in zip(resumed.seen, expected.seen[4:], strict=True):
        assert torch.equal(ours[2], theirs[2])


def test_lightning_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*", FutureWarning)
        assert fit(num_workers=0, loader="workers").evaluated > 0
