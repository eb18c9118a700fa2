"""SIGKILL at random times to runs of any experiment, started as by a user."""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import yaml

from arclight.run_directory import RunDirectory
from tests.conftest import options
from tests.fault.conventional import data
from tests.fault.conventional import tricky as tricky_data
from tests.fault.harness import PROJECT, Part, Reference, environment, undisturbed
from tests.fault.kills import Say, killed
from tests.zoo.gallery import miniature

OFTEN = (
    "callbacks.checkpoints.every_n_steps=1",
    "trainer.log_every_n_steps=3",
    "preflight=false",
)


class Case(NamedTuple):
    """An experiment, and how it is executed.

    Attributes:
        words: of `train.py`.
        processes: 1, or 2 on the CPU.
        workers: of the data loaders; None: as it is.
        project: the folder of `train.py`.
        parted: each worker reads a part of its own, so that their number decides what a batch is.
        inexact: it cannot be continued exactly, and must say so.
    """

    name: str
    words: tuple[str, ...]
    processes: int = 1
    workers: int | None = None
    project: Path = PROJECT
    parted: bool = False
    inexact: bool = False

    def __str__(self) -> str:
        workers = "" if self.workers is None else f", {self.workers} workers"
        return f"{self.name}, {self.processes} process(es){workers}"

    @property
    def undisturbed(self) -> "Case":
        """The one whose undisturbed run ends as this one should."""
        return self if self.parted or self.workers is None else self._replace(workers=0)

    @property
    def overrides(self) -> tuple[str, ...]:
        """All words; what `words` say counts."""
        two = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp")
        typed = {word.partition("=")[0] for word in self.words}
        more = (*OFTEN, *self._of_workers(), *(two if self.processes == 2 else ()))
        return (*self.words, *(word for word in more if word.partition("=")[0] not in typed))

    def _of_workers(self) -> tuple[str, ...]:
        if self.workers is None:
            return ()
        loader = ("data.loader=workers",) if "loader" in self.data and self.workers else ()
        return (*loader, f"data.num_workers={self.workers}")

    @property
    def data(self) -> dict[str, Any]:
        """The config of its data."""
        return composed(self.project, *self.words).get("data") or {}


@cache
def composed(project: Path, *words: str) -> dict[str, Any]:
    """The config, as `train.py --cfg job` prints it.

    Raises:
        RuntimeError: there is no such config.
    """
    command = [sys.executable, str(project / "train.py"), *words, "--cfg", "job"]
    env = {**os.environ, **environment(project)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=project, env=env)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    config: dict[str, Any] = yaml.safe_load(done.stdout)
    return config


def of_everything(
    name: str, words: tuple[str, ...], project: Path = PROJECT, parted: bool = False
) -> list[Case]:
    """An experiment in one process and in two, and with 0 and 2 workers if it has any."""
    has_workers = "num_workers" in Case(name, words, project=project).data
    workers = (0, 2) if has_workers else (None,)
    return [Case(name, words, n, w, project, parted) for n in (1, 2) for w in workers]


def resumed(
    folder: Path, cases: Sequence[Case], kills: int, rng: Random, say: Say, name: str
) -> Part:
    """Kills a run of each case so often, continues it by the same command, and compares.

    Weights, optimizers, and all of `metrics.csv` but times must equal those of a run that nobody
    disturbed and that has no workers: their number decides nothing, parted data aside.
    """
    part = Part(f"SIGKILL, {name}", "bitwise equal")
    hit: Counter[str] = Counter()
    known: dict[Case, Reference] = {}
    for number, case in enumerate(cases):
        began, cut = time.monotonic(), folder / f"killed-{number}"
        try:
            if case.undisturbed not in known:
                known[case.undisturbed] = _reference(folder / f"undisturbed-{number}", case)
            like = known[case.undisturbed]
            like = replace(like, overrides=case.overrides)
            run = RunDirectory(cut)
            done, faults = killed(run, like, kills, case.processes, rng, hit)
            faults = _held(run, case, faults)
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
            done, faults = 1, [str(error).strip().splitlines()[-1]]
        part.add(str(case), faults, count=max(1, done))
        note = f"FAILED {'; '.join(faults)}" if faults else "equal"
        say(f"{part.verdict}; {case}: {note}, {time.monotonic() - began:.0f} s")
        shutil.rmtree(cut, ignore_errors=True)
    part.notes = [f"{n} {what}" for what, n in sorted(hit.items())]
    return part


