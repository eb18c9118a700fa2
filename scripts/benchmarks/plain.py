"""A plain LightningModule in a run, and with Lightning alone, alternately."""

import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from benchmarks.options import PROJECT, Options
from benchmarks.samples import Row, one_thread, terminal

if TYPE_CHECKING:
    from torch import Tensor


def plain(options: Options) -> list[Row]:
    """One `self.log` per step; the run has bar, csv and checkpoints, Lightning has a CSVLogger.

    Both iterate over a list of ready batches, so the time is that of the loop. Epochs of the run
    and of Lightning alternate; Lightning runs in its own thread.
    """
    import lightning as L
    from hydra import compose, initialize_config_dir
    from lightning.pytorch.loggers import CSVLogger

    from arclight.config.freeze import freeze
    from arclight.run.assembly import Parts
    from arclight.run.trainer import assemble
    from arclight.run_directory import create
    from arclight.training.loggers import MetricsFile

    steps = options.steps or 1000
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        words = ["name=plain", "trainer.gradient_clip_val=null"]
        words += [f"trainer.max_epochs={options.runs + 1}"]
        config = freeze(compose("train", overrides=words))
    run = create(None, options.folder, "plain", config, [], {})
    task, data = made(steps)
    trainer = assemble(run, Parts(config, data, task), [MetricsFile(run.metrics_file)])
    turns = Turns()
    stock = L.Trainer(
        accelerator="cpu",
        max_epochs=options.runs + 1,
        logger=CSVLogger(options.folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[turns.theirs()],
    )
    trainer.callbacks.append(turns.ours())  # type: ignore[attr-defined]
    other = Thread(target=lambda: stock.fit(*made(steps)), daemon=True)
    with terminal(), one_thread():
        other.start()
        trainer.fit(task, datamodule=data)
        other.join()
    own, theirs = ([1000 * s / steps for s in side[1:]] for side in turns.seconds)
    return [Row("a step with one self.log / Lightning alone", "ms", own, theirs, "ratio", 1.0)]


class Turns:
    """Makes two fits alternate after each epoch.

    Attributes:
        seconds: of the epochs of both sides.
    """

    def __init__(self) -> None:
        self.seconds: tuple[list[float], list[float]] = ([], [])
        self._go = (Event(), Event())
        self._go[0].set()

    def ours(self) -> Any:
        return self._callback(0)

    def theirs(self) -> Any:
        return self._callback(1)

    def _callback(self, side: int) -> Any:
        from lightning.pytorch.callbacks import Callback

        mine, other, seconds = self._go[side], self._go[1 - side], self.seconds[side]

        class Turn(Callback):
            began: float | None = None

            def on_train_epoch_start(self, *_: Any) -> None:
                self.end()
                mine.wait()
                mine.clear()
                self.began = time.perf_counter()

            def on_train_end(self, *_: Any) -> None:
                self.end()

            def end(self) -> None:
                if self.began is not None:
                    seconds.append(time.perf_counter() - self.began)
                    other.set()

        return Turn()


def made(steps: int) -> Any:
    """A module as in Lightning's documentation, and data for `steps` steps per epoch."""
    import lightning as L
    import torch
    import torch.nn.functional as F
    from benchmarks.bare_loops import MLP

    class Lit(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = MLP()

        def training_step(self, batch: tuple["Tensor", "Tensor"], batch_idx: int) -> "Tensor":
            images, labels = batch
            loss = F.cross_entropy(self.net(images), labels)
            self.log("train/loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), fused=True)

    class Ready:
        """Ready batches; the position need not be saved."""

        batch = (torch.rand(32, 1, 8, 8), torch.randint(0, 10, (32,)))

        def __len__(self) -> int:
            return steps

        def __iter__(self) -> Iterator[Any]:
            return iter([self.batch] * steps)

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    class Data(L.LightningDataModule):
        def train_dataloader(self) -> Any:
            return Ready()

    torch.manual_seed(0)
    return Lit(), Data()
