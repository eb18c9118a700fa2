"""When checkpoints are saved, and which ones are kept."""

import errno
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from arclight.errors import UserError
from arclight.libraries.lightning import is_accumulating
from arclight.ranges import Count
from arclight.signals import set_computing
from arclight.training.checkpoint_files import BEST, LAST, PREVIOUS, link_over
from arclight.training.finite import require_finite_weights
from arclight.training.steps import last_step, steps_done


class Checkpoints(Checkpoint):
    """Keeps `last.ckpt`, the checkpoint before it, and the best ones by a validation metric.

    Each save writes one file. The other names are hard links, so keeping more costs no writing.
    Checkpoints are saved after each validation, every `every_n_steps` steps and at the end of each
    epoch, always after all callbacks of the step: a resumed run neither skips nor repeats a step.

    Args:
        folder: the directory of the checkpoints.
        run_id: stored in each file, to recognise checkpoints of other runs.
        monitor: the metric that selects the best checkpoint, any that the task logs; None: no best
            checkpoint is selected, and the last one is tested.
        mode: whether a higher (`max`) or a lower (`min`) value is better.
        keep_best: number of best checkpoints to keep: `best.ckpt` and the runners-up `step=N.ckpt`.
        every_n_steps: also save every this many optimizer steps.
        asynchronous: write in a thread while training continues.
    """

    def __init__(
        self,
        folder: Path,
        run_id: str,
        monitor: str | None = None,
        mode: Literal["max", "min"] = "min",
        keep_best: Count = 1,
        every_n_steps: Count | None = None,
        asynchronous: bool = False,
    ) -> None:
        self.folder = folder
        self.run_id = run_id
        self.monitor = monitor
        self.mode = mode
        self.keep_best = keep_best
        self.every_n_steps = every_n_steps
        self.asynchronous = asynchronous
        self.best: list[tuple[int, float]] = []  # (step, score), best first
        self._saved = -1
        self._validated = False  # since the last save

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._validated = True
        if self.monitor is None:
            return
        score = trainer.callback_metrics.get(self.monitor)
        if score is None:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise UserError(
                f"callbacks.checkpoints.monitor={self.monitor} is not logged: "
                + (f"choose from {known}." if known else "log a metric in validation_step.")
            )
        better = -1.0 if self.mode == "max" else 1.0
        if math.isfinite(score):
            self.best.append((steps_done(trainer), float(score)))
            # On a tie prefer the later step: it has seen more data, at a lower learning rate.
            self.best.sort(key=lambda entry: (better * entry[1], -entry[0]))
            del self.best[self.keep_best :]

    def on_train_batch_settled(
        self, trainer: L.Trainer, pl_module: L.LightningModule, epoch_over: bool
    ) -> None:
        step = steps_done(trainer)
        due = epoch_over or step == last_step(trainer)
        due = due or (self.every_n_steps is not None and step % self.every_n_steps == 0)
        due = due and step != self._saved and (epoch_over or not is_accumulating(trainer))
        if due or self._validated:
            self.save(trainer)

    def save_if_new(self, trainer: L.Trainer) -> None:
        """Saves unless the current step has been saved already."""
        if steps_done(trainer) != self._saved:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Saves `last.ckpt` and updates the links of the other checkpoints.

        Raises:
            FileNotFoundError: the run directory has been removed.
            NonFiniteError: a weight is not finite; nothing is written.
        """
        require_finite_weights(trainer)
        if not self.folder.is_dir():  # someone removed it: do not create it again
            message = "the run directory has been removed"
            raise FileNotFoundError(errno.ENOENT, message, str(self.folder))
        step, best = steps_done(trainer), list(self.best)
        self._saved, self._validated = step, False
        last = self.folder / LAST

        def commit(write: Callable[[], None]) -> None:
            if last.exists():
                link_over(last, self.folder / PREVIOUS)
            write()
            self.link_best(step, best)

        set_computing(True)
        try:
            trainer.save_checkpoint(last, weights_only=False, storage_options=commit)
        finally:
            set_computing(False)

    def link_best(self, step: int, scores: list[tuple[int, float]]) -> None:
        """Links the best checkpoints according to the scores; `last.ckpt` must be of `step`.

        A second call changes nothing, so a resumed run calls it to finish an interrupted update.
        """
        best = self.folder / BEST
        if scores and scores[0][0] == step:
            if len(scores) > 1 and best.exists():
                runner_up = self._runner_up(scores[1][0])
                if not runner_up.exists():
                    best.replace(runner_up)
            link_over(self.folder / LAST, best)
        elif step in [s for s, _ in scores]:
            link_over(self.folder / LAST, self._runner_up(step))
        kept = {self._runner_up(s) for s, _ in scores[1:]}
        for file in self.folder.glob("step=*.ckpt"):
            if file not in kept:
                file.unlink()

    def _runner_up(self, step: int) -> Path:
        return self.folder / f"step={step}.ckpt"

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["run_id"] = self.run_id
        checkpoint["steps"] = steps_done(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = [(int(step), float(score)) for step, score in state_dict["best"]]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._saved < 0:  # there was nothing left to train
            self._start(trainer)

    def _start(self, trainer: L.Trainer) -> None:
        self._saved = steps_done(trainer)  # nothing to save before the first step
        if not (trainer.is_global_zero and trainer.ckpt_path):
            return
        if (used := self.folder / Path(trainer.ckpt_path).name) != self.folder / LAST:
            link_over(used, self.folder / LAST)  # replaces a last.ckpt that could not be used
        self.link_best(steps_done(trainer), self.best)
