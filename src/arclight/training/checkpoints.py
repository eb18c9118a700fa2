"""Checkpoint files: whole under their final name, and which of them are kept."""

import errno
import math
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from arclight.errors import UserError
from arclight.files import TEMPORARY, write_whole
from arclight.libraries.lightning import is_accumulating
from arclight.models.sharded import is_shard
from arclight.ranges import Count
from arclight.training.finite import require_finite_weights
from arclight.training.plain import drop_hyperparameters, require_plain
from arclight.training.steps import last_step, steps_done

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class UnreadableCheckpointError(Exception):
    """The file is not a whole checkpoint of this kind."""


def read(path: Path, shards: bool = True) -> dict[str, Any]:
    """A checkpoint as plain containers and tensors on the CPU.

    Args:
        shards: of a sharded one, read and assemble the shards too; they are verified in any case.

    Raises:
        UnreadableCheckpointError: cut short, damaged, or not a checkpoint of a run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself does not verify the checksums it writes
        if damaged:
            raise UnreadableCheckpointError(f"{path} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnreadableCheckpointError:
        raise
    except Exception as error:
        raise UnreadableCheckpointError(f"{path} cannot be read as a checkpoint") from error
    if not isinstance(content, dict) or not {"state_dict", "global_step", "run_id"} <= set(content):
        raise UnreadableCheckpointError(f"{path} is not a checkpoint of a run")
    if "shards" in content:
        from arclight.training.shards import assembled, damaged_shards  # a second to import

        folder = path.parent / content["shards"]
        for file in damaged_shards(folder, content["checksums"]):
            raise UnreadableCheckpointError(f"{file}, of {path.name}, is missing or damaged")
        if shards:
            content |= assembled(folder)
    return content


def step_of(content: dict[str, Any]) -> int:
    """The step that a checkpoint was saved at."""
    return int(content.get("steps", content["global_step"]))


def load_weights(task: L.LightningModule, path: Path) -> tuple[int, dict[str, float]]:
    """Loads a checkpoint's weights into the task.

    Returns:
        The step they were saved at, and what a validation at that step measured.

    Raises:
        UserError: the file cannot be read, or holds the weights of another model.
    """
    try:
        content = read(path)
        _load(task, content["state_dict"])
    except UnreadableCheckpointError as error:
        raise UserError(f"{error}; name another with checkpoint=FILE.") from error
    except RuntimeError as error:
        raise UserError(
            f"{path} holds the weights of another model: {str(error).splitlines()[-1].strip()}"
        ) from error
    return step_of(content), content.get("validated", {})


def _load(task: L.LightningModule, state: dict[str, Any]) -> None:
    if not any(is_shard(p) for p in task.parameters()):
        task.load_state_dict(state)
        return
    from arclight.training.shards import load_into_shards

    load_into_shards(task, state)


Commit = Callable[[Callable[[], None]], None]


class WholeCheckpointIO(CheckpointIO):
    """Lightning's door to the disk: files appear whole, and only plain containers are read.

    Args:
        asynchronous: training goes on as soon as the state is copied; a thread writes the copy.
            A file is whole or not there all the same; the next save, and the end, wait for it.
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
            storage_options: called with the writing itself, to do what belongs before and after it.

        Raises:
            UserError: this write, or an asynchronous one before it, failed; older files are whole.
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
        """Returns when nothing is being written; raises what went wrong in the thread."""
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
        path.parent.mkdir(parents=True, exist_ok=True)  # as Lightning's own does
        write_whole(path, lambda file: torch.save(checkpoint, file))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The checkpoint {path} cannot be written: {_reason(error)}; the older checkpoints "
            "are intact. Make room and execute the run again."
        ) from error


