"""The study: each trial belongs to one process, none is lost, and proposals are reproducible."""

import json
import os
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from arclight.errors import UserError
from arclight.search.settings import Objective, Search
from arclight.search.space import parse
from arclight.search.study import Claim, Study

SPACE = {
    "optimizer": {"choices": ["adamw", "sgd"]},
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "momentum": {"low": 0.5, "high": 0.99, "when": {"optimizer": "sgd"}},
    "layers": {"low": 1, "high": 6},
}
AIM = [Objective("val/loss", "minimize")]
STORAGES = ("sqlite", "journal")
SAMPLERS = {"tpe": 13, "random": 4, "cmaes": 6, "grid": 4}  # and after how many they have chosen


def study(folder: Path, **settings: Any) -> Study:
    folder.mkdir(exist_ok=True)
    sampler = settings.get("sampler", "tpe")
    space = {k: v for k, v in SPACE.items() if sampler != "grid" or k in ("optimizer", "layers")}
    given = {"n_trials": 14, **settings}
    return Study(Search(name="s", dir=str(folder), space=space, **given), parse(space), AIM, folder)


def score(claim: Claim) -> float:
    return claim.values.get("lr", 0.01) * claim.values["layers"]


def work(folder: Path, **settings: Any) -> list[tuple[int, dict[str, Any]]]:
    """Claims and tells until there is nothing left."""
    mine, done = study(folder, **settings), []
    while claim := mine.claim():
        mine.tell(claim, TrialState.COMPLETE, [score(claim)])
        claim.release()
        done.append((claim.number, claim.values))
    return done


