"""A whole search: trials in separate processes, with every kind of ending."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Any

import optuna
import pytest
import torch
import yaml

from arclight.errors import UserError
from arclight.run_directory import RunDirectory
from arclight.search import processes
from arclight.search.trial import CONSOLE
from tests.search.conftest import Searched

TINY = ("search=tiny", "search.dir=s")


def trials(folder: Path = Path("s")) -> list[optuna.trial.FrozenTrial]:
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{folder / 'study.db'}")
    return study.get_trials()


def states() -> list[str]:
    return [t.state.name for t in trials()]


def test_a_continued_search_stops_at_n_trials(
    searched: Searched, capfd: pytest.CaptureFixture[str]
) -> None:
    assert searched(*TINY, "search.n_trials=2") == 0
    said = capfd.readouterr().out
    assert said.count("val/accuracy") >= 2
    assert "Results" not in said  # that is in the trials' own files
    assert states() == ["COMPLETE"] * 2
    first = [t.params for t in trials()]
    assert searched(*TINY, "search.n_trials=2") == 0
    assert "warning" not in capfd.readouterr().out
    newest = RunDirectory(Path("s/trials/0001"))
    newest.update_manifest(
        code={**newest.manifest["code"], "arclight_zoo/image/cnn.py": "0123456789abcdef"}
    )
    assert searched(*TINY, "search.n_trials=3", "search.workers=1") == 0
    assert (
        "the code has changed since trial 1: arclight_zoo/image/cnn.py; later"
        in capfd.readouterr().out
    )
    assert states() == ["COMPLETE"] * 3
    assert [t.params for t in trials()][:2] == first

    for trial in trials():
        run = RunDirectory(Path("s") / trial.user_attrs["runs"][0])
        assert run.path == Path(f"s/trials/{trial.number:04d}")
        assert run.status == "finished"
        assert run.config["optimizer"]["lr"] == trial.params["optimizer.lr"]
        assert run.config["trial"]["number"] == trial.number
        assert trial.value == run.summary["metrics"]["val/accuracy"]
        assert "Results" in (run.path / CONSOLE).read_text()
    kept = yaml.safe_load(Path("s/search.yaml").read_text())
    assert kept["overrides"][0] == "search=tiny"

    with pytest.raises(UserError, match=r"data\.limit: 64 -> 96"):
        searched(*TINY, "data.limit=96")
    with pytest.raises(UserError, match=r"search\.seed: 0 -> 1"):
        searched(*TINY, "search.seed=1")


def test_failed_trials_have_a_reason_and_the_others_continue(
    searched: Searched, capfd: pytest.CaptureFixture[str]
) -> None:
    wide = "+search.space={trainer.max_epochs:{choices:[1,2]}}"
    bad = "+search.space={on_nonfinite:{choices:[stop]},optimizer.lr:{low:1.0,high:1e30}}"
    assert searched(*TINY, wide, bad, "search.n_trials=6") == 1
    said = capfd.readouterr().out
    failed = [t for t in trials() if t.state.name == "FAIL"]
    assert failed
    assert len(failed) < 6
    for trial in failed:
        assert "NonFiniteError" in trial.user_attrs["reason"]
        run = RunDirectory(Path("s") / trial.user_attrs["runs"][0])
        assert run.status == "failed"
        assert "Traceback" in run.log_file.read_text()
        assert f"trial {trial.number} failed: NonFiniteError" in said


class Killer(threading.Thread):
    """Kills the processes of a search's first trials, a moment after each was forked."""

    def __init__(self, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(daemon=True)
        self.times = times
        self.forked: Queue[int | None] = Queue()
        fork = processes.fork

        def told(*given: Any) -> int:
            pid = fork(*given)
            self.forked.put(pid)
            return pid

        monkeypatch.setattr(processes, "fork", told)

    def run(self) -> None:
        for _ in range(self.times):
            pid = self.forked.get()
            if pid is None:
                return
            time.sleep(0.1)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        self.forked.put(None)
        self.join()


@pytest.mark.parametrize(("kills", "retry", "state"), [(2, 2, "COMPLETE"), (1, 0, "FAIL")])
def test_a_killed_trial_is_retried_and_then_fails(
    searched: Searched, monkeypatch: pytest.MonkeyPatch, kills: int, retry: int, state: str
) -> None:
    killer = Killer(kills, monkeypatch)
    killer.start()
    code = searched(*TINY, "search.n_trials=1", "search.workers=1", f"search.retry={retry}")
    killer.end()
    assert states() == [state]
    assert code == (state == "FAIL")
    if state == "FAIL":
        assert "killed by SIGKILL" in trials()[0].user_attrs["reason"]
        assert RunDirectory(Path("s/trials/0000")).status == "failed"
    else:
        assert trials()[0].user_attrs["retries"] == kills


def test_a_signal_interrupts_the_trials_and_the_same_command_continues(searched: Searched) -> None:
    words = (*TINY, "search.n_trials=2", "trainer.max_epochs=40")

    over = threading.Event()

    def later() -> None:
        while not over.wait(0.02):
            if list(Path("s/trials").glob("*/checkpoints/last.ckpt")):
                return os.kill(os.getpid(), signal.SIGTERM)
        return None

    sender = threading.Thread(target=later)
    sender.start()
    try:
        assert searched(*words) == 128 + signal.SIGTERM
    finally:
        over.set()
        sender.join()
    assert "COMPLETE" not in states()
    assert searched(*words) == 0
    assert states() == ["COMPLETE"] * 2
    runs: list[Any] = [RunDirectory(Path("s") / t.user_attrs["runs"][0]) for t in trials()]
    assert any(run.summary["times_resumed"] for run in runs)


def test_seeds_of_a_point_count_by_their_mean(searched: Searched) -> None:
    assert searched(*TINY, "search.n_trials=1", "search.seeds=[3,4]") == 0
    (trial,) = trials()
    runs = [RunDirectory(Path("s") / run) for run in trial.user_attrs["runs"]]
    assert [run.path.name for run in runs] == ["seed=3", "seed=4"]
    assert [run.config["seed"] for run in runs] == [3, 4]
    scores = [run.summary["metrics"]["val/accuracy"] for run in runs]
    assert trial.value == pytest.approx(sum(scores) / 2)


def test_pruned_trials_end_early_and_are_marked(searched: Searched) -> None:
    words = ("search.pruner=median", "search.workers=1", "search.n_trials=9")
    wide = "+search.space={optimizer.lr:{low:1e-8}}"
    assert searched(*TINY, *words, wide, "trainer.max_epochs=4") == 0
    pruned = [t for t in trials() if t.state.name == "PRUNED"]
    assert pruned
    for trial in pruned:
        run = RunDirectory(Path("s") / trial.user_attrs["runs"][0])
        assert run.status == "pruned"
        assert run.summary["epochs"] == len(trial.intermediate_values) < 4
        assert "val/accuracy" in run.summary["metrics"]


def test_several_objectives(searched: Searched) -> None:
    names = ("val/loss", "parameters", "latency_ms")
    aims = ",".join(f"{{metric:{name},direction:minimize}}" for name in names)
    assert searched(*TINY, "search.n_trials=2", f"search.objectives=[{aims}]") == 0
    for trial in trials():
        summary = RunDirectory(Path("s") / trial.user_attrs["runs"][0]).summary
        loss, parameters, latency = trial.values
        assert (loss, parameters) == (summary["metrics"]["val/loss"], summary["parameters"])
        assert 0 < latency == summary["latency_ms"] < 1000


def test_a_metric_that_is_not_logged_fails_the_trial(searched: Searched) -> None:
    aim = "{metric:val/accurac,direction:maximize}"
    assert searched(*TINY, "search.n_trials=1", f"search.objectives=[{aim}]") == 1
    assert "val/accurac is not logged" in trials()[0].user_attrs["reason"]


def test_trials_compute_in_several_threads_after_their_parent_did(searched: Searched) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.rand(100_000).sqrt()
        wide = ("model.widths=[64,128]", "data.batch_size=64", "search.threads=2")
        assert searched(*TINY, "search.n_trials=1", *wide) == 0
    finally:
        torch.set_num_threads(threads)
