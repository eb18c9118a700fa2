"""The savings and costs of pruning."""

import subprocess
import sys
from pathlib import Path
from statistics import stdev

import optuna
import pytest

from arclight.run_directory import RunDirectory
from tests.conftest import PROJECT
from tests.search.conftest import OWN

TRIALS, EPOCHS = 20, 9
WORDS = (
    "search=tiny",
    "model.widths=[16,32]",
    "data.limit=null",
    f"trainer.max_epochs={EPOCHS}",
    "search.workers=1",  # what ASHA compares a trial with would depend on who is faster
    "trainer.log_every_n_steps=50",
)


def trials(folder: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="tiny", storage=f"sqlite:///{folder}/study.db").get_trials()


def epochs(folder: str) -> float:
    runs = [
        RunDirectory(Path(folder) / run) for t in trials(folder) for run in t.user_attrs["runs"]
    ]
    return sum(float(run.summary["epochs"]) for run in runs)


def best(folder: str) -> optuna.trial.FrozenTrial:
    done = [t for t in trials(folder) if t.state.name == "COMPLETE"]
    return max(done, key=lambda t: float(t.value or 0))


def apart(*words: str) -> int:
    """Searches as one types it: in a process where no other test has started autograd's threads,
    with which no forked process computes."""
    return subprocess.run([sys.executable, str(PROJECT / "train.py"), OWN, *words]).returncode


@pytest.mark.slow
def test_pruning_saves_two_fifths_of_the_epochs_and_finds_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASHA against none, on the same parameter sets; and five seeds of the best."""
    monkeypatch.chdir(tmp_path)
    sets = (*WORDS, f"search.n_trials={TRIALS}")
    assert apart(*sets, "search.dir=all") == 0
    assert apart(*sets, "search.dir=asha", "search.pruner=asha") == 0
    assert [t.params for t in trials("all")] == [t.params for t in trials("asha")]
    saved = 1 - epochs("asha") / epochs("all")

    top = float(best("all").params["optimizer.lr"])
    point = f"search.space={{optimizer.lr:{{low:{top * 0.999999!r},high:{top * 1.000001!r}}}}}"
    seeds = ("search.n_trials=1", "search.seeds=[0,1,2,3,4]", "search.dir=seeds")
    assert apart(*WORDS, point, *seeds) == 0
    runs = [RunDirectory(Path("seeds") / run) for run in trials("seeds")[0].user_attrs["runs"]]
    spread = stdev(run.summary["metrics"]["val/accuracy"] for run in runs)

    found, without = float(best("asha").value or 0), float(best("all").value or 0)
    print(
        f"{saved:.0%} of {epochs('all'):.0f} epochs saved; best {found:.4f} against {without:.4f}, "
        f"whose deviation over {len(runs)} seeds is {spread:.4f}"
    )
    assert saved >= 0.4
    assert without - found <= 2 * spread
