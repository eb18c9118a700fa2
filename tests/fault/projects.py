"""SIGKILL at random times to runs of any experiment, started like by a user."""

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
from tests.fault.conventional.inexact import INEXACT
from tests.fault.conventional.tricky import EXACT
from tests.fault.harness import PROJECT, Part, Reference, environment, undisturbed
from tests.fault.kills import Say, killed
from tests.zoo.gallery import miniature

OFTEN = (
    "callbacks.checkpoints.every_n_steps=1",
    "trainer.log_every_n_steps=3",
    "preflight=false",
)


class Case(NamedTuple):
    """An experiment, and the settings of its execution.

    Attributes:
        words: overrides of `train.py`.
        processes: 1, or 2 on the CPU.
        workers: workers of the data loaders; None: unchanged.
        project: the folder of `train.py`.
        parted: whether each worker reads its own part, so batches depend on their number.
        inexact: whether it cannot be continued exactly, and must report it.
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
        """The case whose undisturbed run must have the same results."""
        return self if self.parted or self.workers is None else self._replace(workers=0)

    @property
    def overrides(self) -> tuple[str, ...]:
        """All overrides; those in `words` win."""
        two = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp")
        typed = {word.partition("=")[0] for word in self.words}
        more = (*OFTEN, *self._worker_overrides(), *(two if self.processes == 2 else ()))
        return (*self.words, *(word for word in more if word.partition("=")[0] not in typed))

    def _worker_overrides(self) -> tuple[str, ...]:
        if self.workers is None:
            return ()
        loader = ("data.loader=workers",) if "loader" in self.data and self.workers else ()
        return (*loader, f"data.num_workers={self.workers}")

    @property
    def data(self) -> dict[str, Any]:
        """The config's `data`."""
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


def all_settings(
    name: str, words: tuple[str, ...], project: Path = PROJECT, parted: bool = False
) -> list[Case]:
    """An experiment with one and two processes, and 0 and 2 workers if it can have workers."""
    has_workers = "num_workers" in Case(name, words, project=project).data
    workers = (0, 2) if has_workers else (None,)
    return [Case(name, words, n, w, project, parted) for n in (1, 2) for w in workers]


def resumed(
    folder: Path, cases: Sequence[Case], kills: int, rng: Random, say: Say, name: str
) -> Part:
    """Kills a run of each case, continues it with the same command, and compares the results.

    Weights, optimizers, and `metrics.csv` without times must equal those of an undisturbed run
    without workers (with the same number of workers for parted data).
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
            faults = _report_faults(run, case, faults)
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
            done, faults = 1, [str(error).strip().splitlines()[-1]]
        part.add(str(case), faults, count=max(1, done))
        note = f"FAILED {'; '.join(faults)}" if faults else "equal"
        say(f"{part.verdict}; {case}: {note}, {time.monotonic() - began:.0f} s")
        shutil.rmtree(cut, ignore_errors=True)
    part.notes = [f"{n} {what}" for what, n in sorted(hit.items())]
    return part


def _reference(path: Path, case: Case) -> Reference:
    """The results of an undisturbed run, whose directory is removed."""
    like = undisturbed(RunDirectory(path), *case.undisturbed.overrides, project=case.project)
    shutil.rmtree(path)
    return like


def _report_faults(run: RunDirectory, case: Case, faults: list[str]) -> list[str]:
    """The faults, given what the run reports about its exactness."""
    said = run.summary.get("resume") == "inexact"
    if said and case.inexact and run.status == "finished":
        return []
    if said:
        return [*faults, f"inexact: {' '.join(run.summary['inexact_because'])}"]
    return [*faults, "it does not report that it is inexact"] if case.inexact else faults


def conventional(folder: Path) -> Iterator[Case]:
    """Ten plain data modules, in a separate project."""
    project = made_project(folder)
    for module in data.MODULES:
        yield from all_settings(
            module.__name__, _words_of(module), project=project, parted=module.parted
        )


def tricky(folder: Path, rng: Random) -> Iterator[Case]:
    """Tricky data modules, each with one random setting; the last ones cannot be exact."""
    project = made_project(folder)
    for module in (*EXACT, *INEXACT):
        case = rng.choice(
            all_settings(module.__name__, _words_of(module), project=project, parted=module.parted)
        )
        yield case._replace(inexact=module in INEXACT)


def _words_of(module: type[data.Plain]) -> tuple[str, ...]:
    epochs = "trainer.max_epochs=6"
    return ("task=classifier", f"data={module.__name__}", epochs, *module.words)


def models(rng: Random) -> Iterator[Case]:
    """Every model that trains without a download, each with one random setting."""
    for model in options("model"):
        if model == "auto":  # needs published weights
            continue
        words = (f"model={model}", *miniature.FEW)
        words += ("model.n_layers=1",) if model.startswith("vit_") else ()
        config = composed(PROJECT, words[0])
        known = tuple(word for word in words if _is_key(word, config))
        yield rng.choice(all_settings(model, known))


def gallery() -> Iterator[Case]:
    """Every experiment of the gallery, with all settings."""
    for experiment in miniature.MINIATURE:
        yield from all_settings(experiment, miniature.words(experiment))


def _is_key(word: str, config: dict[str, Any]) -> bool:
    """Whether a config has the key of an override; true for choices of groups."""
    group, dot, key = word.partition("=")[0].partition(".")
    return not dot or key in (config.get(group) or {})


def made_project(folder: Path) -> Path:
    """A project with the package `conventional`, its own configs, and this engine."""
    project = folder / "project"
    source = project / "src"
    source.mkdir(parents=True)
    shutil.copy(PROJECT / "train.py", project)
    shutil.copytree(PROJECT / "configs", project / "configs")
    (project / "pyproject.toml").write_text('[tool.arclight]\npackages = ["conventional"]\n')
    for package in ("arclight", "arclight_zoo"):
        (source / package).symlink_to(PROJECT / "src" / package)
    shutil.copytree(Path(__file__).parent / "conventional", source / "conventional")
    for module in (*data.MODULES, *EXACT, *INEXACT):
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
