"""A small study on disk, with run directories that were never trained."""

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from arclight.run_directory import RunDirectory, create
from tests.conftest import Composed

MakeRun = Callable[..., RunDirectory]
SPACE = {
    "optimizer.lr": FloatDistribution(1e-4, 1e-1, log=True),
    "model": CategoricalDistribution(["cnn", "vit"]),
}
TRIALS: list[tuple[str, float, str, float | None]] = [
    # state, lr, model, accuracy
    ("COMPLETE", 0.001, "cnn", 0.91),
    ("COMPLETE", 0.01, "cnn", 0.97),
    ("PRUNED", 0.0002, "vit", 0.4),
    ("COMPLETE", 0.003, "vit", 0.93),
    ("FAIL", 0.09, "vit", None),
    ("COMPLETE", 0.02, "cnn", 0.95),
]


@pytest.fixture(scope="session")
def make_run(composed: Composed) -> MakeRun:
    """Makes a run directory: `make_run(path, "model=vit", metrics={...}, status="finished")`."""
    known: dict[tuple[str, ...], dict[str, Any]] = {}

    def make(
        path: Path, *words: str, metrics: dict[str, float] | None = None, status: str = "finished"
    ) -> RunDirectory:
        config = known.setdefault(words, composed(*words))
        path.parent.mkdir(parents=True, exist_ok=True)
        run = create(path, path.parent, path.name, config, list(words), {})
        run.update_summary(status=status, metrics=metrics or {}, seconds=2.0)
        return run

    return make


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun, composed: Composed
) -> Path:
    folder = tmp_path_factory.mktemp("search")
    write_search(folder, composed(), metric="val/accuracy")
    study = optuna.create_study(
        study_name="small", storage=f"sqlite:///{folder / 'study.db'}", direction="maximize"
    )
    for number, (state, lr, model, accuracy) in enumerate(TRIALS):
        path = folder / "trials" / f"{number:04d}"
        status = {"COMPLETE": "finished", "FAIL": "failed"}.get(state, "interrupted")
        metrics = {"val/accuracy": accuracy} if accuracy and state == "COMPLETE" else {}
        words = ["seed=3", f"model={model}", f"optimizer.lr={lr}"]
        run = make_run(path, *words, metrics=metrics, status=status)
        label = {"search": "small", "number": number, "values": {"optimizer.lr": lr}}
        run.config_file.write_text(yaml.safe_dump({**run.config, "trial": label}))
        attributes = {"runs": [f"trials/{number:04d}"], "seconds": 2.0}
        if state == "FAIL":
            attributes["reason"] = "the loss is not finite"
        trial = create_trial(
            state=TrialState[state],
            params={"optimizer.lr": lr, "model": model},
            distributions=SPACE,
            value=accuracy if state == "COMPLETE" else None,
            intermediate_values={1: accuracy} if accuracy else {},
            user_attrs=attributes,
        )
        trial.datetime_start = datetime.datetime(2026, 1, 1, 12, number)
        study.add_trial(trial)
    return folder


@pytest.fixture
def search_dir(made_once: Path, tmp_path: Path) -> Path:
    """A search of six trials: four finished, one pruned, one failed; the best is trial 1."""
    return Path(shutil.copytree(made_once, tmp_path / "search"))


def write_search(folder: Path, config: dict[str, Any], **settings: Any) -> None:
    """`search.yaml`, as a search writes it."""
    content = {
        "name": "small",
        "overrides": ["search=small", "seed=3"],
        "search": {"dir": str(folder), "storage": None, **settings},
        "config": config,
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(content))
