"""The search itself: as many trials at once as there are workers, until all have ended."""

import gc
import importlib
import math
import os
import selectors
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from arclight.config.check import check
from arclight.console import say
from arclight.errors import UserError
from arclight.processes.devices import cores
from arclight.provenance.manifest import describe
from arclight.run_directory import RunDirectory, create, open_run
from arclight.search.composer import Composer, as_overrides
from arclight.search.settings import Search
from arclight.search.study import Claim, Study
from arclight.search.trial import Ending, ending, fork
from arclight.signals import SIGNALS
from arclight.training.pruning import PRUNING

LOOK_EVERY = 2.0  # seconds between two looks for trials whose worker, elsewhere, has died


@dataclass
class Running:
    """A trial in a process of this search."""

    claim: Claim
    runs: list[RunDirectory]
    slot: int
    began: float


@dataclass
class Workers:
    """Runs the trials of a study in forked processes.

    Args:
        slots: what each worker adds to the environment of its trials, such as its GPUs.
    """

    search: Search
    study: Study
    composer: Composer
    folder: Path
    slots: list[dict[str, str]]
    signum: int = 0
    running: dict[int, Running] = field(default_factory=dict)

    def run(self) -> int:
        """Works until all trials have ended, here and elsewhere; returns a signal's number or 0."""
        warm_up(self.composer.base)
        self._describe = _remembered(describe)
        with tempfile.TemporaryDirectory(prefix="arclight-") as place:
            self._open(Path(place) / "search")
            try:
                while not self._done():
                    self._fill()
                    self._wait()
                    self._reap()
            finally:
                self._close()
                gc.unfreeze()
        return self.signum

    def _done(self) -> bool:
        if self.running:
            return False
        return bool(self.signum) or self.study.has_failed or self.study.is_over

    # ------------------------------------------------------------------ signals and reports

    def _open(self, address: Path) -> None:
        self._address = address
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(address))
        self._door.listen()
        self._wake, bell = socket.socketpair()
        self._wake.setblocking(False)
        bell.setblocking(False)
        self._bell = bell
        self._before = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # the wakeup tells
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._door, selectors.EVENT_READ, self._report)
        self._selector.register(self._wake, selectors.EVENT_READ, self._signal)

    def _close(self) -> None:
        signal.set_wakeup_fd(self._before)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for end in (self._door, self._wake, self._bell):
            end.close()
        for pid in self.running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _wait(self) -> None:
        for key, _ in self._selector.select(LOOK_EVERY):
            key.data()

    def _signal(self) -> None:
        """The first signal interrupts the trials, which save; the second kills them."""
        for number in self._wake.recv(64):
            if number not in SIGNALS:
                continue
            send = signal.SIGKILL if self.signum else signal.SIGTERM
            if not self.signum and self.running:
                say("Interrupting the running trials, which save first; again to kill them.")
            self.signum = number
            for pid in self.running:
                with suppress(ProcessLookupError):
                    os.kill(pid, send)

    def _report(self) -> None:
        line, _ = self._door.accept()
        with line, suppress(OSError, ValueError, StopIteration):  # it was killed while it asked
            line.settimeout(10)
            trial, step, value = line.makefile().readline().split()
            claim = next(r.claim for r in self.running.values() if r.claim.number == int(trial))
            stop = self.study.report(claim, int(step), float(value))
            line.sendall(b"1" if stop else b"0")

    # ---------------------------------------------------------------------------- trials

    def _fill(self) -> None:
        while not self.signum and len(self.running) < len(self.slots):
            claim = self.study.claim()
            if claim is None:
                return
            self._begin(claim)

    def _begin(self, claim: Claim) -> None:
        try:
            runs = self._directories(claim)
        except UserError as error:
            self._fail(claim, str(error).replace("\n", "; "))
            return
        if claim.found:
            past = ending(runs, None)
            if past.outcome in ("finished", "pruned", "failed"):
                self._settle(claim, runs, past)  # it had ended, and nobody was there to say so
                return
            say(f"trial {claim.number} goes on: its worker had died or was stopped.")
        self._start(claim, runs)

    def _start(self, claim: Claim, runs: list[RunDirectory]) -> None:
        used = {r.slot for r in self.running.values()}
        slot = next(i for i in range(len(self.slots)) if i not in used)
        env = dict(self.slots[slot])
        if self.search.pruner:
            env[PRUNING] = f"{claim.number} {self.study.aims[0].metric} {self._address}"
        share = max(1, cores() // len(self.slots))
        threads = self.search.threads or int(os.environ.get("OMP_NUM_THREADS", share))
        pid = fork(self._folder_of(claim), runs, env, threads)
        self.running[pid] = Running(claim, runs, slot, time.monotonic())

    def _folder_of(self, claim: Claim) -> Path:
        return self.folder / "trials" / f"{claim.number:04d}"

    def _directories(self, claim: Claim) -> list[RunDirectory]:
        """The trial's run directories, made where they are not there yet."""
        folder = self._folder_of(claim)
        seeds = self.search.seeds
        places = {folder / f"seed={s}": {"seed": s} for s in seeds} if seeds else {folder: {}}
        runs = []
        for path, seed in places.items():
            if (path / "config.yaml").is_file():
                runs.append(open_run(path))
                continue
            config = self.composer.config({**claim.values, **seed})
            check(config)
            name = "-".join([self.search.name, *path.relative_to(self.folder / "trials").parts])
            config["trial"] = {
                "name": name,
                "search": self.search.name,
                "number": claim.number,
                "values": claim.values,
                "objectives": [aim.metric for aim in self.study.aims],
            }
            _group(config, self.search.name)
            words = [*self.composer.overrides, *as_overrides({**claim.values, **seed})]
            path.parent.mkdir(parents=True, exist_ok=True)
            manifest = {**self._describe(config), "choices": self.composer.choices(claim.values)}
            runs.append(create(path, folder, path.name, config, words, manifest))
        names = [str(run.path.relative_to(self.folder)) for run in runs]
        self.study.note(claim, runs=names)
        return runs

    def _reap(self) -> None:
        for pid, running in list(self.running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            del self.running[pid]
            claim, end = running.claim, ending(running.runs, status)
            if end.outcome in ("lost", "interrupted") and self.signum:
                claim.release()  # the same command goes on with it
            elif end.outcome in ("lost", "interrupted") and claim.retries < self.search.retry:
                claim.retries += 1
                self.study.note(claim, retries=claim.retries)
                say(f"trial {claim.number} {end.reason}; retry {claim.retries} continues it.")
                self._start(claim, running.runs)
            else:
                self._settle(claim, running.runs, end)

    def _settle(self, claim: Claim, runs: list[RunDirectory], end: Ending) -> None:
        summaries = [run.summary for run in runs]
        self.study.note(claim, seconds=round(sum(s.get("seconds", 0.0) for s in summaries), 3))
        if end.outcome == "pruned":
            self.study.tell(claim, TrialState.PRUNED)
            self._told(claim)
        elif end.outcome == "finished":
            values = [_mean([aim.of(s) for s in summaries]) for aim in self.study.aims]
            missing = [
                f"{aim.metric} is {'not measured' if value is None else value}"
                for aim, value in zip(self.study.aims, values, strict=True)
                if value is None or not math.isfinite(value)
            ]
            if missing:
                known = ", ".join(summaries[0]["metrics"])
                self._fail(claim, f"{'; '.join(missing)}; its metrics are {known or 'none'}")
                return
            self.study.tell(claim, TrialState.COMPLETE, [v for v in values if v is not None])
            self._told(claim)
        else:
            for run in runs:
                if run.status not in ("finished", "failed"):
                    run.update_summary(status="failed", error=end.reason)
                    with suppress(OSError), run.log_file.open("a") as log:
                        print(f"The trial was {end.reason}.", file=log)
            self._fail(claim, end.reason)

    def _fail(self, claim: Claim, reason: str) -> None:
        self.study.note(claim, reason=reason)
        self.study.tell(claim, TrialState.FAIL)
        self._told(claim)

    def _told(self, claim: Claim) -> None:
        claim.release()
        say(self.line(claim))

    def line(self, claim: Claim) -> str:
        """What the terminal says of a trial that has ended."""
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


# What a trial would otherwise import while it runs, each a tenth of a second or more. W&B imports
# the last two only when a run begins.
TRIAL = ("arclight.run.fit", "matplotlib.backends.backend_agg")
TRIAL_WITH_WANDB = ("wandb", "wandb.apis.public", "pandas")


def warm_up(config: dict[str, Any]) -> None:
    """Imports what a trial needs, so that its process begins with it. Touches no device.

    What was imported is set aside from garbage collection. Looking through it in each trial would
    also copy the memory that a forked process shares.
    """
    wandb = TRIAL_WITH_WANDB if "wandb" in (config["logger"] or {}) else ()
    targets = [target.rpartition(".")[0] for target in _targets(config)]
    for module in (*TRIAL, *targets, *wandb):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _targets(node: Any) -> list[str]:
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + [target for value in node.values() for target in _targets(value)]


def _group(config: dict[str, Any], name: str) -> None:
    """W&B shows the trials of a search as one group, unless told otherwise."""
    node = (config["logger"] or {}).get("wandb")
    if node and node.get("group") is None:
        node["group"] = name


def _mean(values: Sequence[float | None]) -> float | None:
    present = [v for v in values if v is not None]
    return sum(present) / len(present) if len(present) == len(values) else None


def _remembered(
    describe: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The manifest of one trial serves all but for time and seed: git and packages stay."""
    known: dict[str, Any] = {}

    def again(config: dict[str, Any]) -> dict[str, Any]:
        if not known:
            known.update(describe(config))
        return {**known, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "seed": config["seed"]}

    return again
