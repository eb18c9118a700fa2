"""Runs the trials of a search, one per worker at a time, until all have ended."""

import math
import selectors
import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from arclight.config.checks.check import check
from arclight.console import say
from arclight.run_directory import RunDirectory, create, open_run
from arclight.search.composer import Composer, as_overrides
from arclight.search.processes import Processes, note_lost
from arclight.search.settings import Search
from arclight.search.study import Claim, Study
from arclight.search.trial import Ending
from arclight.search.warm_up import warm_up
from arclight.training.pruning import PRUNING


class Workers(Processes[Claim]):
    """Runs the trials of a study in forked processes.

    Args:
        search: the settings.
        study: the study.
        composer: composes the trials' configs.
        folder: the search directory.
        slots: environment variables for each worker's trials, such as its GPUs.
    """

    def __init__(
        self,
        search: Search,
        study: Study,
        composer: Composer,
        folder: Path,
        slots: list[dict[str, str]],
    ) -> None:
        super().__init__(slots, search.retry, search.threads)
        self.search, self.study = search, study
        self.composer, self.folder = composer, folder

    @property
    def is_over(self) -> bool:
        return self.study.has_failed or self.study.is_over

    def open(self, stack: ExitStack) -> None:
        """Listens for the validation metrics of trials that may be pruned."""
        warm_up(self.composer.base)
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="arclight-"))
        self._address = Path(place) / "search"
        self._door = stack.enter_context(socket.socket(socket.AF_UNIX))
        self._door.bind(str(self._address))
        self._door.listen()
        self.selector.register(self._door, selectors.EVENT_READ, self._report)

    def _report(self) -> None:
        line, _ = self._door.accept()
        with line, suppress(OSError, ValueError, StopIteration):  # the trial was killed meanwhile
            line.settimeout(10)
            trial, step, value = line.makefile().readline().split()
            claim = next(r.job for r in self.running.values() if r.job.number == int(trial))
            stop = self.study.report(claim, int(step), float(value))
            line.sendall(b"1" if stop else b"0")

    # ---------------------------------------------------------------------------- trials

    def claim(self) -> Claim | None:
        return self.study.claim()

    def folder_of(self, job: Claim) -> Path:
        return self.folder / "trials" / f"{job.number:04d}"

    def title_of(self, job: Claim) -> str:
        return f"trial {job.number}"

    def environment(self, job: Claim) -> dict[str, str]:
        if not self.search.pruner:
            return {}
        return {PRUNING: f"{job.number} {self.study.aims[0].metric} {self._address}"}

    def retried(self, job: Claim) -> None:
        self.study.note(job, retries=job.retries)

    def directories(self, job: Claim) -> list[RunDirectory]:
        folder = self.folder_of(job)
        seeds = self.search.seeds
        places = {folder / f"seed={s}": {"seed": s} for s in seeds} if seeds else {folder: {}}
        runs = []
        for path, seed in places.items():
            if (path / "config.yaml").is_file():
                runs.append(open_run(path))
                continue
            config = self.composer.config({**job.values, **seed})
            check(config)
            name = "-".join([self.search.name, *path.relative_to(self.folder / "trials").parts])
            config["trial"] = {
                "name": name,
                "search": self.search.name,
                "number": job.number,
                "values": job.values,
                "objectives": [aim.metric for aim in self.study.aims],
            }
            _group(config, self.search.name)
            words = [*self.composer.overrides, *as_overrides({**job.values, **seed})]
            path.parent.mkdir(parents=True, exist_ok=True)
            manifest = {**self.describe(config), "choices": self.composer.choices(job.values)}
            runs.append(create(path, folder, path.name, config, words, manifest))
        names = [str(run.path.relative_to(self.folder)) for run in runs]
        self.study.note(job, runs=names)
        return runs

    def settle(self, job: Claim, runs: list[RunDirectory], end: Ending) -> None:
        summaries = [run.summary for run in runs]
        self.study.note(job, seconds=round(sum(s.get("seconds", 0.0) for s in summaries), 3))
        if end.outcome == "pruned":
            self.study.tell(job, TrialState.PRUNED)
            self._end(job)
        elif end.outcome == "finished":
            values = [_mean([aim.of(s) for s in summaries]) for aim in self.study.aims]
            missing = [
                f"{aim.metric} is {'not logged' if value is None else value}"
                for aim, value in zip(self.study.aims, values, strict=True)
                if value is None or not math.isfinite(value)
            ]
            if missing:
                known = ", ".join(summaries[0]["metrics"])
                self.fail(job, f"{'; '.join(missing)}; its metrics are {known or 'none'}")
                return
            self.study.tell(job, TrialState.COMPLETE, [v for v in values if v is not None])
            self._end(job)
        else:
            note_lost(runs, end.reason)
            self.fail(job, end.reason)

    def fail(self, job: Claim, reason: str) -> None:
        self.study.note(job, reason=reason)
        self.study.tell(job, TrialState.FAIL)
        self._end(job)

    def _end(self, claim: Claim) -> None:
        claim.release()
        say(self.line(claim))

    def line(self, claim: Claim) -> str:
        """The line that is printed when a trial has ended."""
        trial = next(t for t in self.study.trials() if t.number == claim.number)
        if trial.state == TrialState.FAIL:
            result = f"FAILED: {trial.user_attrs['reason']}"
        elif trial.state == TrialState.PRUNED:
            result = f"pruned after {len(trial.intermediate_values)} validations"
        else:
            pairs = zip(self.study.aims, trial.values, strict=True)
            result = ", ".join(f"{aim.metric} {value:.6g}" for aim, value in pairs)
        values = " ".join(as_overrides(claim.values))
        seconds = trial.user_attrs.get("seconds", 0)
        return (
            f"trial {claim.number:>3} of {self.study.wanted}: {result} ({seconds:.1f} s) {values}"
        )


def _group(config: dict[str, Any], name: str) -> None:
    """Groups the trials of a search in W&B, unless the config sets a group."""
    node = (config["logger"] or {}).get("wandb")
    if node and node.get("group") is None:
        node["group"] = name


def _mean(values: Sequence[float | None]) -> float | None:
    present = [v for v in values if v is not None]
    return sum(present) / len(present) if len(present) == len(values) else None
