"""Writing checkpoints: a file under its final name is always complete."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from lightning.fabric.plugins.io import CheckpointIO
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from arclight.errors import UserError
from arclight.files import write_whole
from arclight.training.checkpoint_files import read
from arclight.training.plain import drop_hyperparameters, require_plain

Commit = Callable[[Callable[[], None]], None]


class WholeCheckpointIO(CheckpointIO):
    """Checkpoint I/O for Lightning: files are written atomically; reading runs no pickled code.

    Args:
        asynchronous: training continues as soon as the state is copied, and a thread writes the
            copy. The write is still atomic; the next save, and the end of the run, wait for it.
    """

    def __init__(self, asynchronous: bool = False) -> None:
        self.asynchronous = asynchronous
        self._writer: Thread | None = None
        self._error: BaseException | None = None

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Commit | None = None,
    ) -> None:
        """Writes the checkpoint.

        Args:
            storage_options: a function that is called with the write operation, so that it can act
                before and after it.

        Raises:
            UserError: this write, or an earlier asynchronous one, failed; older files are intact.
        """
        self.wait()
        drop_hyperparameters(checkpoint)
        require_plain(checkpoint)
        commit = storage_options or (lambda write: write())
        if not self.asynchronous:
            commit(lambda: _write(checkpoint, Path(path)))
            return
        copy = apply_to_collection(checkpoint, Tensor, lambda t: t.detach().to("cpu", copy=True))

        def work() -> None:
            try:
                commit(lambda: _write(copy, Path(path)))
            except BaseException as error:
                self._error = error

        self._writer = Thread(target=work, name="checkpoint")
        self._writer.start()

    def wait(self) -> None:
        """Waits until nothing is being written; raises the error of the thread, if any."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def teardown(self) -> None:
        self.wait()

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        return read(Path(path))

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        Path(path).unlink(missing_ok=True)


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # as Lightning does
        write_whole(path, lambda file: torch.save(checkpoint, file))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The checkpoint {path} cannot be written: {_reason(error)}; the older checkpoints "
            "are intact. Free some space and start the run again."
        ) from error


def _reason(error: BaseException) -> str:
    """The operating system's message. On a full disk torch raises a misleading error instead."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    full = "unexpected pos" in str(error) or "PytorchStreamWriter failed" in str(error)
    return os.strerror(errno.ENOSPC) if full else str(error).splitlines()[0]
