"""Files that fail: damaged checkpoints, full disks, read-only targets."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from arclight.errors import UserError
from arclight.run_directory import RunDirectory
from arclight.training.checkpoint_files import newest_readable, read
from tests.fault.harness import (
    PATIENCE,
    PROJECT,
    SMALL,
    Command,
    Part,
    first_differences,
    incomplete_files,
    last_line,
    saves,
    train,
    undisturbed,
)

Say = Callable[[str], None]
SIZE = 16  # size of the small disk in MB: enough for a whole run
SPARE = 600_000  # free bytes: not enough for a checkpoint
SHORT = (*SMALL, "trainer.max_epochs=8", "callbacks.checkpoints.every_n_steps=1")
LONG = (*SMALL, "trainer.max_epochs=30", "callbacks.checkpoints.every_n_steps=2")
DAMAGES = ("truncated", "empty", "bit-flipped", "foreign", "another run's", "not a checkpoint")


def damage(file: Path, how: str) -> None:
    """Replaces a checkpoint by one that must not be used; other links keep the good one."""
    data = bytearray(file.read_bytes())
    file.unlink()
    if how == "truncated":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    elif how == "bit-flipped":
        data[len(data) // 2] ^= 1  # within the data of a tensor, far from the headers
    elif how == "not a checkpoint":
        data = bytearray(b"\x89PNG")
    elif how == "foreign":
        return torch.save({"weights": torch.ones(3)}, file)
    elif how == "another run's":
        file.write_bytes(data)
        return torch.save({**read(file), "run_id": "another"}, file)
    file.write_bytes(data)
    return None


def damaged(folder: Path, kinds: Sequence[str] = DAMAGES) -> Part:
    """Damages the last checkpoint of an interrupted run in each way, then all its checkpoints."""
    part = Part("damaged last.ckpt", "resumed from the previous one, bad file reported")
    like = undisturbed(RunDirectory(folder / "undisturbed"), *SHORT)
    broken = RunDirectory(folder / "broken")
    with train(broken, *SHORT) as command:
        while command.running and not (broken.checkpoints / "previous.ckpt").exists():
            time.sleep(0.01)
        command.send(signal.SIGTERM)
        part.add("the interruption", [] if command.code == 143 else ["not in time"], count=0)
    for how in kinds:
        run = RunDirectory(
            shutil.copytree(broken.path, folder / how.replace(" ", "-").replace("'", ""))
        )
        last = run.checkpoints / "last.ckpt"
        damage(last, how)
        with train(run, *SHORT) as command:
            faults = [] if command.code == 0 else [f"exit code {command.code}"]
            if str(last) not in command.output:
                faults.append(f"the bad file is not reported: {last_line(command.output)}")
        part.add(how, faults or first_differences(run, like))
    run = RunDirectory(shutil.copytree(broken.path, folder / "none-left"))
    for file in run.checkpoints.iterdir():
        damage(file, "truncated")
    with train(run, *SHORT) as command:
        part.add("none left", _message_faults(command, "No checkpoint of this run can be used"))
    return part


@contextmanager
def mounted(folder: Path, *words: str) -> Iterator[Path]:
    """Mounts something on a folder, and unmounts it afterwards.

    Raises:
        PermissionError: mounting is not allowed here.
    """
    folder.mkdir(exist_ok=True)
    _mount(*words, str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PermissionError("there is no mount command") from error
    if done.returncode:
        raise PermissionError(f"mounting is not allowed: {last_line(done.stderr)}")


def small_disk(folder: Path) -> Any:
    return mounted(folder / "disk", "-t", "tmpfs", "-o", f"size={SIZE}m", "none")


def disk(folder: Path, say: Say, names: Sequence[str] = ()) -> Part:
    """Disks that cannot be written: no room for a checkpoint, no room at all, read-only.

    Args:
        names: some of `DISTURBANCES`; empty: all.
    """
    part = Part("full and read-only disks", "clear message, older files intact, then bitwise equal")
    try:
        with small_disk(folder):
            pass
    except PermissionError as error:
        part.skipped = str(error)
        return part
    like = undisturbed(RunDirectory(folder / "undisturbed"), *LONG)
    for what in names or DISTURBANCES:
        with small_disk(folder) as place:
            run = RunDirectory(place / "run")
            faults = DISTURBANCES[what](run, folder)
            faults += _older_files(run)
            with _command(run, folder) as command:
                if command.code:
                    faults.append(f"then exit code {command.code}: {last_line(command.output)}")
                else:
                    faults += first_differences(run, like)
        part.add(what, faults)
        say(f"{part.name}: {what}: {'; '.join(faults) or 'good'}")
    return part


def _command(run: RunDirectory, folder: Path) -> Command:
    """Runs `train.py` with its output on another disk than the run."""
    words = (str(PROJECT / "train.py"), f"run_dir={run.path}", *LONG)
    return Command(*words, folder=folder)


def _full(run: RunDirectory, folder: Path, spare: int) -> list[str]:
    """The disk fills up while the run trains."""
    ballast = run.path.parent / "ballast"
    with _command(run, folder) as command:
        wait_for_a_save(command, run)
        while command.running:
            fill(ballast, spare)
            time.sleep(0.01)
        faults = _message_faults(command, "No space left on device")
    if not spare:  # start on a full disk
        with _command(run, folder) as command:
            faults += [
                f"at the start: {f}" for f in _message_faults(command, "No space left on device")
            ]
    ballast.unlink()
    return faults


def _read_only_checkpoints(run: RunDirectory, folder: Path) -> list[str]:
    """The checkpoints' folder becomes read-only while the run trains."""
    place = run.checkpoints
    with _command(run, folder) as command:
        wait_for_a_save(command, run)
        with mounted(place, "--bind", str(place)):
            _mount("-o", "remount,bind,ro", str(place))
            return _message_faults(command, "Read-only file system")