def in_a_process(what: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            what()
        finally:
            os._exit(0)
    return pid


@pytest.mark.parametrize("storage", STORAGES)
def test_several_processes_share_a_study_and_do_no_trial_twice(
    tmp_path: Path, storage: str
) -> None:
    def record() -> None:
        for number, _ in work(tmp_path, n_trials=20, storage=storage):
            with (tmp_path / "done").open("a") as file:
                file.write(f"{number}\n")

    pids = [in_a_process(record) for _ in range(3)]
    for pid in pids:
        os.waitpid(pid, 0)
    done = sorted(map(int, (tmp_path / "done").read_text().split()))
    assert done == list(range(20))
    ended = study(tmp_path, n_trials=20, storage=storage).trials()
    assert [t.state for t in ended] == [TrialState.COMPLETE] * 20


@pytest.mark.parametrize("storage", STORAGES)
def test_a_trial_whose_process_died_is_found_and_has_the_same_values(
    tmp_path: Path, storage: str
) -> None:
    def die() -> None:
        claim = study(tmp_path, storage=storage).claim()
        assert claim
        (tmp_path / "values").write_text(repr(claim.values))

    os.waitpid(in_a_process(die), 0)
    mine = study(tmp_path, storage=storage)
    claim = mine.claim()
    assert claim is not None
    assert (claim.number, claim.found) == (0, True)
    assert repr(claim.values) == (tmp_path / "values").read_text()
    another = mine.claim()
    assert another is not None
    assert (another.number, another.found) == (1, False)
    for each in (claim, another):
        each.release()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interrupted_search_makes_the_same_proposals(tmp_path: Path, sampler: str) -> None:
    settings = {"sampler": sampler, "n_trials": SAMPLERS[sampler], "storage": "journal"}
    expected = work(tmp_path / "a", **settings)
    found: list[tuple[int, dict[str, Any]]] = []
    while len(found) < len(expected):  # a new process's worth of objects for every trial
        mine = study(tmp_path / "b", **settings)
        abandoned = mine.claim()
        assert abandoned is not None
        abandoned.release()
        claim = study(tmp_path / "b", **settings).claim()
        assert claim is not None
        mine.tell(claim, TrialState.COMPLETE, [score(claim)])
        claim.release()
        found.append((claim.number, claim.values))
    assert found == expected
    assert study(tmp_path / "b", **settings).claim() is None


def test_an_interrupted_proposal_is_completed_identically(tmp_path: Path) -> None:
    expected = work(tmp_path / "a", n_trials=3)
    for number in range(3):
        mine = study(tmp_path / "b", n_trials=3)
        trial = mine.study.ask()  # and the process dies, before it has any value
        assert trial.number == number
        claim = mine.claim()
        assert claim is not None
        assert (claim.number, claim.values) == expected[number]
        mine.tell(claim, TrialState.COMPLETE, [score(claim)])
        claim.release()


def test_a_grid_is_done_point_by_point_and_ends(tmp_path: Path) -> None:
    done = work(tmp_path, sampler="grid", n_trials=None)
    assert len(done) == len({repr(values) for _, values in done}) == 12


def test_an_incomplete_last_line_of_the_journal_is_removed(tmp_path: Path) -> None:
    work(tmp_path, storage="journal", n_trials=3)
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code": 4, "wor')
    assert len(work(tmp_path, storage="journal", n_trials=5)) == 2
    assert len(study(tmp_path, storage="journal", n_trials=5).trials()) == 5


def test_too_many_failures_end_the_search(tmp_path: Path) -> None:
    mine = study(tmp_path, max_failures=2)
    for _ in range(2):
        claim = mine.claim()
        assert claim is not None
        mine.tell(claim, TrialState.FAIL)
        claim.release()
    assert mine.claim() is None
    assert not mine.is_over


@pytest.mark.parametrize("pruner", ["asha", "median", "hyperband"])
def test_a_trial_that_does_worse_than_all_others_is_pruned(tmp_path: Path, pruner: str) -> None:
    mine = study(tmp_path, pruner=pruner, storage="journal")
    for _ in range(6):
        claim = mine.claim()
        assert claim is not None
        for step in range(1, 28):
            mine.report(claim, step, 0.1 + claim.number / 1000)
        mine.tell(claim, TrialState.COMPLETE, [0.1])
        claim.release()
    claim = mine.claim()
    assert claim is not None
    assert any(mine.report(claim, step, 9.0) for step in range(1, 28))
    claim.release()


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_no_pickle_of_a_study_is_read_or_written(tmp_path: Path) -> None:
    work(tmp_path / "s", sampler="cmaes", n_trials=8)
    mine = study(tmp_path / "s", sampler="cmaes", n_trials=16)
    assert not any("cma:optimizer" in key for t in mine.trials() for key in t.system_attrs)
    state = pickle.dumps(Payload(tmp_path / "mark")).hex()
    with closing(sqlite3.connect(tmp_path / "s" / "study.db")) as file, file:
        into = "insert into trial_system_attributes(trial_id, key, value_json) values (?, ?, ?)"
        for (trial,) in file.execute("select trial_id from trials").fetchall():
            file.execute(into, (trial, "cma:optimizer:0", json.dumps(state)))
    assert len(work(tmp_path / "s", sampler="cmaes", n_trials=16)) == 8
    assert not (tmp_path / "mark").exists()


def test_cma_es_proposes_better_points_from_generation_to_generation(tmp_path: Path) -> None:
    space = {"x": {"low": -3.0, "high": 3.0}, "y": {"low": -3.0, "high": 3.0}}
    search = Search(name="s", dir="", space=space, n_trials=60, sampler="cmaes")
    mine, found = Study(search, parse(space), AIM, None), []
    while claim := mine.claim():
        found.append((claim.values["x"] - 1) ** 2 + (claim.values["y"] + 2) ** 2)
        mine.tell(claim, TrialState.COMPLETE, [found[-1]])
        claim.lock.close()
    assert sum(found[-12:]) < sum(found[:12]) / 5


@pytest.mark.parametrize(("storage", "name"), [("sqlite", "study.db"), ("journal", "journal.log")])
def test_a_damaged_study_is_a_user_error(tmp_path: Path, storage: str, name: str) -> None:
    (tmp_path / name).write_bytes(b"no study\n\xff" * 999)
    with pytest.raises(UserError, match="cannot be read"):
        study(tmp_path, storage=storage)
