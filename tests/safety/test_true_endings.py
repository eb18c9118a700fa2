"""Commands on a run with a wrong checkpoint fail with a message."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.loggers import MetricsFile
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.predict import predict
from tests.conftest import Composed

COMMANDS: dict[str, Callable[[str], Any]] = {
    "evaluate": evaluate,
    "predict": lambda run: predict(run, str(Path(run).parent / "a.png")),
    "export": lambda run: export(run, "safetensors"),
}


@pytest.fixture(scope="module")
def trained(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("endings")
    config = composed("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1")
    run = create(root / "run", root, "run", {**config, "preflight": False}, [], {})
    assert execute(run) == 0
    return run


@pytest.fixture
def run(trained: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy of the run, to be damaged, next to an image."""
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    return RunDirectory(Path(shutil.copytree(trained.path, tmp_path / "run")))


def change(run: RunDirectory, do: Callable[[dict[str, Any]], object]) -> None:
    file = run.checkpoints / "best.ckpt"
    content = torch.load(file, weights_only=True)
    do(content)
    file.unlink()  # a link to last.ckpt
    torch.save(content, file)


def spoil(content: dict[str, Any]) -> None:
    name = next(k for k, v in content["state_dict"].items() if v.is_floating_point())
    content["state_dict"][name].fill_(torch.nan)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_weights_that_are_not_finite(run: RunDirectory, command: Callable[[str], Any]) -> None:
    change(run, spoil)
    with pytest.raises(UserError, match=r"best\.ckpt has weights that are not finite"):
        command(str(run.path))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_checkpoint_of_another_run(run: RunDirectory, command: Callable[[str], Any]) -> None:
    change(run, lambda content: content.update(run_id="another"))
    with pytest.raises(UserError, match=r"best\.ckpt belongs to another run"):
        command(str(run.path))


def test_a_missing_best_checkpoint_is_reported(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.checkpoints / "best.ckpt").unlink()
    evaluate(str(run.path))
    assert "best.ckpt is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.image_size=100000"], "too little memory"),
        (["data.batch_size=32", "trainer.val_check_interval=1000"], "trainer.val_check_interval"),
    ],
)
def test_errors_found_only_in_the_data_are_user_errors(
    composed: Composed, tmp_path: Path, words: list[str], sentence: str
) -> None:
    config = composed("data.limit=200", "trainer.max_epochs=1", "preflight=false", *words)
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 2
    assert sentence in run.summary["error"]
    assert words[0].split("=")[0] in run.summary["error"] or "1000" in run.summary["error"]


def test_an_experiment_without_a_logger_is_a_user_error(tmp_path: Path) -> None:
    logger = MetricsFile(tmp_path / "metrics.csv")
    assert not hasattr(logger, "experiment")  # Lightning asks so
    with pytest.raises(UserError, match="type logger=tensorboard"):
        _ = logger.experiment
