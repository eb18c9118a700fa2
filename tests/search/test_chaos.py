"""Searches as a user starts them, with killed, failing and interrupted processes."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import optuna
import pytest
from optuna.trial import FrozenTrial

from arclight.run_directory import RunDirectory
from arclight.search.storage import open_storage
from tests.conftest import PROJECT
from tests.fault.harness import Command
from tests.search.conftest import OWN

pytestmark = pytest.mark.slow

MEMORY = 12 * 2**30  # bytes of address space; torch alone maps some
LIMITED = (
    f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY})); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def search(folder: Path, *words: str) -> Command:
    train = str(PROJECT / "train.py")
    return Command("-c", LIMITED, train, OWN, f"search.dir={folder}", *words, folder=folder.parent)


def trials(folder: Path, name: str, storage: str = "sqlite") -> list[FrozenTrial]:
    return optuna.load_study(study_name=name, storage=open_storage(storage, folder)).get_trials()


def ended(folder: Path) -> int:
    if not (folder / "trials").is_dir():  # made after the study
        return 0
    return sum(t.state.is_finished() for t in trials(folder, "chaos"))


def outcome(trial: FrozenTrial) -> tuple[object, ...]:
    reason = trial.user_attrs.get("reason", "")
    return trial.number, trial.state.name, trial.params, trial.values, reason.split(":")[0]


def children(pid: int) -> list[int]:
    """Of all its threads: one of them does nothing but fork."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(p) for p in file.read_text().split()]
    return found


def test_forty_disturbed_trials_end_like_undisturbed_ones(tmp_path: Path) -> None:
    """Trials raise, diverge, exceed memory and are killed; the search itself is killed 5 times."""
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    with search(calm, "search=chaos", "search.workers=1") as command:
        assert command.code == 1, command.output
    rng = Random(0)
    kills = 0
    for life in range(6):
        with search(wild, "search=chaos", "search.workers=2") as command:
            until = (life + 1) * 6 + rng.randint(-2, 2) if life < 5 else 41
            pause = time.monotonic() + rng.uniform(0.5, 3)
            while command.running and ended(wild) < until:
                time.sleep(0.1)
                if time.monotonic() > pause and (alive := children(command.process.pid)):
                    with suppress(ProcessLookupError):
                        os.kill(rng.choice(alive), signal.SIGKILL)
                        kills += 1
                    pause = time.monotonic() + rng.uniform(1, 6)
            if life < 5:
                assert command.running, command.output
                command.kill([command.process.pid])
                assert command.gone_within(5) is not None  # no trial outlives its search
            else:
                assert command.code == 1, command.output
    expected, found = trials(calm, "chaos"), trials(wild, "chaos")
    print(f"{kills} trials killed")
    assert len(found) == 40
    assert [outcome(t) for t in found] == [outcome(t) for t in expected]
    reasons = {t.user_attrs["reason"].split(":")[0] for t in found if t.state.name == "FAIL"}
    assert "NonFiniteError" in reasons, reasons
    assert any("too little memory" in reason for reason in reasons), reasons
    assert kills >= 5


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_two_parents_share_a_search(tmp_path: Path, storage: str) -> None:
    folder = tmp_path / "both"
    words = ("search=tiny", f"search.storage={storage}", "search.n_trials=12", "search.workers=1")
    with search(folder, *words) as one, search(folder, *words) as two:
        assert one.code == 0, one.output
        assert two.code == 0, two.output
        said = one.output + two.output
    done = trials(folder, "tiny", storage)
    assert [t.state.name for t in done] == ["COMPLETE"] * 12
    for trial in done:
        run = RunDirectory(folder / "trials" / f"{trial.number:04d}")
        assert run.summary["times_resumed"] == 0
        assert run.log_file.read_text().count("Results") == 1
        assert said.count(f"trial {trial.number:>3} of 12") == 1


def test_pruned_on_two_processes_that_share_their_hyperparameters(tmp_path: Path) -> None:
    folder = tmp_path / "ddp"
    space = "+search.space={optimizer.lr:{low:1e-8}}"
    words = ("trainer=ddp_cpu", "search.pruner=median", "search.n_trials=8", "search.workers=1")
    seen: set[tuple[str, ...]] = set()
    with search(folder, "search=tiny", space, *words, "trainer.max_epochs=3") as command:
        while command.running:
            pairs = [Path(f"/proc/{pid}/cmdline") for pid in command.ranks()]
            with suppress(OSError, IndexError):  # one ended meanwhile
                named = [file.read_bytes().split(b"\0")[-2].decode() for file in pairs]
                if len(named) == 2:
                    seen.add(tuple(named))
            time.sleep(0.2)
        assert command.code == 0, command.output
    states = [t.state.name for t in trials(folder, "tiny")]
    assert set(states) == {"COMPLETE", "PRUNED"}
    assert seen
    assert all(one == two for one, two in seen)
    for trial in trials(folder, "tiny"):
        run = RunDirectory(folder / "trials" / f"{trial.number:04d}")
        assert run.config["optimizer"]["lr"] == trial.params["optimizer.lr"]
        assert run.status == ("pruned" if trial.state.name == "PRUNED" else "finished")
        assert "2 processes" in run.log_file.read_text()
