"""SIGKILL at random times: for whole runs, and while a large file is saved."""

import multiprocessing
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import torch

from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import UnreadableCheckpointError, newest_readable, read
from arclight.training.checkpoint_io import WholeCheckpointIO
from arclight.training.checkpoints import Checkpoints
from tests.fault.harness import (
    SMALL,
    TWO_PROCESSES,
    Command,
    Part,
    Reference,
    finished,
    first_differences,
    incomplete_files,
    train,
    undisturbed,
    wait_for,
)

Say = Callable[[str], None]
KILLS_OF_A_RUN = 7
LOST = 60.0  # seconds in which all processes must end after one was killed
GONE = 10.0  # the same after the launcher was killed
OFTEN = (
    *SMALL,
    "trainer.max_epochs=30",
    "trainer.log_every_n_steps=3",
    "callbacks.checkpoints.every_n_steps=2",
)
EVERYTHING = (
    "callbacks.checkpoints.asynchronous=true",
    "callbacks.checkpoints.keep_best=2",
    "data.augment.mixup=0.2",
    "trainer.accumulate_grad_batches=2",
    "trainer.val_check_interval=0.5",
)
WAYS = {1: (OFTEN, (*OFTEN, *EVERYTHING)), 2: ((*OFTEN, *TWO_PROCESSES),)}


def sigkill(folder: Path, kills: int, processes: int, rng: Random, say: Say) -> Part:
    """Kills runs repeatedly, continues them with the same command, and compares the results.

    With two processes, sometimes only one of them or only the launcher is killed. Then the others
    must end by themselves.
    """
    part = Part(f"SIGKILL at random times, {processes} process(es)", "bitwise equal")
    references: dict[int, Reference] = {}
    hit: Counter[str] = Counter()
    for number in range(kills):  # at most: each run takes several
        if part.done >= kills:
            break
        way = number % len(WAYS[processes])
        if way not in references:
            name = f"undisturbed-{processes}-{way}"
            references[way] = undisturbed(RunDirectory(folder / name), *WAYS[processes][way])
        run = RunDirectory(folder / f"killed-{processes}-{number}")
        most = min(KILLS_OF_A_RUN, kills - part.done)
        done, faults = killed(run, references[way], most, processes, rng, hit)
        part.add(f"run {number}, {done} kills", faults, count=done)
        say(f"{part.name}: {part.verdict}")
        shutil.rmtree(run.path)
    part.notes = [f"{n} {what}" for what, n in sorted(hit.items())]
    return part


def killed(
    run: RunDirectory, like: Reference, kills: int, processes: int, rng: Random, hit: Counter[str]
) -> tuple[int, list[str]]:
    """Kills one run up to `kills` times; returns the number of kills, and the faults."""
    faults: list[str] = []
    done = 0
    while done < kills:
        start = done > 0 and rng.random() < 0.2  # never before the first checkpoint
        last = 0 < done == kills - 1 and not start
        with train(run, *like.overrides, project=like.project) as command:
            doing = wait_for(
                "start" if start else "end" if last else "training", command, run, like, rng
            )
            if doing == "over":
                break
            whom = rng.choice(["all", "one rank", "the launcher"]) if processes > 1 else "all"
            faults += _kill(command, run, whom, rng)
        hit[doing if whom == "all" else f"{doing} ({whom})"] += 1
        done += 1
    faults += finished(run, *like.overrides, project=like.project) or first_differences(run, like)
    faults += [f"{name} left over" for name in incomplete_files(run.path.parent)]
    return done, faults


def _kill(command: Command, run: RunDirectory, whom: str, rng: Random) -> list[str]:
    """Kills, and waits until all processes have ended; returns the faults."""
    ranks = command.ranks()
    if whom == "all" or (whom == "one rank" and not ranks):
        command.kill()
        return []
    limit = LOST if whom == "one rank" else GONE
    command.kill([rng.choice(ranks)] if whom == "one rank" else [command.process.pid])
    if command.gone_within(limit) is None:
        left = len(command.pids())
        return [f"{whom} killed: {left} processes still there after {limit:.0f} s"]
    # The process that writes the status may have finished without the killed one.
    honest = (("failed", 1), ("finished", 0))
    if whom == "one rank" and (run.status, command.code) not in honest:
        return [f"one rank killed: status {run.status}, exit code {command.code}"]
    return []


NUMBERS = 27_000_000  # 4 bytes each: a file of 108 MB


