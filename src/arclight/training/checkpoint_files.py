"""Checkpoint files of a run: their names, and reading them."""

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
from arclight.reading import require_regular
from arclight.training.finite import require_finite

MAX_VALUES = 10**8  # in a checkpoint; a few lists that contain each other can expand to more
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class UnreadableCheckpointError(Exception):
    """The file is not a complete checkpoint of a run."""


def read(path: Path, shards: bool = True) -> dict[str, Any]:
    """A checkpoint as plain containers and tensors on the CPU.

    Args:
        shards: also read and assemble the shards of a sharded checkpoint. They are verified in any
            case.

    Raises:
        UnreadableCheckpointError: the file is truncated, damaged, or not a checkpoint of a run.
    """
    try:
        require_regular(path)
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise UnreadableCheckpointError(f"{path} is compressed; checkpoints never are")
            damaged = archive.testzip()  # torch itself does not verify the checksums it writes
        if damaged:
            raise UnreadableCheckpointError(f"{path} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if _count(content, {}) > MAX_VALUES:
            raise UnreadableCheckpointError(f"{path} has more values than a checkpoint can have")
    except UnreadableCheckpointError:
        raise
    except Exception as error:
        raise UnreadableCheckpointError(f"{path} cannot be read as a checkpoint") from error
    if not isinstance(content, dict) or not {"state_dict", "global_step", "run_id"} <= set(content):
        raise UnreadableCheckpointError(f"{path} is not a checkpoint of a run")
    if "shards" in content:
        from arclight.training.shards import assemble, damaged_shards  # importing it takes a second

        if "shard_metadata" not in content or Path(content["shards"]).name != content["shards"]:
            raise UnreadableCheckpointError(f"{path} does not describe its shards")
        folder = path.parent / content["shards"]
        for file in damaged_shards(folder, content["checksums"]):
            raise UnreadableCheckpointError(f"{file}, a part of {path.name}, is missing or damaged")
        if shards:
            try:
                content |= assemble(folder, content["shard_metadata"])
            except Exception as error:  # damaged files raise many error types
                raise UnreadableCheckpointError(f"{folder} is damaged") from error
    return content


def _count(value: Any, known: dict[int, int]) -> int:
    """The number of values in nested containers; a shared container counts each time it appears.

    Args:
        known: the counts of the containers visited so far, by their ids.
    """
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_VALUES + 1  # in case it contains itself
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(one, known) for one in inner)
    return known[id(value)]


def step_of(content: dict[str, Any]) -> int:
    """The step at which a checkpoint was saved."""
    return int(content.get("steps", content["global_step"]))


def newest_readable(folder: Path, run_id: str) -> tuple[Path | None, list[str]]:
    """The newest usable checkpoint, and a sentence for each newer one that cannot be used.

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
        run_id: the run that the checkpoint must belong to; None: any run.

    Returns:
        The step at which they were saved, and the metrics of the last validation before that step.

    Raises:
        UserError: the file cannot be read, belongs to another run, or has the weights of another
            model or weights that are not finite.
    """
    try:
        content = read(path)
        if run_id is not None and content["run_id"] != run_id:
            raise UserError(
                f"{path} belongs to another run: put back this run's own checkpoint, or type "
                f"checkpoint={path} to use it anyway."
            )
        _load(task, content["state_dict"])
    except UnreadableCheckpointError as error:
        raise UserError(f"{error}; choose another with checkpoint=FILE.") from error
    except RuntimeError as error:
        raise UserError(
            f"{path} has the weights of another model: {str(error).splitlines()[-1].strip()}"
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
    """Atomically replaces `target` by a hard link to `source`; copies if links do not work."""
    part = target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY}")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
        part.replace(target)
    finally:  # needed on success too: renaming between two links of one file does nothing
        part.unlink(missing_ok=True)
