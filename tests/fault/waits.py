"""Runs that would wait forever or lose their directory end with a correct message."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from arclight.run_directory import RunDirectory
from tests.fault.harness import PROJECT, Command, Part, environment, last_line, saves
from tests.fault.projects import made_project

Say = Callable[[str], None]
SOON = 30.0  # seconds after a second signal, on a busy machine
FOLDER = (
    *("data=image_folder", "data.loader=workers", "data.num_workers=1", "data.image_size=8"),
    *("data.mean=[0.5,0.5,0.5]", "data.std=[0.2,0.2,0.2]", "data.batch_size=32"),
    *("model.widths=[4,4]", "trainer.max_epochs=1", "preflight=false"),
)
LONG = ("trainer.max_epochs=500", "data.limit=96", "data.batch_size=16", "preflight=false")


def waits(folder: Path, say: Say) -> Part:
    """Runs each of these cases once."""
    part = Part(
        "waits, lost workers, moved directories", "ended soon, clear message, correct status"
    )
    for name, case in CASES.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        try:
            faults = case(place)
        except PermissionError as error:
            part.notes.append(f"{name} skipped: {error}")
            continue
        part.add(name, faults)
        say(f"{part.name}: {name}: {'; '.join(faults) or 'good'}")
    return part


def _train(run: RunDirectory, *words: str) -> Command:
    folder = run.path.parent
    return Command(str(PROJECT / "train.py"), f"run_dir={run.path}", *words, folder=folder)


def _images(folder: Path) -> Path:
    from PIL import Image

    for split, count in (("train", 200), ("val", 20), ("test", 20)):
        for name in "ab":
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), (number, 9, 9)).save(place / f"{number:03}.png")
    return folder


def _stalled(folder: Path) -> list[str]:
    """An image is replaced by a fifo, which blocks readers forever."""
    images = _images(folder / "images")
    stalled = images / "train" / "a" / "005.png"
    stalled.unlink()
    os.mkfifo(stalled)
    run = RunDirectory(folder / "run")
    with _train(run, *FOLDER, f"data.path={images}") as command:
        while command.running and not run.log_file.exists():
            time.sleep(0.1)
        time.sleep(5)  # until it blocks
        for _ in range(2):
            command.send(signal.SIGTERM)
            time.sleep(2)
        return [*_ended(command, 143), *_status(run, "interrupted")]


def _small_shared_memory(folder: Path) -> list[str]:
    """/dev/shm with 64 KB: worker processes cannot send their batches."""
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    inside = ("unshare", "-rm", "bash", "-c")
    done = subprocess.run([*inside, mount], capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(f"no user namespaces: {last_line(done.stderr)}")
    run = RunDirectory(folder / "run")
    with _with_workers(run, *inside, f'{mount} && exec "$@"', "-") as command:
        return [*_ended(command, 2, "/dev/shm is full"), *_status(run, "failed")]


def _killed_worker(folder: Path) -> list[str]:
    """One of two worker processes gets a SIGKILL, as if memory had run out."""
    run = RunDirectory(folder / "run")
    with _with_workers(run) as command:
        while command.running and saves(run) is None:
            time.sleep(0.01)
        while command.running:
            workers = [pid for pid in command.pids() if pid != command.process.pid]
            for pid in workers[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
        return [*_ended(command, 2, "A data worker"), *_status(run, "failed")]


def _with_workers(run: RunDirectory, *prefix: str) -> Command:
    """Starts a run with worker processes for its data."""
    project = made_project(run.path.parent)
    words = ("task=classifier", "data=Weighted", "data.num_workers=2", "trainer.max_epochs=300")
    start = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
    command = (*prefix, sys.executable, str(project / "train.py"), f"run_dir={run.path}", *words)
    more = ("preflight=false", "callbacks.checkpoints.every_n_steps=6")
    folder = run.path.parent
    return Command("-c", start, *command, *more, folder=folder, env=environment(project))


def _damaged(folder: Path) -> list[str]:
    """Damages each file of a finished run in each way, and runs each command on it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/safety/test_endings.py", "-q", "-m", ""],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    return [] if done.returncode == 0 else [last_line(done.stdout)]


def _leaves(folder: Path, moved: bool) -> list[str]:
    """Moves or deletes the directory during training."""
    run, elsewhere = RunDirectory(folder / "run"), RunDirectory(folder / "elsewhere")
    with _train(run, *LONG, "callbacks.checkpoints.every_n_steps=6") as command:
        while command.running and saves(run) is None:
            time.sleep(0.01)
        if moved:
            run.path.rename(elsewhere.path)
        else:
            shutil.rmtree(run.path, ignore_errors=True)
            shutil.rmtree(
                run.path, ignore_errors=True
            )  # files that were written during the first call
        faults = _ended(command, 2, "was moved to" if moved else "was deleted")
    if run.path.exists():
        faults.append(f"{run.path.name} was created again")
    return [*faults, *(_status(elsewhere, "failed") if moved else [])]


def _ended(command: Command, code: int, sentence: str = "") -> list[str]:
    end = time.time() + SOON
    while command.running and time.time() < end:
        time.sleep(0.1)
    if command.running:
        return ["it did not end"]
    faults = [] if command.code == code else [f"exit code {command.code}"]
    if sentence not in command.output or "Traceback" in command.output:
        faults.append(f"no clear message: {last_line(command.output)}")
    return faults


def _status(run: RunDirectory, wanted: str) -> list[str]:
    """The fault if the status is wrong; a run that ends before training leaves no directory."""
    if not run.path.exists() or run.status == wanted:
        return []
    return [f"status {run.status}"]


CASES: dict[str, Callable[[Path], list[str]]] = {
    "SIGTERM while waiting for data": _stalled,
    "a full dev shm": _small_shared_memory,
    "a killed worker": _killed_worker,
    "a moved directory": lambda folder: _leaves(folder, moved=True),
    "a deleted directory": lambda folder: _leaves(folder, moved=False),
    "damaged files": _damaged,
}
