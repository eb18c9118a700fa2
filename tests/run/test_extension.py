"""A run goes on to another end in its own directory."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from arclight.entry.extend import extend, planned
from arclight.errors import UserError
from arclight.reading import read_overrides
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory
from arclight.training.checkpoints import Checkpoints
from arclight.training.loggers import read_metrics
from arclight.training.schedules import cosine
from arclight.use.reproduce import reproduce
from tests.conftest import Composed, Package
from tests.run.test_exact_resume import assert_equal, outcome, started
from tests.run.test_plain_modules import DATA, LIT, NET

SMALL = (
    "model=mlp",
    "callbacks=lr_monitor",
    "data.limit=40",
    "data.batch_size=10",
    "trainer.log_every_n_steps=1",
)
STEPS = 4  # of an epoch


def extended(run: RunDirectory, *words: str, how: str = "stretch") -> RunDirectory:
    """What `python train.py resume=RUN WORDS extend=HOW` does before it trains."""
    cfg = OmegaConf.merge({"extend": how}, OmegaConf.from_dotlist(list(words)))
    assert isinstance(cfg, type(OmegaConf.create({})))
    extend(run, planned(run, cfg, words))
    return run


def rates(run: RunDirectory) -> list[float]:
    rows = read_metrics(run.metrics_file)
    name = min(key for row in rows for key in row if key.startswith("lr-AdamW"))
    return [float(row[name]) for row in rows if row.get(name)]


def curve(total: int) -> list[float]:
    """The rate of each step of a cosine of so many."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-3)
    schedule = cosine(optimizer, total, STEPS)
    found = []
    for _ in range(total):
        found += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    return found


@pytest.fixture(scope="module")
def once(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of an epoch with the default schedule."""
    config = composed(*SMALL, "trainer.max_epochs=1")
    run = started(tmp_path_factory.mktemp("runs") / "once", config)
    assert execute(run) == 0
    return run


@pytest.fixture
def finished(once: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(once.path, tmp_path / "run")))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("stretch", lambda: curve(3 * STEPS)[STEPS:]),
        ("restart", lambda: curve(2 * STEPS)),
    ],
)
def test_the_schedule_does_what_extend_says(
    finished: RunDirectory, how: str, expected: Any
) -> None:
    before = rates(finished)
    assert execute(extended(finished, "trainer.max_epochs=3", how=how)) == 0
    assert rates(finished)[:STEPS] == before
    assert rates(finished)[STEPS:] == pytest.approx(expected(), rel=1e-5)


def test_the_directory_says_what_happened(finished: RunDirectory) -> None:
    was = finished.summary
    extended(finished, "trainer.max_epochs=2")
    assert finished.status == "interrupted"
    assert "metrics" not in finished.summary
    assert finished.config["trainer"]["max_epochs"] == 2
    assert finished.config["extensions"] == [{"step": STEPS, "epoch": 1, "extend": "stretch"}]
    assert read_overrides(finished.path)[-1] == "trainer.max_epochs=2"
    (segment,) = finished.manifest["segments"]
    assert (segment["max_epochs"], segment["steps"], segment["summary"]) == (1, STEPS, was)
    assert execute(finished) == 0
    summary = finished.summary
    assert (summary["status"], summary["epochs"], summary["times_resumed"]) == ("finished", 2, 1)
    with pytest.raises(UserError, match="was extended"):
        reproduce(str(finished.path))


def test_a_killed_extension_resumes_exactly(
    finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extended(finished, "trainer.max_epochs=3", how="restart")
    whole = RunDirectory(Path(shutil.copytree(finished.path, tmp_path / "whole")))
    assert execute(whole) == 0
    save = Checkpoints.save

    def save_and_die(self: Checkpoints, trainer: Any) -> None:
        save(self, trainer)
        raise SystemExit(143)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_die)
        assert execute(finished) == 143
    assert execute(finished) == 0
    assert_equal(outcome(whole), outcome(finished))


def test_an_unfinished_run_changes_its_end(finished: RunDirectory) -> None:
    finished.update_summary(status="interrupted")
    assert execute(extended(finished, "trainer.max_epochs=2", "trainer.max_steps=6")) == 0
    assert finished.summary["steps"] == 6


@pytest.mark.parametrize(
    ("words", "how", "sentence"),
    [
        (["trainer.max_epochs=1"], "stretch", "has done 1 epoch, and trainer.max_epochs=1 leaves"),
        (["trainer.max_steps=3"], "stretch", r"leaves nothing to do: type trainer.max_epochs=N"),
        (["trainer.max_epochs=many"], "stretch", "trainer.max_epochs=many should be a whole"),
        (["trainer.max_epochs=2"], "constant", "learning rate of .* has reached 0"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    finished: RunDirectory, words: list[str], how: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        extended(finished, *words, how=how)
    assert finished.status == "finished"


@pytest.mark.parametrize("damage", ["cut", "gone", "pruned"])
def test_a_damaged_run_is_a_sentence(finished: RunDirectory, damage: str) -> None:
    last = finished.checkpoints / "last.ckpt"
    content = last.read_bytes()
    for file in finished.checkpoints.glob("*.ckpt"):
        file.unlink()
    if damage == "cut":
        last.write_bytes(content[:1000])
    if damage == "pruned":
        finished.update_summary(status="pruned")
    said = {"cut": "last.ckpt cannot be read", "gone": "last.ckpt is missing", "pruned": "trial of"}
    with pytest.raises(UserError, match=said[damage]):
        extended(finished, "trainer.max_epochs=2")


def test_a_constant_schedule_makes_it_the_longer_run_bit_by_bit(
    composed: Composed, tmp_path: Path
) -> None:
    def run(name: str, epochs: int) -> RunDirectory:
        config = composed(*SMALL, "scheduler=constant", f"trainer.max_epochs={epochs}")
        made = started(tmp_path / name, config)
        assert execute(made) == 0
        return made

    short, long = run("short", 1), run("long", 2)
    assert execute(extended(short, "trainer.max_epochs=2")) == 0
    assert_equal(outcome(long), outcome(short))


SCHEDULED = """

class Scheduled(Lit):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), 0.1)
        steps = self.trainer.estimated_stepping_batches
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stretch", "restart", "constant"])
@pytest.mark.parametrize("kind", ["Lit", "Scheduled"])
def test_a_plain_module_goes_on_with_its_own_schedule(
    composed: Composed, package: Package, tmp_path: Path, kind: str, how: str
) -> None:
    package(lit=LIT + SCHEDULED, spots=DATA)
    config = composed("trainer.max_epochs=1", "trainer.log_every_n_steps=1")
    for group in ("model", "optimizer", "scheduler"):
        del config[group]
    net = {"net": NET, "optimizer": None, "scheduler": None}
    config["task"] = {"_target_": f"mylab.lit.{kind}", **net}
    config["data"] = {"_target_": "mylab.spots.Spots"}
    config["callbacks"]["checkpoints"] |= {"monitor": "val_loss", "mode": "min"}
    run = started(tmp_path / "run", config)
    assert execute(run) == 0
    assert execute(extended(run, "trainer.max_epochs=3", how=how)) == 0
    assert run.summary["epochs"] == 3
    assert f"extend={how}" in " ".join(run.log_file.read_text().split())
