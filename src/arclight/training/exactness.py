"""Reports whether a run can be resumed exactly: in its summary, and with a warning if it cannot."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from arclight.data.exact import ExactLoaders


class Exactness(Callback):
    """Collects the reasons why a resumed run would differ from an uninterrupted one.

    Attributes:
        loaders: the loaders of plain data modules; they detect randomness that no seed controls.

    Args:
        write: called with the entries of the summary.
        say: called with a warning.
        before: the reasons that an earlier execution of the run has found.
    """

    def __init__(
        self,
        write: Callable[..., None],
        say: Callable[[str], None],
        before: Sequence[str] = (),
    ) -> None:
        self.loaders: ExactLoaders | None = None
        self._write, self._say = write, say
        self._reasons = list(before)
        self._written: list[str] | None = None
        self._said: set[str] = set()

    def say(self, sentence: str) -> None:
        """Prints a sentence, once in a process."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)

    def add_reason(self, reason: str) -> None:
        """Adds a reason: one or more sentences."""
        if reason not in self._reasons:
            self._reasons.append(reason)

    def report(self) -> None:
        """Writes the reasons known so far, if there are new ones."""
        if self.loaders is not None and (found := self.loaders.inexact_because):
            self.add_reason(found)
        for reason in self._reasons:
            self.say(f"This run cannot be resumed exactly. {reason}")
        if self._reasons == self._written:
            return
        self._written = list(self._reasons)
        self._write(resume="inexact" if self._reasons else "exact", inexact_because=self._written)

    def close(self) -> None:
        """Stops all data workers."""
        if self.loaders is not None:
            self.loaders.close()

    def on_train_started(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.report()

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.report()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.report()