def savekill(folder: Path, kills: int, rng: Random, say: Say, numbers: int = NUMBERS) -> Part:
    """A process saves one large checkpoint after another and is killed within a save.

    After each kill the directory is opened like at the next start. The newest checkpoint must be
    complete and not older than the last one saved, and no incomplete files may be left.
    """
    elsewhere = Path("/dev/shm")
    part = Part(
        f"SIGKILL in a save of {numbers * 4 / 1e6:.0f} MB", "complete, and nothing left over"
    )
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == folder.stat().st_dev:
        part.notes.append("$TMPDIR on the same file system, as there is no other")
        elsewhere = folder
    temporary = elsewhere / f"arclight-faults-{os.getpid()}"
    temporary.mkdir()
    run = create(folder / "saves", folder, "saves", {}, [], {})
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    leftovers = step = 0
    try:
        while part.done < kills:
            asynchronous = part.done % 2 == 1
            ours, theirs = context.Pipe()
            arguments = (theirs, run, step, numbers, asynchronous, str(temporary))
            child = context.Process(target=keep_saving, args=arguments, daemon=True)
            child.start()
            theirs.close()
            saved, within = _kill_within_a_save(child, ours, rng)
            left = incomplete_files(run.path)
            leftovers += len(left)
            faults = _after_a_kill(run, saved, temporary)
            step = read(run.checkpoints / "last.ckpt")["global_step"] if not faults else saved + 1
            if faults or within:  # otherwise, it was killed between two saves
                part.add(f"kill {part.done}", faults)
                if part.done % 10 == 0:
                    say(f"{part.name}: {part.verdict}")
    finally:
        shutil.rmtree(temporary)
        shutil.rmtree(run.path)
    part.notes.append(f"{leftovers} incomplete files were removed by the next start")
    return part


def keep_saving(
    said: Connection, run: RunDirectory, step: int, numbers: int, asynchronous: bool, tmpdir: str
) -> None:
    """Saves a checkpoint after each step, like training, and sends a message before and after
    it."""
    os.environ["TMPDIR"] = tmpdir
    torch.set_num_threads(1)
    checkpoints = Checkpoints(run.checkpoints, run.manifest["run_id"], keep_best=2)
    checkpoint_io = WholeCheckpointIO(asynchronous)
    weights = torch.empty(numbers)
    while True:
        step += 1
        weights.fill_(step)
        content = {"state_dict": {"w": weights}, "global_step": step, "run_id": checkpoints.run_id}
        trainer: Any = SimpleNamespace(
            global_step=step,
            callbacks=[],
            lightning_module=torch.nn.Linear(1, 1),
            save_checkpoint=lambda path, weights_only, storage_options, content=content: (
                checkpoint_io.save_checkpoint(content, path, storage_options)
            ),
        )
        if step % 3 == 0:
            checkpoints.best = [(step, 1 / step), *checkpoints.best][:2]
        said.send("saving")
        checkpoints.save(trainer)
        checkpoint_io.wait()
        said.send(step)


def _kill_within_a_save(child: BaseProcess, said: Connection, rng: Random) -> tuple[int, bool]:
    """Measures the time of a save, and kills during one of the next two saves.

    Returns the last saved step, and whether a save was in progress.
    """
    try:
        for _ in range(rng.choice([1, 2])):
            assert said.recv() == "saving"
            began = time.monotonic()
            saved = int(said.recv())
            took = time.monotonic() - began
        assert said.recv() == "saving"
        time.sleep(rng.uniform(0, took))
    finally:
        child.kill()
        child.join()
    within = True
    try:
        while True:
            word = said.recv()
            within = word == "saving"
            saved = saved if word == "saving" else int(word)
    except EOFError:
        return saved, within


def _after_a_kill(run: RunDirectory, saved: int, temporary: Path) -> list[str]:
    """The faults that the next start finds."""
    faults = []
    with run.held():
        faults += [f"{name} left over" for name in incomplete_files(run.path)]
        faults += [f"{f.name} left over in $TMPDIR" for f in temporary.iterdir()]
        for file in run.checkpoints.iterdir():
            try:
                content = read(file)
            except UnreadableCheckpointError as error:
                faults.append(str(error))
                continue
            if not (content["state_dict"]["w"] == content["global_step"]).all():
                faults.append(f"{file.name} is a mixture")
        path, complaints = newest_readable(run.checkpoints, run.manifest["run_id"])
    if path is None or path.name != "last.ckpt" or complaints:
        return [*faults, f"last.ckpt is unreadable: {complaints}"]
    step = read(path)["global_step"]
    return faults if step >= saved else [*faults, f"step {step}, but {saved} had been saved"]