def _read_only_start(run: RunDirectory, folder: Path) -> list[str]:
    """An interrupted run is continued on a read-only disk."""
    with _command(run, folder) as command:
        wait_for_a_save(command, run)
        command.send(signal.SIGTERM)  # after a kill, the next start might have to remove files
        command.gone_within(PATIENCE)
    _mount("-o", "remount,ro", str(run.path.parent))
    with _command(run, folder) as command:
        faults = _message_faults(command, "Read-only file system")
    _mount("-o", "remount,rw", str(run.path.parent))
    return faults


Disturbance = Callable[[RunDirectory, Path], list[str]]
DISTURBANCES: dict[str, Disturbance] = {
    "no room for a checkpoint": lambda run, folder: _full(run, folder, SPARE),
    "no room for anything": lambda run, folder: _full(run, folder, 0),
    "checkpoints become read-only": _read_only_checkpoints,
    "a start on a read-only disk": _read_only_start,
}


def fill(ballast: Path, spare: int) -> None:
    """Fills the disk except for `spare` bytes."""
    disk = os.statvfs(ballast.parent)
    size = disk.f_bavail * disk.f_frsize - spare
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        file.write(bytes(max(0, size)))


def wait_for_a_save(command: Command, run: RunDirectory) -> None:
    while command.running and saves(run) is None:
        time.sleep(0.01)


def _message_faults(command: Command, reason: str) -> list[str]:
    """Checks that the command failed with this reason and without a traceback; returns the
    faults."""
    faults = [f"exit code {command.code}"] if command.code in (0, *range(128, 192)) else []
    if reason not in command.output or "Traceback" in command.output:
        faults.append(f"no clear message: {last_line(command.output)}")
    return faults


def _older_files(run: RunDirectory) -> list[str]:
    faults = [f"{name} left over" for name in incomplete_files(run.path)]
    try:
        path, complaints = newest_readable(run.checkpoints, run.manifest["run_id"])
    except UserError as error:
        return [*faults, str(error)]
    return [*faults, *complaints, *([] if path else ["no checkpoint"])]
