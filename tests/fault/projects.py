"""SIGKILL at random times to runs of any experiment, as their user starts them."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import yaml

from arclight.run_directory import RunDirectory
from tests.conftest import options
from tests.fault.conventional.data import MODULES
from tests.fault.harness import PROJECT, Part, environment, undisturbed
from tests.fault.kills import Say, killed

OFTEN = (
    "callbacks.checkpoints.every_n_steps=1",
    "trainer.log_every_n_steps=3",
    "preflight=false",
)
SMALL = ("trainer.max_epochs=2", "data.limit=48", "data.batch_size=8")
GALLERY = "arclight_zoo.gallery."


class Case(NamedTuple):
    """An experiment, and how it is executed.

    Attributes:
        words: of `train.py`.
        processes: 1, or 2 on the CPU.
        workers: of the data loaders; None: as it is.
        project: the folder of `train.py`.
    """

    name: str
    words: tuple[str, ...]
    processes: int = 1
    workers: int | None = None
    project: Path = PROJECT

    def __str__(self) -> str:
        workers = "" if self.workers is None else f", {self.workers} workers"
        return f"{self.name}, {self.processes} process(es){workers}"

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


def of_everything(name: str, words: tuple[str, ...], project: Path = PROJECT) -> list[Case]:
    """An experiment in one process and in two, and with 0 and 2 workers if it has any."""
    has_workers = "num_workers" in Case(name, words, project=project).data
    workers = (0, 2) if has_workers else (None,)
    return [Case(name, words, n, w, project) for n in (1, 2) for w in workers]


def resumed(
    folder: Path, cases: Sequence[Case], kills: int, rng: Random, say: Say, name: str
) -> Part:
    """Kills a run of each case so often, continues it by the same command, and compares.

    Weights, optimizers, and all of `metrics.csv` but times must equal those of a run that nobody
    disturbed.
    """
    part = Part(f"SIGKILL, {name}", "bitwise equal")
    hit: Counter[str] = Counter()
    for number, case in enumerate(cases):
        whole, cut = (folder / f"{kind}-{number}" for kind in ("undisturbed", "killed"))
        try:
            like = undisturbed(RunDirectory(whole), *case.overrides, project=case.project)
            done, faults = killed(RunDirectory(cut), like, kills, case.processes, rng, hit)
            if like.run.summary.get("resume") == "inexact":
                faults = [f"inexact: {' '.join(like.run.summary['inexact_because'])}"]
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
            done, faults = 1, [str(error).strip().splitlines()[-1]]
        part.add(str(case), faults, count=max(1, done))
        say(f"{part.name}: {part.verdict}; the last: {case}{'' if not faults else ' FAILED'}")
        for path in (whole, cut):
            shutil.rmtree(path, ignore_errors=True)
    part.notes = [f"{n} {what}" for what, n in sorted(hit.items())]
    return part


def conventional(folder: Path) -> Iterator[Case]:
    """Ten data modules that know nothing of Arclight, in a project of their own."""
    project = made_project(folder)
    for module in MODULES:
        words = ("task=classifier", f"data={module}", "trainer.max_epochs=6")
        yield from of_everything(module, words, project)


def zoo(rng: Random) -> Iterator[Case]:
    """Every model that trains without a download, in one way, and the gallery in all ways."""
    for model in options("model"):
        if model == "auto":  # needs published weights
            continue
        words = (f"model={model}", *SMALL)
        words += ("model.n_layers=1",) if model.startswith("vit_") else ()
        known = tuple(word for word in words if _is_key(word, composed(PROJECT, words[0])))
        yield rng.choice(of_everything(model, known))
    for experiment in options("experiment"):
        words = (f"experiment={experiment}",)
        with suppress(RuntimeError):  # it needs a file, or a search, to be named
            config = composed(PROJECT, *words)
            if GALLERY in str(config):
                known = tuple(word for word in SMALL if _is_key(word, config))
                yield from of_everything(experiment, (*words, *known))


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
    for module in MODULES:
        node = {"_target_": f"conventional.data.{module}", "batch_size": 8, "num_workers": 0}
        _write(project / "configs" / "data" / f"{module}.yaml", node)
    checkpoints = {"monitor": "val_loss", "mode": "min"}
    task = {
        "task": {"_target_": "conventional.module.Classifier", "lr": 0.05},
        "callbacks": {"checkpoints": checkpoints},
    }
    _write(project / "configs" / "task" / "classifier.yaml", task, "# @package _global_\n")
    return project


def _write(file: Path, content: dict[str, Any], head: str = "") -> None:
    file.write_text(head + yaml.safe_dump(content, sort_keys=False))