def _reference(path: Path, case: Case) -> Reference:
    """An undisturbed run, of which no more is kept than how it has ended."""
    like = undisturbed(RunDirectory(path), *case.undisturbed.overrides, project=case.project)
    shutil.rmtree(path)
    return like


def _held(run: RunDirectory, case: Case, faults: list[str]) -> list[str]:
    """What is wrong, once it is seen what the run says of itself."""
    said = run.summary.get("resume") == "inexact"
    if said and case.inexact and run.status == "finished":
        return []
    if said:
        return [*faults, f"inexact: {' '.join(run.summary['inexact_because'])}"]
    return [*faults, "it does not say that it is inexact"] if case.inexact else faults


def conventional(folder: Path) -> Iterator[Case]:
    """Ten plain data modules, in a separate project."""
    project = made_project(folder)
    for module in data.MODULES:
        yield from of_everything(
            module.__name__, _words_of(module), project=project, parted=module.parted
        )


def tricky(folder: Path, rng: Random) -> Iterator[Case]:
    """More of them, each in one way of all; the last ones cannot be exact."""
    project = made_project(folder)
    for module in (*tricky_data.EXACT, *tricky_data.INEXACT):
        case = rng.choice(
            of_everything(module.__name__, _words_of(module), project=project, parted=module.parted)
        )
        yield case._replace(inexact=module in tricky_data.INEXACT)


def _words_of(module: type[data.Plain]) -> tuple[str, ...]:
    epochs = "trainer.max_epochs=6"
    return ("task=classifier", f"data={module.__name__}", epochs, *module.words)


def models(rng: Random) -> Iterator[Case]:
    """Every model that trains without a download, each in one way of all."""
    for model in options("model"):
        if model == "auto":  # needs published weights
            continue
        words = (f"model={model}", *miniature.FEW)
        words += ("model.n_layers=1",) if model.startswith("vit_") else ()
        config = composed(PROJECT, words[0])
        known = tuple(word for word in words if _is_key(word, config))
        yield rng.choice(of_everything(model, known))


def gallery() -> Iterator[Case]:
    """Every experiment of the gallery, in all ways."""
    for experiment in miniature.MINIATURE:
        yield from of_everything(experiment, miniature.words(experiment))


def _is_key(word: str, config: dict[str, Any]) -> bool:
    """Whether a config has the key of a word; a group's choice always."""
    group, dot, key = word.partition("=")[0].partition(".")
    return not dot or key in (config.get(group) or {})


def made_project(folder: Path) -> Path:
    """A project with the package `conventional`: configs and packages of its own, this engine."""
    project = folder / "project"
    source = project / "src"
    source.mkdir(parents=True)
    shutil.copy(PROJECT / "train.py", project)
    shutil.copytree(PROJECT / "configs", project / "configs")
    (project / "pyproject.toml").write_text('[tool.arclight]\npackages = ["conventional"]\n')
    for package in ("arclight", "arclight_zoo"):
        (source / package).symlink_to(PROJECT / "src" / package)
    shutil.copytree(Path(__file__).parent / "conventional", source / "conventional")
    for module in (*data.MODULES, *tricky_data.EXACT, *tricky_data.INEXACT):
        of = module.__module__.rpartition(".")[2]
        target = f"conventional.{of}.{module.__name__}"
        node = {"_target_": target, "batch_size": 8, "num_workers": 0}
        _write(project / "configs" / "data" / f"{module.__name__}.yaml", node)
    checkpoints = {"monitor": "val_loss", "mode": "min"}
    task = {
        "task": {"_target_": "conventional.module.Classifier", "lr": 0.05},
        "callbacks": {"checkpoints": checkpoints},
    }
    _write(project / "configs" / "task" / "classifier.yaml", task, "# @package _global_\n")
    return project


def _write(file: Path, content: dict[str, Any], head: str = "") -> None:
    file.write_text(head + yaml.safe_dump(content, sort_keys=False))
