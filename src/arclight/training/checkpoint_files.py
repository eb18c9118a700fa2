"""Checkpoint files of a run: their names, and how they are read."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import lightning as L
import torch

from arclight.errors import UserError
from arclight.files import TEMPORARY
from arclight.models.sharded import is_shard
from arclight.training.finite import require_finite

MOST_VALUES = 10**8  # of a checkpoint; a handful of lists can stand for more
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
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise UnreadableCheckpointError(f"{path} is compressed, as no checkpoint is")
            damaged = archive.testzip()  # torch itself does not verify the checksums it writes
        if damaged:
            raise UnreadableCheckpointError(f"{path} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if _count(content, {}) > MOST_VALUES:
            raise UnreadableCheckpointError(f"{path} holds more values than any of a run")
    except UnreadableCheckpointError:
        raise
    except Exception as error:
        raise UnreadableCheckpointError(f"{path} cannot be read as a checkpoint") from error
    if not isinstance(content, dict) or not {"state_dict", "global_step", "run_id"} <= set(content):
        raise UnreadableCheckpointError(f"{path} is not a checkpoint of a run")
    if "shards" in content:
        from arclight.training.shards import assembled, damaged_shards  # a second to import

        if "shard_metadata" not in content or Path(content["shards"]).name != content["shards"]:
            raise UnreadableCheckpointError(f"{path} does not say what its shards hold")
        folder = path.parent / content["shards"]
        for file in damaged_shards(folder, content["checksums"]):
            raise UnreadableCheckpointError(f"{file}, of {path.name}, is missing or damaged")
        if shards:
            try:
                content |= assembled(folder, content["shard_metadata"])
            except Exception as error:  # of as many kinds as there are ways to be wrong
                raise UnreadableCheckpointError(f"{folder} is damaged") from error
    return content


def _count(value: Any, known: dict[int, int]) -> int:
    """How many values there are in containers; one that is in several counts in each.

    Args:
        known: the counts of those that have been looked at, by their ids.
    """
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) not in known:
        known[id(value)] = MOST_VALUES + 1  # where it holds itself
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(one, known) for one in inner)
    return known[id(value)]


def step_of(content: dict[str, Any]) -> int:
    """The step that a checkpoint was saved at."""
    return int(content.get("steps", content["global_step"]))


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


def load_weights(
    task: L.LightningModule, path: Path, run_id: str | None = None
) -> tuple[int, dict[str, float]]:
    """Loads a checkpoint's weights into the task.

    Args:
        run_id: of the run that the file is to be of; None: of any.

    Returns:
        The step they were saved at, and what the last validation until then measured.

    Raises:
        UserError: the file cannot be read, is of another run, or holds the weights of another model
            or some that are not finite.
    """
    try:
        content = read(path)
        if run_id is not None and content["run_id"] != run_id:
            raise UserError(
                f"{path} is of another run: put back its own, or type checkpoint={path} to use it "
                "all the same."
            )
        _load(task, content["state_dict"])
    except UnreadableCheckpointError as error:
        raise UserError(f"{error}; name another with checkpoint=FILE.") from error
    except RuntimeError as error:
        raise UserError(
            f"{path} holds the weights of another model: {str(error).splitlines()[-1].strip()}"
        ) from error
    require_finite(task, path)
    return step_of(content), content.get("validated", {})


def _load(task: L.LightningModule, state: dict[str, Any]) -> None:
    if not any(is_shard(p) for p in task.parameters()):
        task.load_state_dict(state)
        return
    from arclight.training.shards import load_into_shards

    load_into_shards(task, state)


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