def _reason(error: BaseException) -> str:
    """What the disk said. On a full one torch's writer complains of its own confusion instead."""
    said: BaseException | None = error
    while said is not None:
        if isinstance(said, OSError) and said.strerror:
            return said.strerror
        said = said.__cause__ or said.__context__
    confused = "unexpected pos" in str(error) or "PytorchStreamWriter failed" in str(error)
    return os.strerror(errno.ENOSPC) if confused else str(error).splitlines()[0]


class Checkpoints(Checkpoint):
    """Keeps `last.ckpt`, the one before it, and the best by a validation figure.

    A save is one file; the others are names (hard links) of it, so keeping more costs no writing.
    Saves happen after validation, every so many steps between, and at the end of an epoch; always
    when all that belongs to the step is done, so that a resumed run neither misses nor repeats any.

    Args:
        folder: where the files are.
        run_id: marks the files, so that another run's are not mistaken for this one's.
        monitor: the metric that chooses the best, any that the task logs; None: none is chosen, and
            the last is tested.
        mode: whether more (`max`) or less (`min`) of it is better.
        keep_best: how many of the best are kept: `best.ckpt` and the runners-up `step=N.ckpt`.
        every_n_steps: also save every so many optimizer steps.
        asynchronous: write in a thread while training goes on.
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
                f"callbacks.checkpoints.monitor={self.monitor} is not measured; "
                + (f"choose from {known}." if known else "nothing is: log it in validation_step.")
            )
        better = -1.0 if self.mode == "max" else 1.0
        if math.isfinite(score):
            self.best.append((steps_done(trainer), float(score)))
            # of equals the later: it has seen more, at a lower learning rate
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
        """Saves unless the current step is saved already."""
        if steps_done(trainer) != self._saved:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Saves `last.ckpt` and settles the names of the others.

        Raises:
            NonFiniteError: a weight is not finite; nothing is written.
        """
        require_finite_weights(trainer)
        step, best = steps_done(trainer), list(self.best)
        self._saved, self._validated = step, False
        last = self.folder / LAST

        def commit(write: Callable[[], None]) -> None:
            if last.exists():
                link_over(last, self.folder / PREVIOUS)
            write()
            self.settle(step, best)

        trainer.save_checkpoint(last, weights_only=False, storage_options=commit)

    def settle(self, step: int, scores: list[tuple[int, float]]) -> None:
        """Makes the best files what the scores say, given that `last.ckpt` is of `step`.

        Repeating it changes nothing, so a resumed run calls it to finish what a kill cut short.
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
        self._take_up(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._saved < 0:  # there was nothing left to train
            self._take_up(trainer)

    def _take_up(self, trainer: L.Trainer) -> None:
        self._saved = steps_done(trainer)  # nothing is new before the first step
        if not (trainer.is_global_zero and trainer.ckpt_path):
            return
        if (used := self.folder / Path(trainer.ckpt_path).name) != self.folder / LAST:
            link_over(used, self.folder / LAST)  # which was not fit, and would be linked on
        self.settle(steps_done(trainer), self.best)


def link_over(source: Path, target: Path) -> None:
    """Gives `source` a second name, replacing the target at once; a copy where links cannot be."""
    part = target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY}")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
        part.replace(target)
    finally:  # also since renaming one name of a file to another of its names does nothing
        part.unlink(missing_ok=True)


def newest_readable(folder: Path, run_id: str) -> tuple[Path | None, list[str]]:
    """The newest checkpoint to resume from, and a sentence for each newer one that is unfit.

    Raises:
        UserError: there are checkpoints, but none can be used.
    """
    complaints: list[str] = []
    for name in (LAST, PREVIOUS, BEST):
        path = folder / name
        if not path.exists():
            continue
        try:
            if read(path, shards=False)["run_id"] != run_id:
                raise UnreadableCheckpointError(f"{path} belongs to another run")
            return path, complaints
        except UnreadableCheckpointError as error:
            complaints.append(str(error))
    if complaints:
        raise UserError(
            f"No checkpoint of this run can be used: {'; '.join(complaints)}. "
            "Put back a good one, or start a new run."
        )
    return None, []
